/**
 * How a run ends: the calm, in which the cluster must come back; the blackout, after which only what was durable is
 * left; now and then a steady time with links cut for good; the shutdown. What clients saw is reckoned with in between.
 * `world.ts` says in what order.
 */
import { assert } from '../src/base/assert.ts';
import { CorruptionError } from '../src/base/errors.ts';
import { rarely } from '../src/base/rare.ts';
import type { GroupLog } from '../src/log/group_log.ts';
import type { Store } from '../src/lsm/store.ts';
import type { Machine } from './machine.ts';
import type { SimRandom } from './random.ts';
import { compareReplicas } from './replica_equality.ts';
import { hostOf } from './strokes.ts';
import type { World } from './world.ts';

/** After healing, this many election timeouts may pass before every key can be read. */
const CALM_ELECTION_TIMEOUTS_MAX = 60;
/** By then an operation on a disk that had failed before the calm has told its node. */
const LAST_ERRORS_MS = 2000;
/** Of a thousand runs, how many end with links cut for good. */
const STEADY_PERMILLE = 300;
/** Election timeouts after which the cluster must have settled, and for which it is then watched. */
const STEADY_AFTER_TIMEOUTS = 20;
const STEADY_FOR_TIMEOUTS = 10;
/** To leave one node and to find that another one answers. */
const STRAY_MS = 500;
const SHUT_DOWN_MS = 4000;
/** A closing connection may linger for a second. */
const LINGER_MS = 1500;

export class Endings {
  readonly #world: World;
  #waited = false;
  /** Machines that are started again, once each, if they give up now: over what befell them before the calm. */
  readonly #toRestart = new Set<Machine>();
  /** The cluster must come back: not more machines were harmed than it can do without. Known from the calm on. */
  #mustServe = true;

  constructor(world: World) {
    this.#world = world;
  }

  /** Too many machines were harmed for the cluster to serve again, and it did not. */
  get waited(): boolean {
    return this.#waited;
  }

  /** The cluster must come back. */
  get mustServe(): boolean {
    return this.#mustServe;
  }

