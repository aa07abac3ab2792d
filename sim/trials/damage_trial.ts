/**
 * Logs that rot: consensus cores over real logs, whose machines lose power and whose logs are damaged, while they are down
 * and while they run, in payloads, headers and whole sectors. In half of the trials only a minority of the machines is ever damaged: then all
 * must be whole again in the end, nothing that was applied anywhere lost. In the others any machine is: then nothing may be
 * lost or contradicted, and the group may have to wait.
 *
 * Each trial also puts one point of the lattice of damaged copies to the test (`damage_lattice.ts`).
 */
import { utf8 } from '../../src/codec/bytes.ts';
import type { SimRandom } from '../random.ts';
import { TIMEOUT_US, US_PER_MS } from './core_weather.ts';
import { DamageGroup, type DamageNode } from './damage_group.ts';
import { type NodeState, nodeStates, tryLattice } from './damage_lattice.ts';
import { loseTail, rotLateEntry, rotLog, segmentsOf } from './log_rot.ts';
import { type Mark, runTrial } from './trial.ts';

const STORM_TIMEOUTS = 30;
const CALM_TIMEOUTS = 60;
const ENTRIES = 3;
const FORGETFUL_PERMILLE = 500;
const SOLE_PERMILLE = 300;
const MENDING_CRASH_PERMILLE = 100;
const DISASTER_PERMILLE = 100;
const STRIKE_TIMEOUTS = 3;

/** What went wrong, or null. */
export function tryDamage(random: SimRandom, mark?: Mark): string | null {
  return (
    runTrial(random, mark, ['short-append', 'low-probe'], () =>
      new DamageTrial(random.fork('storm')).run(),
    ) ?? runTrial(random, mark, [], () => tryPoint(random.fork('lattice')))
  );
}

function tryPoint(random: SimRandom): void {
  const states = nodeStates(ENTRIES);
  const nodes = random.pick([3, 5]);
  const terms = random.pick([
    [1, 1, 1],
    [1, 1, 2],
    [1, 2, 3],
  ]);
  if (random.fork('sole').chance(SOLE_PERMILLE)) {
    tryLattice({ states: soleStates(nodes, random), terms, links: 'of-the-longest' }, random);
    return;
  }
  const drawn = Array.from({ length: nodes }, () => random.pick(states));
  if (random.chance(FORGETFUL_PERMILLE)) {
    const at = random.below(nodes);
    const state = drawn[at] ?? null;
    if (state !== null && state.length < ENTRIES) drawn[at] = { ...state, forgets: true };
  }
  tryLattice({ states: drawn, terms }, random);
}

/** The last entries were written by one node alone, and are damaged there: nobody can give them back to it. */
function soleStates(nodes: number, random: SimRandom): NodeState[] {
  const others = random.below(ENTRIES);
  const length = random.between(others + 1, ENTRIES);
  const damaged = new Set([random.between(others + 1, length)]);
  if (random.chance(500)) damaged.add(random.between(1, length));
  const states: NodeState[] = Array.from({ length: nodes }, () => ({ length: others, damaged: new Set() }));
  states[random.below(nodes)] = { length, damaged };
  return states;
}

class DamageTrial {
  readonly #random: SimRandom;
  readonly #group: DamageGroup;
  readonly #mode: 'minority' | 'any';
  /** Whose logs may rot. */
  readonly #rotten: readonly DamageNode[];
  readonly #everyUs: number;
  readonly #syncUsMax: number;
  readonly #payloadBytesMax: number;
  #writes = 0;
  #isCalm = false;

  constructor(random: SimRandom) {
    this.#random = random;
    const nodes = random.pick([3, 3, 5]);
    this.#syncUsMax = random.pick([200, 5000]);
    this.#group = new DamageGroup({
      random,
      nodes,
      segmentBytes: 1 << random.between(9, 13),
      syncUs: { min: 100, max: this.#syncUsMax },
      delayUsMax: random.pick([1, 10]) * US_PER_MS,
    });
    this.#mode = random.pick(['minority', 'any']);
    const candidates = [...this.#group.nodes];
    const rotten: DamageNode[] = [];
    const count = this.#mode === 'any' ? nodes : (nodes - 1) >> 1;
    while (rotten.length < count) rotten.push(...candidates.splice(random.below(candidates.length), 1));
    this.#rotten = rotten;
    this.#everyUs = TIMEOUT_US >> random.between(1, 4);
    this.#payloadBytesMax = random.pick([1, 60, 400]);
  }

  run(): void {
    const group = this.#group;
    for (const node of group.nodes) group.start(node);
    group.onAct = (node) => this.#strikeMending(node);
    this.#stir();
    this.#runFor(STORM_TIMEOUTS);
    this.#isCalm = true;
    group.cut.clear();
    for (const node of group.nodes) if (node.raft === null) group.start(node);
    for (let waited = 0; waited < CALM_TIMEOUTS && !this.#isWell(); waited++) {
      this.#propose();
      this.#runFor(1);
    }
    if (group.failure !== null) throw new Error(group.failure);
    if (this.#mode === 'any' || this.#isWell()) return;
    const lines = group.nodes.map(({ id, raft, groupLog, applied }) => {
      const { role, term, commitIndex, mending } = raft ?? {};
      return `${id} is ${role} in term ${term}, has committed ${commitIndex}, applied ${applied} of ${groupLog?.lastIndex}, mends ${JSON.stringify(mending)}`;
    });
    throw new Error(`the group is not whole again:\n${lines.join('\n')}`);
  }

  /** Everybody can read all that there is, and has applied what anybody ever has, and more. */
  #isWell(): boolean {
    const { nodes, appliedIndex } = this.#group;
    return nodes.every(
      ({ groupLog, applied, raft }) =>
        groupLog?.damagedCount === 0 && applied === appliedIndex && raft?.commitIndex === groupLog.lastIndex,
    );
  }

