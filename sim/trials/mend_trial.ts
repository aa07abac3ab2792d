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
import type { Address } from '../../src/io/network.ts';
import type { Request, Result } from '../../src/kv/request.ts';
import type { StoreOptions } from '../../src/lsm/store.ts';
import { Node } from '../../src/server/node.ts';
import { Lane } from '../../src/server/router.ts';
import { SimClock } from '../clock.ts';
import { SimDisk } from '../disk.ts';
import { Invariants } from '../invariants.ts';
import { SimNetwork } from '../network.ts';
import { SimProcess } from '../process.ts';
import type { SimRandom } from '../random.ts';
import { compareReplicas } from '../replica_equality.ts';
import { Scheduler } from '../scheduler.ts';
import { Trace } from '../trace.ts';
import { type Mark, runTrial } from './trial.ts';

const PORT = 9000;
const NODES = 3;
const TIMING = { heartbeatMs: 30, electionTimeoutMs: 150 };
const US_PER_MS = 1000;
const STORM_MS = 2500;
const CALM_MS = 30_000;
const STEP_MS = 10;
/** So small that most are not void. */
const DIGEST_WINDOW_ENTRIES = 4;
const BUCKET = 'b';
const MAYBES = ['short-append', 'needless-snapshot', 'slow-install'];

interface Machine {
  readonly id: number;
  readonly host: string;
  readonly disk: SimDisk;
  readonly process: SimProcess;
  readonly clock: SimClock;
  node: Node | null;
  isUp: boolean;
}

interface Key {
  readonly name: string;
  /** Null: there is none. */
  value: string | null;
  /** Asked of this node; null: nothing is under way. */
  asked: Node | null;
}

/** It takes as long as a run of the whole cluster: in one seed of five. */
export function tryMendingNowAndThen(random: SimRandom, mark?: Mark): string | null {
  return random.chance(200) ? tryMending(random.fork('trial'), mark) : null;
}

/** What went wrong, or null. */
export function tryMending(random: SimRandom, mark?: Mark): string | null {
  return runTrial(random, mark, MAYBES, () => new MendTrial(random).run());
}

class MendTrial {
  readonly #random: SimRandom;
  readonly #scheduler = new Scheduler();
  readonly #network: SimNetwork;
  readonly #machines: Machine[] = [];
  readonly #members: readonly Address[];
  readonly #invariants = new Invariants(NODES);
  readonly #store: Partial<StoreOptions>;
  readonly #chunkBytes: number;
  readonly #logTailEntries: number | null;
  /** The one whose tables rot. */
  readonly #rotting: Machine;
  readonly #rotPermille: number;
  readonly #crashPermille: number;
  readonly #keys: Key[] = [];
  #names = 0;
  /** So that no two write the same. */
  #writes = 0;
  #boots = 0;
  #failure: Error | null = null;