  /** Everything is healed; the cluster must serve each client again within the bound. */
  calm(): void {
    this.#world.note('calm');
    const isHealthy = ({ id }: Machine): boolean =>
      !this.#world.atlas.isDamaged(id) && !this.#world.atlas.isDownForGood(id);
    this.#mustServe = this.#world.members.isMajority((id) => isHealthy(this.#world.machine(id)));
    assert(this.#mustServe || this.#world.options.damage === 'unrecoverable', 'a minority is harmed at most');
    this.#world.network.healAll();
    this.#world.network.setFaults({ longTailPermille: 0, bitFlipPerMillion: 0 });
    for (const client of this.#world.clients) client.stop();
    for (const machine of this.#world.machines) {
      const { id, process, clock, disk } = machine;
      if (!this.#world.members.isWanted(id)) continue;
      disk.heal();
      const { atlas } = this.#world;
      const isMendable = atlas.isMendable(id) && !atlas.isDownForGood(id);
      if (this.#mustServe && isMendable && atlas.hasRottenLog(id)) {
        // What is damaged is found, and mended, at the start.
        rarely('a machine whose log has rotted is in the calm');
        if (process.alive) this.#world.lifecycle.crash(machine);
      } else if (this.#mustServe && atlas.isDamaged(id) && !isMendable) {
        // Nothing repairs that: an operator takes it out.
        if (process.alive) this.#world.lifecycle.crash(machine);
        atlas.retire(id);
        continue;
      }
      clock.setDriftPpm(0);
      clock.thaw();
      process.setTaskUs(0);
      process.resume();
      if (machine.node?.isStopped === true) this.#world.lifecycle.kill(machine);
      if (!process.alive) this.#world.lifecycle.boot(machine);
      this.#toRestart.add(machine);
    }
    this.#readAll('calm');
    this.#toRestart.clear();
  }

  /** An error of the disk that came before the calm may reach the node only now, which then ends. */
  #restart(): void {
    for (const machine of this.#toRestart) {
      if (machine.process.alive) continue;
      rarely('a node gives up in the calm over what came before');
      this.#toRestart.delete(machine);
      this.#world.lifecycle.boot(machine);
    }
  }

  /** All machines lose their power at once: what was acknowledged must be on the disks. */
  blackout(): void {
    this.#world.note('blackout');
    for (const machine of this.#world.machines)
      if (machine.process.alive) this.#world.lifecycle.crash(machine);
    for (const machine of this.#world.machines) {
      if (this.#world.members.isWanted(machine.id)) this.#world.lifecycle.boot(machine);
    }
    this.#readAll('the blackout');
  }

  /**
   * Some links are cut for good, but one node still reaches a majority: the cluster must settle on a leader within the
   * bound, if the votes can be had at all, and then keep it. Pre-vote, CheckQuorum and stickiness together promise that,
   * none of them alone.
   */
  steady(): void {
    const random = this.#world.random.fork('steady');
    const { timing } = this.#world.options;
    const voters = this.#voters();
    const half = voters.length >> 1;
    if (voters.length < 3 || !this.#mustServe || !random.chance(STEADY_PERMILLE)) return;
    this.#world.note('steady');
    const inService = voters.map(({ id }) => id).filter((id) => !this.#world.atlas.isDownForGood(id));
    const hub = random.pick(inService);
    const kept = new Set(
      shuffled(inService, random)
        .filter((id) => id !== hub)
        .slice(0, half),
    );
    for (const { id: a } of this.#world.machines) {
      for (const { id: b } of this.#world.machines) {
        const isKept = (a === hub && kept.has(b)) || (b === hub && kept.has(a));
        if (a >= b || isKept || random.chance(300)) continue;
        this.#world.network.block(hostOf(a), hostOf(b));
        this.#world.network.block(hostOf(b), hostOf(a));
      }
    }
    const leader = this.#world.leader();
    const keeps = leader !== null && this.#reached(leader).length > half;
    const atFirst = this.#terms();
    this.#world.advance(STEADY_AFTER_TIMEOUTS * timing.electionTimeoutMs);
    const before = this.#terms();
    if (keeps && before !== atFirst) {
      const what = `node ${leader} led and reaches a majority, but terms went from ${atFirst} to ${before}`;
      this.#world.fail('steadiness', `with links cut, ${what}`);
    }
    this.#world.advance(STEADY_FOR_TIMEOUTS * timing.electionTimeoutMs);
    if (this.#world.failed) return;
    if (this.#world.leader() === null) {
      if (this.#canElect(half))
        this.#world.fail(
          'steadiness',
          'nobody leads, although a node reaches a majority that may vote for it',
        );
      else rarely('a node reaches a majority, and one of those has a longer log');
    }
    const after = this.#terms();
    if (after !== before) {
      this.#world.fail(
        'steadiness',
        `with links cut but a majority connected, terms went from ${before} to ${after}`,
      );
    }
    this.#world.network.healAll();
    this.#readAll('the links were joined');
  }

  /** Machines of those who vote, be they down for good. */
  #voters(): Machine[] {
    const { voters } = this.#world.members.committed;
    return this.#world.machines.filter(({ id }) => voters.includes(id));
  }

  /** One of the voters reaches more than `half` of them that may vote for it. */
  #canElect(half: number): boolean {
    return this.#voters().some(({ id, node }) => {
      if (node === null) return false;
      return this.#reached(id).filter((voter) => mayVote(voter, node.groupLog)).length > half;
    });
  }

  /** Voters that it can talk with, both ways, itself among them. */
  #reached(node: number): Machine[] {
    const host = hostOf(node);
    const isFree = (other: string): boolean =>
      this.#world.network.isBlocked(host, other) === 'free' &&
      this.#world.network.isBlocked(other, host) === 'free';
    const voters = this.#voters().filter(({ id }) => !this.#world.atlas.isDownForGood(id));
    return voters.filter((machine) => machine.id === node || isFree(machine.host));
  }

  #terms(): string {
    return this.#voters()
      .map(({ node }) => node?.replica.raft.term ?? 'down')
      .join(', ');
  }

