/**
 * Whole nodes, of which a minority goes wrong: while an entry is applied there, a value is another one than was asked for,
 * as a bug or a bit of memory may have it. Keys are written, counted and read by way of any node; machines crash, leaders
 * hand over. Who has gone wrong must find out, tell it, and be rebuilt; who has not must never take itself for the odd
 * one; and from the moment of the alarm on no answer comes from what is wrong. In the end all hold the same bytes.
 *
 * Before the alarm wrong answers are what they are: only those are excused which were asked for while a value of that
 * key was wrong somewhere and nobody knew. What is wrong and not known yet goes on to those who take a snapshot of it.
 * Where a majority may hold it no rule tells who is odd: the trial ends there.
 */
import { assert } from '../../src/base/assert.ts';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { LogFields } from '../../src/io/logger.ts';
import { storeKey } from '../../src/kv/key_space.ts';
import type { Request, Result } from '../../src/kv/request.ts';
import { decodeStored, encodeStored, NEVER } from '../../src/kv/stored_value.ts';
import type { Node, NodeOptions } from '../../src/server/node.ts';
import { Lane } from '../../src/server/router.ts';
import { Invariants } from '../invariants.ts';
import type { SimRandom } from '../random.ts';
import { compareReplicas } from '../replica_equality.ts';
import { type GroupMachine, NodeGroup } from './node_group.ts';
import { type Mark, runTrial } from './trial.ts';

const US_PER_MS = 1000;
const STORM_MS = 1400;
const ROUNDS_MAX = 30;
const STEP_MS = 10;
/** Requests of one step, at most: each costs as much as all that is found out by it. */
const ASKS_MAX = 4;
/** Says that this node is the odd one. */
const NOTE = '/data/odd';
const BUCKET = 'b';
/** Added to a value that is changed; nothing else comes near, and only SET makes a value right again. */
const WRONG = 1_000_000_000_000n;
const MAYBES = ['short-append', 'needless-snapshot', 'slow-install'];

/** What is wrong with a machine. */
interface Sickness {
  /** Keys whose values are wrong here, since they were changed and nobody knows it yet. */
  readonly wrong: Set<string>;
  /** Those of them that it knows not to show; they come back with a crash that makes it forget. */
  hidden: ReadonlySet<string> | null;
  /** The next entry that is applied changes a value. */
  isDue: boolean;
  /** In this life of its process it has been found out, or changed. */
  wasChanged: boolean;
}

interface Key {
  readonly name: string;
  value: bigint;
  isAsked: boolean;
}

/** What went wrong, or null. */
export function tryDivergence(random: SimRandom, mark?: Mark): string | null {
  return runTrial(random, mark, MAYBES, () => new DivergenceTrial(random).run());
}

class DivergenceTrial {
  readonly #random: SimRandom;
  readonly #group: NodeGroup;
  readonly #invariants: Invariants;
  readonly #sickness = new Map<GroupMachine, Sickness>();
  readonly #victims: readonly GroupMachine[];
  /** The victims, and who has taken what was wrong there from one of them. */
  readonly #harmed: Set<GroupMachine>;
  readonly #windowEntries: number;
  readonly #memtableBytes: number;
  readonly #logTailEntries: number | null;
  readonly #chunkBytes: number;
  readonly #bytesPerSecondMax: number;
  readonly #crashPermille: number;
  readonly #keys: Key[] = [];
  /** Those of which it is not known what they are: what is wrong of them shows only when they are written as well. */
  readonly #left: string[] = [];
  #names = 0;
  /** So that no two write the same. */
  #writes = 0;

