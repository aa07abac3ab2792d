/**
 * Three whole nodes, the tables of one of which rot all the time, or cannot be read any more, while keys are written, appended to, counted and deleted
 * by way of any of them, and machines crash. No node may stop because of it, no answer be wrong; in the end, when nothing
 * rots any more, every table must have been mended, and all nodes hold the same, byte for byte.
 *
 * Each key has one request under way at a time. One whose fate is not told leaves its key for good: another takes its place.
 */
import { CorruptionError } from '../../src/base/errors.ts';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { LogFields } from '../../src/io/logger.ts';
import type { Request, Result } from '../../src/kv/request.ts';
import type { StoreOptions } from '../../src/lsm/store.ts';
import type { Node, NodeOptions } from '../../src/server/node.ts';
import { Lane } from '../../src/server/router.ts';
import { Invariants } from '../invariants.ts';
import type { SimRandom } from '../random.ts';
import { compareReplicas } from '../replica_equality.ts';
import { type GroupMachine, NodeGroup } from './node_group.ts';
import { type Mark, runTrial } from './trial.ts';

const NODES = 3;
const STORM_MS = 1200;
const CALM_MS = 30_000;
const STEP_MS = 10;
/** Requests of one step, at most. */
const ASKS_MAX = 3;
const MENDING_ASKS_MAX = 20;
const BUSY_MS = 60;
/** So small that most are not void. */
const DIGEST_WINDOW_ENTRIES = 4;
const BUCKET = 'b';
const MAYBES = ['short-append', 'needless-snapshot', 'slow-install'];

interface Key {
  readonly name: string;
  /** Null: there is none. */
  value: string | null;
  /** Asked of this node; null: nothing is under way. */
  asked: Node | null;
}

/** What went wrong, or null. */
export function tryMending(random: SimRandom, mark?: Mark): string | null {
  return runTrial(random, mark, MAYBES, () => new MendTrial(random).run());
}

class MendTrial {
  readonly #random: SimRandom;
  readonly #group: NodeGroup;
  readonly #invariants = new Invariants(NODES);
  readonly #store: Partial<StoreOptions>;
  readonly #chunkBytes: number;
  /** Slow enough that entries are applied between the first chunk of a range and the last. */
  readonly #bytesPerSecondMax: number;
  readonly #logTailEntries: number | null;
  /** The one whose tables rot. */
  readonly #rotting: GroupMachine;
  /** Next to nothing is mended by itself where the next table is harmed before it is. */
  readonly #harm: 'one-at-a-time' | 'at-any-time';
  readonly #rotPermille: number;
  readonly #crashPermille: number;
  readonly #keys: Key[] = [];
  /** Clients are busy: something has just been harmed. */
  #busyUntilMs = 0;
  #names = 0;
  /** So that no two write the same. */
  #writes = 0;

