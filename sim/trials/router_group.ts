/**
 * A group without consensus, for routers on trial: it decides by chance what becomes of a request, within what a real
 * group may do, and remembers it. A leader executes what it has taken in order; one that has been deposed may still have
 * executed a prefix of it, and refuses the rest. One that stops in order answers all that it has taken before it is gone.
 */
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { errorResult, type Request, type Result } from '../../src/kv/request.ts';
import type { Lane, RoutedReplica } from '../../src/server/router.ts';
import type { SimRandom } from '../random.ts';
import type { Scheduler } from '../scheduler.ts';

const REFUSED = errorResult('unavailable', 'this node does not lead');
const ROTTEN = errorResult('corruption', 'a table of this node is damaged');
const OPEN = errorResult('unknown', 'not decided in time');

interface Asked {
  readonly node: number;
  readonly lane: Lane;
  readonly isWrite: boolean;
  answer: 'refused' | 'open' | 'done' | null;
  isExecuted: boolean;
}

interface Taken {
  readonly id: number;
  readonly done: (result: Result) => void;
}

interface FakeNode {
  /** What it will do about what it has taken, oldest first. */
  readonly pending: Set<() => void>;
  believed: number | null;
  taken: Taken[];
}

export class UnansweredGroup {
  readonly #random: SimRandom;
  readonly #scheduler: Scheduler;
  readonly #delayUsMax: number;
  /** Of a thousand requests that a leader had taken when it was deposed, of how many it learns what became of them. */
  readonly #knownPermille: number;
  /** Of a thousand reads, how many meet damage on the node that was to answer them. */
  readonly #rotPermille: number;
  readonly #nodes: FakeNode[];
  readonly #asked = new Map<number, Asked>();
  readonly #lastOfLane = new Map<Lane, number>();
  /** What the reads of each lane have seen that were answered. */
  readonly #seenByLane = new Map<Lane, { readonly id: number; readonly revision: number }[]>();
  /** Writes that were executed. */
  #revision = 0;
  #leader: number | null = null;

  constructor(
    nodes: number,
    random: SimRandom,
    scheduler: Scheduler,
    delayUsMax: number,
    knownPermille: number,
  ) {
    this.#knownPermille = knownPermille;
    this.#random = random;
    this.#rotPermille = random.fork('rot').pick([0, 0, 100]);
    this.#scheduler = scheduler;
    this.#delayUsMax = delayUsMax;
    this.#nodes = Array.from({ length: nodes }, () => ({ pending: new Set(), believed: null, taken: [] }));
  }

  onAsked(id: number, node: number, lane: Lane, isWrite: boolean): void {
    this.#asked.set(id, { node, lane, isWrite, answer: null, isExecuted: false });
  }

  onAnswered(id: number, answer: 'refused' | 'open' | 'done'): void {
    const asked = this.#of(id);
    if (asked.answer !== null) throw new Error(`request ${id} is answered twice`);
    asked.answer = answer;
    if (!asked.isWrite) return;
    if (answer === 'refused' && asked.isExecuted) throw new Error(`write ${id} is refused, but was executed`);
    if (answer === 'done' && !asked.isExecuted)
      throw new Error(`write ${id} is acknowledged, but was not executed`);
  }

  /** Of one lane, no read sees less than one that was asked before it. */
  onRead(id: number, revision: number): void {
    const { lane } = this.#of(id);
    const seen = this.#seenByLane.get(lane) ?? [];
    this.#seenByLane.set(lane, seen);
    const odd = seen.find(
      (other) => other.id < id === other.revision > revision && other.revision !== revision,
    );
    if (odd !== undefined)
      throw new Error(`read ${id} saw ${revision} writes, and read ${odd.id} of its lane ${odd.revision}`);
    seen.push({ id, revision });
  }