  constructor(random: SimRandom) {
    this.#random = random;
    const scheduler = this.#scheduler;
    const trace = new Trace();
    this.#network = new SimNetwork({ scheduler, random: random.fork('network'), trace, faults: {} });
    for (let id = 1; id <= NODES; id++) this.#machines.push(this.#makeMachine(id, trace));
    this.#members = this.#machines.map(({ host }) => ({ host, port: PORT }));
    this.#rotting = random.pick(this.#machines);
    this.#invariants.mayBeDamaged = (id) => id === this.#rotting.id;
    this.#rotPermille = random.pick([10, 60, 200]);
    this.#crashPermille = random.pick([0, 0, 5, 20]);
    this.#chunkBytes = random.pick([1, 100, 4000]);
    this.#logTailEntries = random.pick([null, 4, 50]);
    this.#store = {
      memtableBytes: 1 << random.between(9, 13),
      blockBytes: 1 << random.between(6, 9),
      tableBytes: 1 << random.between(9, 12),
      levelBytes: 1 << random.between(10, 13),
      levelGrowth: 3,
      mergeAtTables: random.between(2, 5),
      compaction: random.pick(['levelled', 'size-tiered']),
      scrubBytesPerSecond: random.pick([0, 1000, 100_000]),
    };
    for (let keys = random.pick([4, 12, 40]); keys > 0; keys--) this.#keys.push(this.#newKey());
  }

  run(): void {
    for (const machine of this.#machines) this.#boot(machine);
    while (this.#nowMs < STORM_MS) {
      this.#advance(STEP_MS);
      this.#ask();
      this.#stroke();
    }
    for (const machine of this.#machines) if (!machine.isUp) this.#boot(machine);
    const end = this.#nowMs + CALM_MS;
    while (!this.#isSettled()) {
      if (this.#nowMs > end) throw new Error(`${CALM_MS} ms into the calm: ${this.#describe()}`);
      this.#advance(STEP_MS);
    }
    const difference = compareReplicas(this.#machines);
    if (difference !== null) throw new Error(difference);
    this.#checkKeys();
  }

  get #nowMs(): number {
    return this.#scheduler.nowUs / US_PER_MS;
  }

  #makeMachine(id: number, trace: Trace): Machine {
    const scheduler = this.#scheduler;
    const random = this.#random.fork(`machine${id}`);
    const process = new SimProcess(`node${id}`, scheduler);
    process.onPanic = (error) => {
      this.#failure ??= error;
    };
    const disk = new SimDisk({ scheduler, random: random.fork('disk'), trace, faults: {} });
    const clock = new SimClock(scheduler, process, { offsetMs: random.below(10_000), driftPpm: 0 });
    return { id, host: `node${id}`, disk, process, clock, node: null, isUp: false };
  }

  #newKey(): Key {
    return { name: `k${this.#random.below(1000)}.${++this.#names}`, value: null, asked: null };
  }

  #advance(ms: number): void {
    const until = this.#scheduler.nowUs + ms * US_PER_MS;
    while (this.#scheduler.stepUntil(until)) {
      for (const { id, node } of this.#machines) if (node !== null) this.#invariants.check(id, node);
      if (this.#failure !== null) throw this.#failure;
    }
  }

  #boot(machine: Machine): void {
    machine.isUp = true;
    const { id, disk, process, clock, host } = machine;
    const onFailure = (error: Error): void => {
      this.#failure ??= error;
    };
    process.run(() => {
      Node.open(
        {
          id,
          members: this.#members,
          directory: '/data',
          disk: disk.attach(process),
          clock,
          network: this.#network.attach(process, host),
          random: this.#random.fork(`boot${++this.#boots}`),
          logger: {
            log: (_level, event, fields?: LogFields) => {
              if (event === 'state-diverged') onFailure(new Error(`${event}: ${JSON.stringify(fields)}`));
            },
          },
          digestWindowEntries: DIGEST_WINDOW_ENTRIES,
          timing: TIMING,
          timeouts: { noLeaderMs: 600, answerMs: 1000 },
          snapshots: {
            logTailEntries: this.#logTailEntries,
            chunkBytes: this.#chunkBytes,
            bytesPerSecondMax: 10_000_000,
          },
          store: this.#store,
          onFailure,
        },
        (outcome) => {
          if (!outcome.ok) onFailure(outcome.error);
          else machine.node = outcome.value;
        },
      );
    });
  }

  #stroke(): void {
    const random = this.#random;
    if (random.chance(this.#rotPermille)) this.#rot();
    if (random.chance(30)) random.pick(this.#machines).node?.replica.transferLeadership(null);
    if (random.chance(this.#crashPermille)) this.#crash(random.pick(this.#machines));
    for (const machine of this.#machines) {
      if (!machine.isUp && random.chance(60)) this.#boot(machine);
    }
  }

  #rot(): void {
    const random = this.#random;
    const { disk } = this.#rotting;
    const paths = disk.files().filter((path) => /\/table-\d+$/.test(path) && disk.sizeOf(path) > 0);
    if (paths.length === 0) return;
    const path = random.pick(paths);
    const at = random.below(disk.sizeOf(path));
    if (random.chance(250)) disk.breakSector(path, at);
    else disk.flipByte(path, at);
    // On a machine that nothing has harmed it only passes.
    if (random.chance(250)) random.pick(this.#machines).disk.failRead({ kind: 'table' });
  }

  #crash(machine: Machine): void {
    if (!machine.isUp) return;
    for (const key of this.#keys) if (key.asked === machine.node) this.#leave(key);
    machine.isUp = false;
    machine.node = null;
    machine.process.crash();
    machine.disk.crash();
    machine.process.restart();
  }

  #leave(key: Key): void {
    this.#keys[this.#keys.indexOf(key)] = this.#newKey();
  }

  #ask(): void {
    const random = this.#random;
    const up = this.#machines.filter(({ node, isUp }) => isUp && node !== null);
    for (const key of [...this.#keys]) {
      if (key.asked !== null || up.length === 0 || random.chance(300)) continue;
      const { node, process } = random.pick(up);
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
    const applied = this.#machines.map(({ node }) => node?.replica.appliedIndex ?? -1);
    if (applied.some((index) => index < 0 || index !== applied[0])) return false;
    if (!this.#machines.some(({ node }) => node?.replica.isLeader === true)) return false;
    return this.#machines.every((machine) => this.#isWhole(machine));
  }

  #isWhole({ node, process }: Machine): boolean {
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
    const leader = this.#machines.find(({ node }) => node?.replica.isLeader === true)?.node;
    for (const key of this.#keys) {
      if (key.asked !== null) continue;
      leader?.replica.read({ type: 'get', bucket: BUCKET, key: utf8(key.name) }, (result) =>
        this.#onResult(key, { type: 'get', bucket: BUCKET, key: utf8(key.name) }, result),
      );
    }
    this.#advance(1000);
  }

  #describe(): string {
    return this.#machines
      .map(({ id, node }) => {
        if (node === null) return `${id} is down`;
        const { appliedIndex, mender, raft } = node.replica;
        const damaged = node.store.quarantined.length;
        return `${id} is ${raft.role}, has applied ${appliedIndex}, ${damaged} damaged tables, ${mender.phase}${mender.isBlocked ? ', blocked' : ''}`;
      })
      .join('; ');
  }
}