  constructor(random: SimRandom) {
    this.#random = random;
    const weather = random.fork('weather');
    this.#group = new NodeGroup({
      random,
      machines: NODES,
      networkFaults: { latencyUs: { min: 50, max: weather.pick([500, 3000, 15_000]) } },
      nodeOptions: () => this.#nodeOptions(),
    });
    this.#harm = weather.pick(['one-at-a-time', 'at-any-time']);
    this.#bytesPerSecondMax = weather.pick([10_000, 50_000, 10_000_000]);
    this.#rotting = random.pick(this.#group.machines);
    // What it applies comes in batches then, and it catches up with what it fetches.
    this.#rotting.disk.setSlowness(weather.pick([1, 10, 40]));
    this.#invariants.mayBeDamaged = (id) => id === this.#rotting.id;
    this.#rotPermille = random.pick([50, 200]);
    this.#crashPermille = random.pick([0, 0, 5, 20]);
    this.#chunkBytes = random.pick([1, 100, 4000]);
    this.#logTailEntries = random.pick([null, 4, 50]);
    this.#store = {
      memtableBytes: 1 << random.between(8, 11),
      blockBytes: 1 << random.between(6, 9),
      tableBytes: 1 << random.between(9, 12),
      levelBytes: 1 << random.between(10, 13),
      levelGrowth: 3,
      mergeAtTables: random.between(2, 5),
      compaction: random.pick(['levelled', 'size-tiered']),
      scrubBytesPerSecond: random.pick([0, 20_000, 1_000_000]),
    };
    for (let keys = random.pick([6, 20, 60]); keys > 0; keys--) this.#keys.push(this.#newKey());
  }

  run(): void {
    for (const machine of this.#group.machines) this.#group.boot(machine);
    while (this.#group.nowMs < STORM_MS) {
      this.#advance(STEP_MS);
      this.#ask();
      this.#stroke();
    }
    for (const machine of this.#group.machines) if (!machine.isUp) this.#group.boot(machine);
    const end = this.#group.nowMs + CALM_MS;
    while (!this.#isSettled()) {
      if (this.#group.nowMs > end) throw new Error(`${CALM_MS} ms into the calm: ${this.#describe()}`);
      this.#advance(STEP_MS);
    }
    const difference = compareReplicas(this.#group.machines);
    if (difference !== null) throw new Error(difference);
    this.#checkKeys();
  }

  get #isMending(): boolean {
    return (this.#rotting.node?.replica.mender.phase ?? 'idle') !== 'idle';
  }

  #newKey(): Key {
    return { name: `k${this.#random.below(1000)}.${++this.#names}`, value: null, asked: null };
  }

  #advance(ms: number): void {
    this.#group.advanceChecked(ms, this.#invariants);
  }

  #nodeOptions(): Partial<NodeOptions> {
    return {
      logger: {
        log: (_level, event, fields?: LogFields) => {
          if (event === 'state-diverged') {
            this.#group.fail(new Error(`${event}: ${JSON.stringify(fields)}`));
          }
        },
      },
      digestWindowEntries: DIGEST_WINDOW_ENTRIES,
      snapshots: {
        logTailEntries: this.#logTailEntries,
        chunkBytes: this.#chunkBytes,
        bytesPerSecondMax: this.#bytesPerSecondMax,
      },
      store: this.#store,
    };
  }

  #stroke(): void {
    const random = this.#random;
    if (this.#harm === 'at-any-time' || !this.#isMending) {
      if (random.chance(this.#rotPermille)) this.#rot();
    }
    if (random.chance(30)) random.pick(this.#group.machines).node?.replica.transferLeadership(null);
    if (random.chance(this.#crashPermille)) this.#crash(random.pick(this.#group.machines));
    for (const machine of this.#group.machines) {
      if (!machine.isUp && random.chance(60)) this.#group.boot(machine);
    }
  }

  #rot(): void {
    const random = this.#random;
    const { disk } = this.#rotting;
    const paths = disk.files().filter((path) => /\/table-\d+$/.test(path) && disk.sizeOf(path) > 0);
    if (paths.length === 0) return;
    const path = random.pick(paths);
    const at = random.below(disk.sizeOf(path));
    this.#busyUntilMs = this.#group.nowMs + BUSY_MS;
    if (random.chance(250)) disk.breakSector(path, at);
    else disk.flipByte(path, at);
    // On a machine that nothing has harmed it only passes.
    if (random.chance(250)) random.pick(this.#group.machines).disk.failRead({ kind: 'table' });
  }

  #crash(machine: GroupMachine): void {
    if (!machine.isUp) return;
    for (const key of this.#keys) if (key.asked !== null && key.asked === machine.node) this.#leave(key);
    this.#group.crash(machine);
  }

  #leave(key: Key): void {
    this.#keys[this.#keys.indexOf(key)] = this.#newKey();
  }

  #ask(): void {
    const random = this.#random;
    const up = this.#group.machines.filter(({ node, isUp }) => isUp && node !== null);
    // Each costs as much as all that the damage does: most of them come when they meet it.
    const isBusy = this.#isMending || this.#group.nowMs < this.#busyUntilMs;
    const asksMax = isBusy ? MENDING_ASKS_MAX : ASKS_MAX;
    // What comes at once to one node may be committed at once.
    const batch = random.chance(500) && up.length > 0 ? random.pick(up) : null;
    for (let asks = random.between(0, asksMax); asks > 0 && up.length > 0; asks--) {
      const key = random.pick(this.#keys);
      if (key.asked !== null) continue;
      const { node, process } = batch ?? random.pick(up);
      const group = node?.groups.get(1);
      if (node === null || group === undefined) continue;
      const request = this.#draw(key);
      key.asked = node;
      process.run(() =>
        group.router.route(request, new Lane(), (result) => {
          if (!this.#keys.includes(key)) return;
          key.asked = null;
          this.#onResult(key, request, result);
        }),
      );
    }
  }

  #draw({ name, value }: Key): Request {
    const random = this.#random;
    const key = utf8(name);
    const draw = random.below(10);
    if (draw < 4) return { type: 'get', bucket: BUCKET, key };
    if (draw < 6) {
      const next = `${++this.#writes}`.padEnd(random.below(60), '.');
      return { type: 'set', bucket: BUCKET, key, value: utf8(next) };
    }
    if (draw < 7) return { type: 'delete', bucket: BUCKET, keys: [key] };
    const isLong = value !== null && value.length > 200;
    if (isLong) return { type: 'delete', bucket: BUCKET, keys: [key] };
    return { type: 'append', bucket: BUCKET, key, value: utf8(`+${++this.#writes}`) };
  }

  #onResult(key: Key, request: Request, result: Result): void {
    if (result.type === 'error') {
      this.#onError(key, request, result.code, result.message);
    } else if (request.type === 'get' && result.type === 'value') {
      const found = result.value === null ? null : fromUtf8(result.value);
      if (found !== key.value) throw new Error(`${key.name} is ${key.value}; read: ${found}`);
    } else if (request.type === 'set') key.value = fromUtf8(request.value);
    else if (request.type === 'delete') key.value = null;
    else if (request.type === 'append') key.value = `${key.value ?? ''}${fromUtf8(request.value)}`;
  }

  #onError(key: Key, request: Request, code: string, message: string): void {
    if (code === 'unavailable' || code === 'overloaded') return;
    // Damage is told of a read alone: a write is carried out where its keys can be read. A count of what is deleted is one.
    if (code === 'corruption' && request.type === 'get') return;
    if (code === 'unknown' || (code === 'corruption' && request.type === 'delete')) this.#leave(key);
    else throw new Error(`${request.type} of ${key.name} was answered with ${code}: ${message}`);
  }

  /** All nodes have applied the same, and every table of each can be read. */
  #isSettled(): boolean {
    const applied = this.#group.machines.map(({ node }) => node?.replica.appliedIndex ?? -1);
    if (applied.some((index) => index < 0 || index !== applied[0])) return false;
    if (this.#group.leader === null) return false;
    return this.#group.machines.every((machine) => this.#isWhole(machine));
  }

  #isWhole({ node, process }: GroupMachine): boolean {
    if (node === null) return false;
    const { store } = node;
    try {
      const iterator = store.iterator();
      try {
        while (iterator.next()) iterator.value();
      } finally {
        iterator.close();
      }
      return store.quarantined.length === 0 && node.replica.mender.phase === 'idle';
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      process.run(() => store.noteDamage(error));
      return false;
    }
  }

  /** What was told to a client is what is there. */
  #checkKeys(): void {
    const { leader } = this.#group;
    for (const key of this.#keys) {
      if (key.asked !== null) continue;
      leader?.replica.read({ type: 'get', bucket: BUCKET, key: utf8(key.name) }, (result) =>
        this.#onResult(key, { type: 'get', bucket: BUCKET, key: utf8(key.name) }, result),
      );
    }
    this.#advance(1000);
  }

  #describe(): string {
    return this.#group.machines
      .map(({ id, node }) => {
        if (node === null) return `${id} is down`;
        const { appliedIndex, mender, raft } = node.replica;
        const damaged = node.store.quarantined.length;
        return `${id} is ${raft.role}, has applied ${appliedIndex}, ${damaged} damaged tables, ${mender.phase}${mender.isBlocked ? ', blocked' : ''}`;
      })
      .join('; ');
  }
}