  /** @returns How many requests its clients will not get an answer to. */
  onCrash(id: number): number {
    const node = this.#nodes[id - 1];
    if (this.#leader === id) this.#depose();
    node.pending.clear();
    node.taken = [];
    node.believed = null;
    let open = 0;
    for (const asked of this.#asked.values()) {
      if (asked.node !== id || asked.answer !== null) continue;
      asked.answer = 'open';
      open++;
    }
    return open;
  }

  /** Answers what it has taken, some of it after it has handed leadership over. It leads no more. */
  onLeave(id: number): void {
    const node = this.#nodes[id - 1];
    if (this.#leader === id && this.#random.chance(500)) this.#depose();
    for (const task of [...node.pending]) if (node.pending.delete(task)) task();
    if (this.#leader === id) this.#depose();
    node.believed = null;
    for (const [asked, { node: at, answer }] of this.#asked) {
      if (at === id && answer === null)
        throw new Error(`request ${asked} is not answered by a node that stops`);
    }
  }

  /** One of these leads, or nobody. */
  move(rivals: readonly number[]): void {
    this.#depose();
    this.#leader = this.#random.chance(200) ? null : this.#random.pick(rivals);
  }

  /** Everybody knows the leader from now on. */
  settle(): void {
    this.#depose();
    this.#leader = 1;
    for (const node of this.#nodes) node.believed = 1;
  }

  /** The node hears who leads. */
  learn(id: number): void {
    this.#nodes[id - 1].believed = this.#leader;
  }

  replicaOf(id: number): RoutedReplica {
    const node = this.#nodes[id - 1];
    const take = (request: Request, done: (result: Result) => void): void => this.#take(id, request, done);
    return {
      get isLeader() {
        return node.believed === id;
      },
      get leader() {
        return node.believed;
      },
      servesReads: false,
      isAlone: false,
      propose: take,
      read: take,
      administer: take,
    };
  }

  #take(id: number, request: Request, done: (result: Result) => void): void {
    const node = this.#nodes[id - 1];
    if (node.believed !== id) {
      done(REFUSED);
      return;
    }
    const afterUs = 1 + this.#random.below(2 * this.#delayUsMax);
    if (request.type !== 'append') {
      const key = request.type === 'get' ? fromUtf8(request.key) : '';
      const isVouchedFor = this.#leader === id;
      const isRotten = this.#rotPermille > 0 && this.#random.chance(this.#rotPermille);
      // As of the time at which it is answered: what was asked behind it may have been answered before.
      this.#later(node, afterUs, () => {
        if (!isVouchedFor) done(REFUSED);
        else done(isRotten ? ROTTEN : { type: 'value', value: utf8(`${key}@${this.#revision}`) });
      });
      return;
    }
    const taken = { id: Number(fromUtf8(request.value)), done };
    const isReal = this.#leader === id;
    if (isReal) node.taken.push(taken);
    this.#later(node, afterUs, () => {
      // Taken while it no longer led: it comes to nothing.
      if (!isReal) done(REFUSED);
      else if (this.#leader === id) this.#executeUpTo(node, taken);
    });
  }

  #executeUpTo(node: FakeNode, last: Taken): void {
    const at = node.taken.indexOf(last);
    if (at < 0) return;
    for (const taken of node.taken.splice(0, at + 1)) {
      this.#execute(taken.id);
      taken.done({ type: 'count', count: taken.id });
    }
  }

  #depose(): void {
    if (this.#leader === null) return;
    const node = this.#nodes[this.#leader - 1];
    const { taken } = node;
    node.taken = [];
    this.#leader = null;
    const kept = this.#random.below(taken.length + 1);
    for (const [at, { id, done }] of taken.entries()) {
      if (at < kept) this.#execute(id);
      const knows = this.#random.chance(this.#knownPermille);
      const executed: Result = { type: 'count', count: id };
      const result = at < kept ? executed : REFUSED;
      this.#later(node, 1 + this.#random.below(2 * this.#delayUsMax), () => done(knows ? result : OPEN));
    }
  }

  #execute(id: number): void {
    const asked = this.#of(id);
    if (asked.isExecuted) throw new Error(`write ${id} is executed twice`);
    if (asked.answer === 'refused') throw new Error(`write ${id} was refused, and is executed`);
    asked.isExecuted = true;
    this.#revision++;
    const before = this.#lastOfLane.get(asked.lane) ?? 0;
    // Whoever was told that it may yet take effect knows that.
    if (before > id && asked.answer !== 'open')
      throw new Error(`write ${id} is executed behind ${before}, which was asked later`);
    this.#lastOfLane.set(asked.lane, id);
  }

  #later(node: FakeNode, us: number, task: () => void): void {
    node.pending.add(task);
    this.#scheduler.after(us, () => {
      if (node.pending.delete(task)) task();
    });
  }

  #of(id: number): Asked {
    const asked = this.#asked.get(id);
    if (asked === undefined) throw new Error(`nobody asked for ${id}`);
    return asked;
  }
}
