/**
 * Breaks things, at the mean intervals that the seed drew. It looks at the world when it draws a stroke (who leads, who
 * is up), but what it then does is plain data, written down by the world, so that it can be played again without it.
 * It leaves the repair of everything to its own later strokes and, at last, to the calm at the end of the run; it may
 * take down any number of nodes at a time.
 */
import {
  drawDamage,
  drawDiskError,
  drawFailedSync,
  drawStrayWrite,
  drawTableRot,
  pickDamageable,
} from './disk_nemesis.ts';
import type { FaultMix } from './options.ts';
import type { SimRandom } from './random.ts';
import type { OperatorCommand, Route, StrokeAction } from './strokes.ts';
import type { World } from './world.ts';

const US_PER_MS = 1000;
const BOOT_ALL_EVERY_MS = 2000;
/** After these a crash finds more to break than after others. */
const HOT_MARKS: ReadonlySet<string> = new Set([
  'copies of an earlier term do not count',
  'a conflicting suffix is replaced',
  'a torn tail of the log is cut',
  'two candidates meet in one term',
]);

export class Nemesis {
  readonly #world: World;
  readonly #random: SimRandom;
  readonly #faults: FaultMix;
  readonly #nodes: readonly number[];
  #stopped = false;
  /** The routes that the carousel has cut. */
  #exiled: readonly Route[] | null = null;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.random.fork('nemesis');
    this.#faults = world.options.faults;
    this.#nodes = world.machines.map(({ id }) => id);
  }

  start(): void {
    const faults = this.#faults;
    this.#world.onElection = (node) => this.#onElection(node);
    this.#world.onMark = (node, name) => this.#onMark(node, name);
    this.#world.onBoot = (node) => this.#onBoot(node);
    this.#world.onVote = (node) => this.#onVote(node);
    this.#repeat(faults.crashEveryMs, () => this.#crash(this.#pick(), this.#drawDowntimeMs()));
    this.#repeat(faults.restartStormEveryMs, () => this.#startRestartStorm());
    this.#repeat(faults.blackoutEveryMs, () => this.#blackout());
    this.#repeat(faults.crashInsideEveryMs, () => this.#crashInside());
    this.#repeat(faults.upgradeEveryMs, () => this.#upgrade());
    this.#repeat(faults.pauseEveryMs, () => {
      const node = this.#pick();
      this.#strikeFor({ kind: 'pause', node }, { kind: 'resume', node }, this.#draw(10, 3000));
    });
    this.#repeat(faults.slowCpuEveryMs, () => {
      const node = this.#pick();
      const taskUs = this.#random.pick([100, 1000, 10_000]);
      const normal = { kind: 'slow-cpu', node, taskUs: 0 } as const;
      this.#strikeFor({ kind: 'slow-cpu', node, taskUs }, normal, this.#draw(100, 4000));
    });
    this.#repeat(faults.partitionEveryMs, () => this.#partition('both ways'));
    this.#repeat(faults.oneWayEveryMs, () => this.#partition('one way'));
    this.#repeat(faults.partialEveryMs, () => this.#partial());
    this.#repeat(faults.flappingEveryMs, () => this.#flap());
    this.#repeat(faults.resetEveryMs, () => {
      const [node, peer] = this.#pickPair();
      if (node !== peer) this.#strike({ kind: 'reset', node, peer });
    });
    this.#repeat(faults.slowNetworkEveryMs, () => {
      const { longTailPermille } = this.#world.options.surroundings;
      const normal = { kind: 'slow-network', longTailPermille } as const;
      const slow = { kind: 'slow-network', longTailPermille: this.#draw(100, 600) } as const;
      this.#strikeFor(slow, normal, this.#draw(100, 3000));
    });
    this.#repeat(faults.slowDiskEveryMs, () => {
      const node = this.#pick();
      const factor = this.#random.pick([10, 100]);
      const normal = { kind: 'slow-disk', node, factor: 1 } as const;
      this.#strikeFor({ kind: 'slow-disk', node, factor }, normal, this.#draw(100, 4000));
    });
    this.#repeat(faults.driftEveryMs, () => {
      const ppm = this.#random.pick([-300_000, -20_000, 0, 20_000, 300_000]);
      this.#strike({ kind: 'drift', node: this.#pick(), ppm });
    });
    this.#repeat(faults.wallJumpEveryMs, () => {
      this.#strike({ kind: 'wall-jump', node: this.#pick(), ms: this.#draw(-3_600_000, 3_600_000) });
    });
    this.#repeat(faults.freezeEveryMs, () => {
      const node = this.#pick();
      this.#strikeFor({ kind: 'freeze', node }, { kind: 'thaw', node }, this.#draw(10, 3000));
    });
    this.#repeat(faults.frozenLeaderEveryMs, () => this.#frozenLeader());
    this.#repeat(faults.commandEveryMs, () => {
      const transfer = `MEMBER TRANSFER ${this.#pick()}` as const;
      const text = this.#random.pick<OperatorCommand>(['MERGE', 'FLUSH', transfer]);
      this.#strike({ kind: 'command', node: this.#pick(), text });
    });
    this.#repeat(faults.memberChangeEveryMs, () => this.#changeMembers());
    this.#repeat(faults.diskErrorEveryMs, () => this.#strike(drawDiskError(this.#pick(), this.#random)));
    this.#repeat(faults.diskFullEveryMs, () => {
      const node = this.#pick();
      const leftBytes = this.#random.pick([0, 100, 5000]);
      this.#strikeFor(
        { kind: 'disk-full', node, leftBytes },
        { kind: 'disk-free', node },
        this.#draw(50, 4000),
      );
    });
    this.#repeat(faults.failedSyncEveryMs, () => this.#harm(drawFailedSync));
    this.#repeat(faults.damageEveryMs, () => this.#harm(drawDamage));
    this.#repeat(faults.tableRotEveryMs, () => this.#harm(drawTableRot));
    this.#repeat(faults.strayWriteEveryMs, () => this.#harm(drawStrayWrite));
    this.#repeat(faults.diskLostEveryMs, () => this.#harm((node) => ({ kind: 'disk-lost', node })));
    // A crash inside a disk operation leaves a node down without a stroke of ours.
    this.#repeat(BOOT_ALL_EVERY_MS, () => this.#bootAll());
  }

  stop(): void {
    this.#stopped = true;
  }

  #repeat(everyMs: number, stroke: () => void): void {
    if (everyMs === 0) return;
    const next = (): void => {
      stroke();
      this.#after(this.#draw(1, 2 * everyMs), next);
    };
    this.#after(this.#draw(1, 2 * everyMs), next);
  }

  #changeMembers(): void {
    const drawn = this.#world.members.draw(this.#random);
    if (drawn === null) return;
    const { change, subject } = drawn;
    if (change === 'add') {
      this.#addMember(subject);
      return;
    }
    this.#strike({ kind: 'member', node: this.#pickAsked(), change, subject });
    // Who was lost is replaced.
    if (this.#world.atlas.mayStart(subject)) return;
    this.#after(this.#draw(100, 2000), () => {
      const spare = this.#world.members.nextSpare();
      if (spare !== null) this.#addMember(spare);
    });
  }

  /** Mostly one that can tell who leads. */
  #pickAsked(): number {
    const { members } = this.#world;
    const able = this.#nodes.filter((node) => this.#isUp(node) && members.isMember(node));
    return able.length > 0 && this.#random.chance(850) ? this.#random.pick(able) : this.#pick();
  }

  /** Its node is started before or after the group is told of it. */
  #addMember(spare: number): void {
    const start = (): void => {
      if (!this.#isUp(spare)) this.#strike({ kind: 'boot', node: spare });
    };
    if (this.#random.chance(500)) start();
    this.#strike({ kind: 'member', node: this.#pickAsked(), change: 'add', subject: spare });
    this.#after(this.#draw(1, 1500), start);
  }

  #crash(node: number, downMs: number, killPermille = 200): void {
    if (this.#isUp(node)) this.#strike({ kind: this.#random.chance(killPermille) ? 'kill' : 'crash', node });
    this.#after(downMs, () => this.#boot(node));
  }

  #startRestartStorm(): void {
    const node = this.#pick();
    const leader = this.#world.leader();
    // What one life asks for is then answered in the next.
    if (leader !== null && leader !== node && this.#random.chance(500)) {
      const factor = this.#random.pick([10, 100]);
      const normal = { kind: 'slow-disk', node: leader, factor: 1 } as const;
      this.#strikeFor({ kind: 'slow-disk', node: leader, factor }, normal, this.#draw(500, 2000));
    }
    this.#restartStorm(node, this.#draw(2, 6));
  }

  #restartStorm(node: number, crashes: number): void {
    if (crashes === 0) return;
    this.#crash(node, this.#draw(1, 50));
    this.#after(this.#draw(51, 300), () => this.#restartStorm(node, crashes - 1));
  }

  #blackout(): void {
    for (const node of this.#nodes) this.#crash(node, this.#draw(1, 2000));
  }

  #crashInside(): void {
    const node = this.#pick();
    this.#strike({ kind: 'crash-inside', node, operation: this.#draw(1, 40) });
  }

  #upgrade(): void {
    let atMs = 0;
    for (const node of this.#nodes) {
      this.#after(atMs, () => {
        if (this.#isUp(node)) this.#strike({ kind: 'stop', node });
      });
      const backMs = atMs + this.#draw(100, 800);
      this.#after(backMs, () => this.#boot(node));
      atMs = backMs + this.#draw(0, 1000);
    }
  }

  /** Votes are fresh and leaders new: the moment at which what was not made durable in time shows. */
  #onElection(leader: number): void {
    if (this.#stopped) return;
    const { crashAtElectionPermille, crashNewLeaderPermille, carouselPermille } = this.#faults;
    if (this.#random.chance(carouselPermille)) {
      const delayUs = this.#random.chance(500) ? 0 : this.#random.below(this.#roundTripUs());
      this.#afterUs(delayUs, () => this.#turnCarousel(leader));
      return;
    }
    if (this.#random.chance(crashNewLeaderPermille)) {
      const { electionTimeoutMs } = this.#world.options.timing;
      const downMs = this.#draw(electionTimeoutMs >> 2, 4 * electionTimeoutMs);
      this.#afterUs(this.#random.below(this.#roundTripUs()), () => this.#crash(leader, downMs));
    } else if (this.#random.chance(crashAtElectionPermille)) {
      const node = this.#pick();
      this.#after(this.#random.below(20), () => this.#crash(node, this.#draw(1, 400)));
    }
  }

  /**
   * The new leader is cut off before it has done much, alone or with a few, and who was cut off before comes back with
   * what it did then: so logs grow apart in several terms, and win or lose against each other (the Raft paper, figure 8).
   */
  #turnCarousel(leader: number): void {
    if (this.#exiled !== null) this.#strike({ kind: 'join', routes: this.#exiled });
    const others = this.#nodes.filter((node) => node !== leader);
    const inside = [leader];
    // Without a majority: else it would go on leading, and the carousel stand still.
    const insideMax = Math.max(1, this.#nodes.length >> 1);
    for (let room = this.#random.below(insideMax); room > 0; room--) {
      inside.push(...others.splice(this.#random.below(others.length), 1));
    }
    const routes = inside.flatMap((a) =>
      others.flatMap((b): Route[] => [
        [a, b],
        [b, a],
      ]),
    );
    this.#exiled = null;
    if (routes.length === 0) return;
    this.#strike({ kind: 'cut', routes });
    this.#exiled = routes;
    const { electionTimeoutMs } = this.#world.options.timing;
    this.#after(this.#draw(3 * electionTimeoutMs, 8 * electionTimeoutMs), () => {
      if (this.#exiled !== routes) return;
      this.#strike({ kind: 'join', routes });
      this.#exiled = null;
    });
  }

  /** The code is in one of its rare places: what it is about to make durable, or to tell others, may yet be lost. */
  #onMark(node: number, name: string): void {
    if (this.#stopped) return;
    const { crashAtMarkPermille } = this.#faults;
    const isHot = HOT_MARKS.has(name);
    if (!this.#random.chance(isHot ? 10 * crashAtMarkPermille : crashAtMarkPermille)) return;
    const { electionTimeoutMs } = this.#world.options.timing;
    // Often long enough for another node to lead meanwhile.
    const downMs = this.#random.chance(500)
      ? this.#draw(1, 50)
      : this.#draw(electionTimeoutMs, 4 * electionTimeoutMs);
    this.#afterUs(this.#random.below(this.#roundTripUs()), () => this.#crash(node, downMs));
  }

  #onBoot(node: number): void {
    if (this.#stopped || !this.#random.chance(this.#faults.crashAtBootPermille)) return;
    this.#afterUs(this.#random.below(4 * this.#syncUs()), () => this.#crash(node, this.#draw(1, 20)));
  }

  #syncUs(): number {
    return this.#world.options.surroundings.syncMsMax * US_PER_MS;
  }

  /** A few messages and syncs. */
  #roundTripUs(): number {
    return 3 * (this.#world.options.surroundings.networkDelayMsMax * US_PER_MS + this.#syncUs());
  }

  /** A crash before the vote can be durable, and a life after it in which the term is still open. */
  #onVote(node: number): void {
    if (this.#stopped || !this.#random.chance(this.#faults.crashAtVotePermille)) return;
    this.#afterUs(this.#random.below(this.#syncUs()), () => this.#crash(node, this.#draw(1, 20), 500));
  }

  /** Cuts a group of nodes off from the others, clients not included; often the leader alone. */
  #partition(how: 'both ways' | 'one way'): void {
    const leader = this.#world.leader();
    const alone = leader !== null && this.#random.chance(500);
    const inside = this.#nodes.filter((node) => (alone ? node === leader : this.#random.chance(500)));
    const outside = this.#nodes.filter((node) => !inside.includes(node));
    const inward = this.#random.chance(500);
    const routes: Route[] = [];
    for (const a of inside) {
      for (const b of outside) {
        if (how === 'both ways') routes.push([a, b], [b, a]);
        else routes.push(inward ? [b, a] : [a, b]);
      }
    }
    this.#cut(routes, this.#draw(10, 5000));
  }

  #partial(): void {
    const routes: Route[] = [];
    for (const a of this.#nodes) {
      for (const b of this.#nodes) if (a < b && this.#random.chance(400)) routes.push([a, b], [b, a]);
    }
    this.#cut(routes, this.#draw(10, 5000));
  }

  #flap(): void {
    const [a, b] = this.#pickPair();
    if (a === b) return;
    let atMs = 0;
    for (let i = this.#draw(3, 12); i > 0; i--) {
      const cutMs = this.#draw(5, 200);
      this.#after(atMs, () =>
        this.#cut(
          [
            [a, b],
            [b, a],
          ],
          cutMs,
        ),
      );
      atMs += cutMs + this.#draw(5, 300);
    }
  }

  #frozenLeader(): void {
    const node = this.#world.leader();
    if (node === null || this.#nodes.length < 3) return;
    const routes = this.#nodes.flatMap((other): Route[] =>
      other === node
        ? []
        : [
            [node, other],
            [other, node],
          ],
    );
    const forMs = this.#draw(500, 6000);
    this.#strikeFor({ kind: 'freeze', node }, { kind: 'thaw', node }, forMs);
    this.#cut(routes, forMs);
  }

  /** On a node that the run may do without. */
  #harm(draw: (node: number, random: SimRandom) => StrokeAction): void {
    const node = pickDamageable(this.#world.atlas, this.#nodes, this.#random);
    if (node !== null) this.#strike(draw(node, this.#random));
  }

  #cut(routes: readonly Route[], forMs: number): void {
    if (routes.length > 0) this.#strikeFor({ kind: 'cut', routes }, { kind: 'join', routes }, forMs);
  }

  #bootAll(): void {
    for (const node of this.#nodes) this.#boot(node);
  }

  #boot(node: number): void {
    const { atlas, members } = this.#world;
    if (!this.#isUp(node) && members.isWanted(node) && atlas.mayStart(node))
      this.#strike({ kind: 'boot', node });
  }

  #isUp(node: number): boolean {
    return this.#world.machine(node).process.alive;
  }

  #strike(stroke: StrokeAction): void {
    if (!this.#stopped) this.#world.strike(stroke);
  }

  #strikeFor(stroke: StrokeAction, undo: StrokeAction, forMs: number): void {
    this.#strike(stroke);
    this.#after(forMs, () => this.#strike(undo));
  }

  #pick(): number {
    return this.#random.pick(this.#nodes);
  }

  #pickPair(): [number, number] {
    return [this.#pick(), this.#pick()];
  }

  #draw(low: number, high: number): number {
    return this.#random.between(low, high);
  }

  #drawDowntimeMs(): number {
    return this.#random.chance(500) ? this.#draw(1, 100) : this.#draw(100, 3000);
  }

  #after(ms: number, task: () => void): void {
    this.#afterUs(ms * US_PER_MS, task);
  }

  #afterUs(us: number, task: () => void): void {
    this.#world.scheduler.after(us, () => {
      if (!this.#stopped) task();
    });
  }
}