  #runFor(timeouts: number): void {
    const { scheduler } = this.#group;
    for (let part = 0; part < timeouts && this.#group.failure === null; part++) {
      scheduler.runUntil(scheduler.nowUs + TIMEOUT_US);
    }
  }

  #stir(): void {
    this.#group.scheduler.after(this.#random.below(2 * this.#everyUs), () => {
      if (this.#isCalm || this.#group.failure !== null) return;
      this.#happen();
      this.#stir();
    });
  }

  #happen(): void {
    const random = this.#random;
    const node = random.pick(this.#group.nodes);
    for (let count = random.between(0, 4); count > 0; count--) this.#propose();
    if (random.chance(150)) this.#crash(node);
    if (random.chance(150)) this.#cutLinks(node);
    if (this.#mode === 'any' && random.chance(DISASTER_PERMILLE)) this.#strikeTwo();
    if (random.chance(100)) this.#rot(node);
  }

  /**
   * A minority is cut off while the others go on. Then all links are whole again, but of those who hold what the minority
   * has not, one forgets its last entries, and another one cannot read one of them.
   */
  #strikeTwo(): void {
    const group = this.#group;
    const { nodes, scheduler } = group;
    const behind = this.#random.below(nodes.length);
    const minority = (nodes.length - 1) >> 1;
    for (let count = 0; count < minority; count++) this.#cutOff(nodes[(behind + count) % nodes.length]);
    const [first, second] = [minority, minority + 1].map((at) => nodes[(behind + at) % nodes.length]);
    for (let tenths = 1; tenths <= 10 * STRIKE_TIMEOUTS; tenths++) {
      scheduler.after((tenths * TIMEOUT_US) / 10, () => {
        if (!this.#isCalm && group.failure === null) this.#propose();
      });
    }
    scheduler.after((STRIKE_TIMEOUTS + 1) * TIMEOUT_US, () => {
      if (this.#isCalm || group.failure !== null) return;
      group.cut.clear();
      if (first.raft === null || second.raft === null) return;
      for (const node of [first, second]) {
        group.end(node, 'power');
        node.kept = 0;
        this.#startLater(node);
      }
      loseTail(first.disk, this.#random);
      rotLateEntry(second.disk, this.#random);
    });
  }

  /** Who mends may lose its power in the middle of it. */
  #strikeMending(node: DamageNode): void {
    if (this.#isCalm || node.groupLog?.damagedCount === 0 || !this.#random.chance(MENDING_CRASH_PERMILLE))
      return;
    const { raft } = node;
    this.#group.scheduler.after(1 + this.#random.below(this.#syncUsMax), () => {
      if (node.raft === raft && !this.#isCalm && this.#group.failure === null) this.#crash(node);
    });
  }

  /** While it runs: it meets that when it reads what it gives to others, or applies. */
  #rot(node: DamageNode): void {
    if (node.raft === null || !this.#rotten.includes(node)) return;
    if (rotLog(node.disk, this.#random, node.groupLog?.durableIndex ?? 0)) node.hasRotted = true;
  }

  #propose(): void {
    const { leader } = this.#group;
    if (leader === null) return;
    const filler = 'x'.repeat(this.#random.below(this.#payloadBytesMax));
    this.#group.act(leader, (raft) => raft.propose(utf8(`${++this.#writes}${filler}`)));
  }

  #crash(node: DamageNode): void {
    const group = this.#group;
    const random = this.#random;
    if (node.raft === null) return;
    group.end(node, random.chance(500) ? 'power' : 'process');
    if (this.#rotten.includes(node) && random.chance(600) && rotLog(node.disk, random)) node.kept = 0;
    if (this.#rotten.includes(node) && random.chance(200)) this.#loseSegment(node);
    this.#startLater(node);
  }

  #startLater(node: DamageNode): void {
    const group = this.#group;
    group.scheduler.after(this.#random.below(4 * TIMEOUT_US), () => {
      if (!this.#isCalm && node.raft === null && group.failure === null) group.start(node);
    });
  }

  /** Not the last: that there was one behind the others nobody knows. */
  #loseSegment(node: DamageNode): void {
    const paths = segmentsOf(node.disk).slice(1, -1);
    if (paths.length === 0 || node.lost !== null) return;
    this.#group.loseSegment(node, this.#random.pick(paths));
    node.kept = 0;
  }

  /** One node is cut off, or all links are whole again. */
  #cutLinks(node: DamageNode): void {
    const { cut } = this.#group;
    if (cut.size > 0) {
      cut.clear();
      return;
    }
    this.#cutOff(node);
  }

  #cutOff(node: DamageNode): void {
    const { cut, nodes } = this.#group;
    for (const other of nodes) {
      cut.add(`${node.id}>${other.id}`);
      cut.add(`${other.id}>${node.id}`);
    }
  }
}