  constructor(random: SimRandom) {
    this.#random = random;
    const nodes = random.pick([3, 3, 5]);
    this.#invariants = new Invariants(nodes);
    this.#group = new NodeGroup({
      random,
      machines: nodes,
      nodeOptions: (machine) => this.#nodeOptions(machine),
      onOpen: (machine, node) => this.#plant(machine, node),
    });
    for (const machine of this.#group.machines) {
      this.#sickness.set(machine, { wrong: new Set(), hidden: null, isDue: false, wasChanged: false });
    }
    const first = random.below(nodes);
    const victims = random.between(1, (nodes - 1) / 2);
    this.#victims = this.#group.machines.filter((_machine, at) => (at - first + nodes) % nodes < victims);
    this.#harmed = new Set(this.#victims);
    this.#windowEntries = random.between(1, 6);
    this.#memtableBytes = 1 << random.between(9, 14);
    this.#logTailEntries = random.pick([null, 4, 50]);
    this.#chunkBytes = random.pick([1, 100, 4000]);
    this.#bytesPerSecondMax = random.pick([1000, 3000, 10_000_000]);
    this.#crashPermille = random.pick([0, 0, 5, 20]);
    for (let keys = random.pick([2, 6, 20]); keys > 0; keys--) this.#keys.push(this.#newKey());
  }

  run(): void {
    for (const machine of this.#group.machines) this.#boot(machine);
    while (this.#group.nowMs < STORM_MS) {
      this.#advance(STEP_MS);
      if (this.#isOfMajority) return;
      this.#ask();
      this.#stroke();
    }
    for (const sickness of this.#sickness.values()) sickness.isDue = false;
    for (let round = 0; !this.#isSettled(); round += this.#isWaiting ? 0 : 1) {
      if (round === ROUNDS_MAX) throw new Error(`${ROUNDS_MAX} rounds into the calm: ${this.#describe()}`);
      for (const machine of this.#group.machines) if (!machine.isUp) this.#boot(machine);
      for (const key of [...this.#keys]) this.#askOf(key, 'add');
      for (const name of this.#left) this.#askOf({ name, value: 0n, isAsked: false }, 'add');
      this.#advance(500);
      for (let waitedMs = 0; waitedMs < 2000 && !this.#isLevel; waitedMs += STEP_MS) this.#advance(STEP_MS);
      if (this.#isOfMajority) return;
    }
    for (const key of this.#keys) this.#askOf(key, 'get');
    this.#advance(1000);
  }

  #newKey(): Key {
    return { name: `k${++this.#names}`, value: 0n, isAsked: false };
  }

  #advance(ms: number): void {
    this.#group.advanceChecked(ms, this.#invariants);
  }

  #sicknessOf(machine: GroupMachine): Sickness {
    const sickness = this.#sickness.get(machine);
    assert(sickness !== undefined, 'every machine has one', { machine: machine.id });
    return sickness;
  }

  #nodeOptions(machine: GroupMachine): Partial<NodeOptions> {
    return {
      logger: { log: (_level, event, fields) => this.#onEvent(machine, event, fields) },
      digestWindowEntries: this.#windowEntries,
      snapshots: {
        logTailEntries: this.#logTailEntries,
        chunkBytes: this.#chunkBytes,
        bytesPerSecondMax: this.#bytesPerSecondMax,
      },
      store: { memtableBytes: this.#memtableBytes },
    };
  }

  #boot(machine: GroupMachine): void {
    this.#sicknessOf(machine).wasChanged = false;
    this.#group.boot(machine);
  }

  get #isOfMajority(): boolean {
    return 2 * this.#harmed.size > this.#group.machines.length;
  }

  #fail(why: string): void {
    if (!this.#isOfMajority) this.#group.fail(new Error(why));
  }

  /** What it holds may have come from another machine. */
  #lookForHarm(machine: GroupMachine, store: Node['store'] | undefined): void {
    const { hidden, wrong } = this.#sicknessOf(machine);
    if (store === undefined || hidden !== null) return;
    for (let n = 1; n <= this.#names; n++) {
      const stored = store.get(storeKey(BUCKET, utf8(`k${n}`)));
      if (stored === null || BigInt(fromUtf8(decodeStored(stored).value)) < WRONG) continue;
      wrong.add(`k${n}`);
      this.#harmed.add(machine);
    }
  }

  /** A value is changed inside of an entry that is due, past whatever looks at what is written. */
  #plant(machine: GroupMachine, { store }: Node): void {
    const sickness = this.#sicknessOf(machine);
    this.#lookForHarm(machine, store);
    const beginEntry = store.beginEntry.bind(store);
    store.beginEntry = (index) => {
      beginEntry(index);
      if (!sickness.isDue || machine.node?.store !== store) return;
      const { name } = this.#random.pick(this.#keys);
      const stored = store.get(storeKey(BUCKET, utf8(name)));
      if (stored === null) return;
      sickness.isDue = false;
      sickness.wasChanged = true;
      sickness.wrong.add(name);
      const wrong = BigInt(fromUtf8(decodeStored(stored).value)) + WRONG;
      store.put(storeKey(BUCKET, utf8(name)), encodeStored(utf8(String(wrong)), index, NEVER));
    };
  }

  #onEvent(machine: GroupMachine, event: string, fields: LogFields = {}): void {
    const sickness = this.#sicknessOf(machine);
    const fail = (why: string): void => {
      this.#fail(`node ${machine.id}: ${event} ${JSON.stringify(fields)}: ${why}`);
    };
    if (event === 'state-odd-one-out' || event === 'state-rebuild-resumed') {
      if (!this.#harmed.has(machine)) fail('nothing was changed there');
      sickness.wasChanged = true;
      sickness.hidden ??= new Set(sickness.wrong);
      sickness.wrong.clear();
      // What it is told by then may be on its disk or not.
      const crashesInMs = this.#random.below(this.#random.pick([8, 30, 100]));
      if (this.#random.chance(700)) {
        this.#group.scheduler.after(crashesInMs * US_PER_MS, () => this.#crash(machine));
      }
    } else if (event === 'snapshot-installed') this.#lookForHarm(machine, machine.node?.store);
    else if (event === 'state-rebuilt') {
      sickness.hidden = null;
      this.#lookForHarm(machine, machine.node?.store);
    } else if (event === 'state-rebuild-given-up') fail('it was found out once a life');
  }

  #stroke(): void {
    const random = this.#random;
    for (const machine of this.#victims) {
      const sickness = this.#sicknessOf(machine);
      if (!sickness.wasChanged && sickness.hidden === null && random.chance(40)) sickness.isDue = true;
    }
    if (random.chance(20)) random.pick(this.#group.machines).node?.replica.transferLeadership(null);
    if (random.chance(this.#crashPermille)) this.#crash(random.pick(this.#group.machines));
    for (const machine of this.#group.machines) {
      if (!machine.isUp && random.chance(60)) this.#boot(machine);
    }
  }

  #crash(machine: GroupMachine): void {
    if (!machine.isUp) return;
    this.#group.crash(machine);
    const sickness = this.#sicknessOf(machine);
    sickness.isDue = false;
    const { hidden, wrong } = sickness;
    if (hidden === null || machine.disk.files().includes(NOTE)) return;
    for (const name of hidden) wrong.add(name);
    sickness.hidden = null;
  }

  #ask(): void {
    const random = this.#random;
    for (let asks = random.between(0, ASKS_MAX); asks > 0; asks--) {
      this.#askOf(random.pick(this.#keys), random.pick(['get', 'get', 'add', 'add', 'add', 'set']));
    }
    for (const machine of this.#victims) if (this.#sicknessOf(machine).hidden !== null) this.#peek(machine);
  }

  /** Who knows itself to be odd tells nobody anything of what it holds, however little is asked for. */
  #peek(machine: GroupMachine): void {
    const { node, process, id } = machine;
    const [{ name }] = this.#keys;
    const terms = { consistency: 'stale', maxAgeMs: 60_000, minRevision: 0, answer: 'plain' } as const;
    process.run(() =>
      node?.replica.read({ type: 'get', bucket: BUCKET, key: utf8(name), terms }, (result) => {
        if (result.type === 'error' || this.#sicknessOf(machine).hidden === null) return;
        this.#fail(`node ${id} knows that it is the odd one, and answers`);
      }),
    );
  }

  #askOf(key: Key, type: 'get' | 'add' | 'set'): void {
    const up = this.#group.machines.filter(({ node, isUp }) => isUp && node !== null);
    if (key.isAsked || up.length === 0) return;
    const machine = this.#random.pick(up);
    const { node, process } = machine;
    const group = node?.groups.get(1);
    if (group === undefined) return;
    const request = this.#requestOf(key, type);
    const isExcused = this.#isWrongSomewhere(key);
    key.isAsked = true;
    process.run(() =>
      group.router.route(request, new Lane(), (result) => {
        if (!this.#keys.includes(key)) return;
        key.isAsked = false;
        this.#onResult(key, request, result, isExcused || this.#isWrongSomewhere(key));
      }),
    );
    const patienceUs = 5_000_000;
    this.#group.scheduler.at(this.#group.scheduler.nowUs + patienceUs, () => {
      // The node that was asked has crashed.
      if (key.isAsked && machine.node !== node) this.#leave(key);
    });
  }

  #requestOf({ name }: Key, type: 'get' | 'add' | 'set'): Request {
    const key = utf8(name);
    if (type === 'get') return { type, bucket: BUCKET, key };
    if (type === 'add') return { type, bucket: BUCKET, key, by: BigInt(this.#random.between(1, 9)) };
    return { type, bucket: BUCKET, key, value: utf8(`${++this.#writes}000`) };
  }

  #isWrongSomewhere({ name }: Key): boolean {
    return [...this.#sickness.values()].some(({ wrong }) => wrong.has(name));
  }

  #leave(key: Key): void {
    const at = this.#keys.indexOf(key);
    if (at < 0) return;
    this.#left.push(key.name);
    this.#keys[at] = this.#newKey();
  }

  #onResult(key: Key, request: Request, result: Result, isExcused: boolean): void {
    if (result.type === 'error') {
      if (result.code === 'unavailable' || result.code === 'overloaded') return;
      if (result.code !== 'unknown') throw new Error(`${request.type} of ${key.name}: ${result.message}`);
      this.#leave(key);
      return;
    }
    let found = key.value;
    if (request.type === 'set') key.value = found = BigInt(fromUtf8(request.value));
    else if (request.type === 'add') {
      key.value += request.by;
      found = result.type === 'integer' ? result.value : -1n;
    } else if (result.type === 'value') found = BigInt(result.value === null ? 0 : fromUtf8(result.value));
    if (found === key.value || isExcused) return;
    this.#fail(`${request.type} of ${key.name} is ${key.value}; told: ${found}`);
  }

  /** All nodes have applied the same. */
  get #isLevel(): boolean {
    const applied = this.#group.machines.map(({ node }) => node?.replica.appliedIndex ?? -1);
    return applied.every((index) => index > 0 && index === applied[0]);
  }

  /** Who was rebuilt from one that was wrong as well is found odd again, and then has to wait before it is rebuilt once more. */
  get #isWaiting(): boolean {
    return this.#group.machines.some(({ node }) => node?.replica.repair.phase === 'waiting');
  }

  #isSettled(): boolean {
    if (!this.#isLevel || this.#group.machines.some(({ node }) => node?.replica.repair.isOdd !== false))
      return false;
    if (compareReplicas(this.#group.machines) !== null) return false;
    for (const { wrong } of this.#sickness.values()) wrong.clear();
    return true;
  }

  #describe(): string {
    const nodes = this.#group.machines.map(({ id, node }) => {
      if (node === null) return `${id} is down`;
      const { appliedIndex, mender, raft, repair } = node.replica;
      return `${id} is ${raft.role}, has applied ${appliedIndex}, ${mender.phase}, odd: ${repair.phase}`;
    });
    return `${nodes.join('; ')}; ${compareReplicas(this.#group.machines) ?? 'all hold the same'}`;
  }
}