  /** All nodes stop in order: then nothing of them may be left, no timer, no open file, no connection. */
  shutDown(): void {
    this.#world.note('shut-down');
    // Nobody has waited for those who are no members.
    for (
      let waitedMs = 0;
      this.#isStarting() && waitedMs < SHUT_DOWN_MS && !this.#world.failed;
      waitedMs += 100
    )
      this.#world.advance(100);
    let running = 0;
    for (const machine of this.#world.machines) {
      const { id, node, process } = machine;
      if (node === null || node.isStopped) continue;
      running++;
      process.run(() =>
        node.stop((error) => {
          running--;
          if (error !== null)
            this.#world.lifecycle.onNodeError(machine, 'stop', 'did not stop in order', error);
          // A timer that is left would soon run out and not be seen any more.
          const { timers } = process.holdings;
          if (timers > 0)
            this.#world.fail('leak', `node ${id} says that it has stopped and holds ${timers} timers`);
        }),
      );
    }
    // Handing over takes two election timeouts at most, and a slow disk its own time.
    const boundMs = SHUT_DOWN_MS + 2 * this.#world.options.timing.electionTimeoutMs;
    for (let waitedMs = 0; running > 0 && waitedMs < boundMs && !this.#world.failed; waitedMs += 100)
      this.#world.advance(100);
    this.#world.advance(LINGER_MS);
    if (this.#world.failed) return;
    if (running > 0) this.#world.fail('stop', `${running} nodes have not stopped after ${boundMs} ms`);
    for (const { id, process } of this.#world.machines) {
      const { timers, files, connections } = process.holdings;
      if (timers + files + connections === 0) continue;
      const held = `${timers} timers, ${files} open files and ${connections} connections`;
      this.#world.fail('leak', `node ${id} has stopped in order and still holds ${held}`);
    }
  }

  /** A node has files open, and cannot be told to stop yet. */
  #isStarting(): boolean {
    return this.#world.machines.some(({ node, process }) => node === null && process.holdings.files > 0);
  }

  /** Every key is read again, and the replicas catch up with each other, within the bound. */
  #readAll(after: string): void {
    const keys = this.#world.history.keys();
    let unfinished = 1;
    this.#world.clients[0].readAll(keys, () => {
      unfinished--;
      // Nobody writes any more.
      for (const watcher of this.#world.watchers) {
        unfinished++;
        watcher.finish(() => unfinished--);
      }
    });
    const { timing, tuning, workload, spares } = this.#world.options;
    // Who asks those first that do not belong to the group any more is told by each that it knows no leader.
    const strayMs = spares > 0 ? this.#world.machines.length * (tuning.noLeaderMs + STRAY_MS) : 0;
    const boundMs =
      CALM_ELECTION_TIMEOUTS_MAX * timing.electionTimeoutMs + 2 * workload.patienceMs + 2 * strayMs;
    if (!this.#mustServe) {
      this.#world.advance(boundMs >> 2);
      if (unfinished > 0) this.#waited = true;
      return;
    }
    for (let waitedMs = 0; waitedMs < boundMs && !this.#world.failed; waitedMs += 100) {
      if (waitedMs < LAST_ERRORS_MS) this.#restart();
      const { isSettled } = this.#world.members;
      if (unfinished === 0 && isSettled && this.#replicasAgree() && this.#areWhole()) {
        this.#compare();
        return;
      }
      this.#world.advance(100);
    }
    if (this.#world.failed) return;
    const applied = this.#world.machines.map(({ node }) => node?.replica.appliedIndex ?? 'down').join(', ');
    const damaged = this.#world.machines
      .map(({ node }) => node?.store.quarantined.length ?? 'down')
      .join(', ');
    const group = this.#world.members.describe();
    const state = `the replicas had applied ${applied}, and of their tables ${damaged} were damaged; ${group}`;
    const behind = this.#world.watchers.map((watcher) => watcher.difference).join('; ');
    const what =
      unfinished > 0 ? `not every key could be read, or a feed's copy is behind: ${behind}; ${state}` : state;
    this.#world.fail('liveness', `${boundMs} ms after ${after} ${what}`);
  }

  /** All nodes are up and have applied all that any of them has. */
  #replicasAgree(): boolean {
    const [first, ...rest] = this.#world.inService().map(({ node }) => node?.replica.appliedIndex ?? -1);
    return first !== -1 && rest.every((index) => index === first);
  }

  /** All tables can be read. One that cannot is told its node, as a reader would, and must then be mended in time. */
  #areWhole(): boolean {
    let whole = true;
    for (const { node, process } of this.#world.inService()) {
      if (node === null || node.isStopped) continue;
      const error = findDamage(node.store);
      if (error === null) continue;
      whole = false;
      process.run(() => node.store.noteDamage(error));
    }
    return whole;
  }

  #compare(): void {
    const difference = compareReplicas(this.#world.inService());
    if (difference !== null) this.#world.fail('replica equality', difference);
  }
}

/** Raft, section 5.4.1: for none whose log is behind its own, nor behind what it may have forgotten. */
function mayVote({ node }: Machine, candidate: Pick<GroupLog, 'lastIndex' | 'lastTerm'>): boolean {
  if (node === null) return false;
  const { lastIndex, lastTerm, damage } = node.groupLog;
  if (damage.isFenced && candidate.lastTerm <= damage.fenceTerm) return false;
  if (candidate.lastTerm !== lastTerm) return candidate.lastTerm > lastTerm;
  return candidate.lastIndex >= lastIndex;
}

/** Of its tables, in whatever can be seen of them; null: there is none. */
function findDamage(store: Store): CorruptionError | null {
  try {
    const iterator = store.iterator();
    try {
      while (iterator.next()) iterator.value();
    } finally {
      iterator.close();
    }
    return store.quarantined[0]?.damage ?? null;
  } catch (error) {
    if (error instanceof CorruptionError) return error;
    throw error;
  }
}

function shuffled<T>(items: readonly T[], random: SimRandom): T[] {
  const rest = [...items];
  return items.map(() => rest.splice(random.below(rest.length), 1)[0]);
}
