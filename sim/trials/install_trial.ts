/**
 * What a node does with the snapshots that it is sent, alone: the store and the log of one node, what fetches and installs,
 * and what applies entries, over a group that only says what a group may say. Snapshots are offered at any time, also where
 * nobody needs one; entries go on coming and being committed while one is fetched, and while it is installed, which may
 * take long; chunks come late; power fails.
 *
 * At each moment the store holds what a map says of the entry up to which it has applied, and that only grows. When all is
 * well again, everything is applied.
 */
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { Write } from '../../src/kv/request.ts';
import { StateMachine } from '../../src/kv/state_machine.ts';
import { encodeWrite } from '../../src/kv/write_codec.ts';
import { EntryKind, type Index, type Term } from '../../src/log/entry.ts';
import type { GroupLog } from '../../src/log/group_log.ts';
import { Log } from '../../src/log/log.ts';
import type { Store, StoreOptions } from '../../src/lsm/store.ts';
import { Applier } from '../../src/replica/applier.ts';
import { dropCovered } from '../../src/replica/log_damage.ts';
import { Proposals } from '../../src/replica/proposals.ts';
import { SnapshotSource } from '../../src/replica/snapshot_source.ts';
import { mendLog, Snapshots } from '../../src/replica/snapshots.ts';
import type { SimRandom } from '../random.ts';
import { LoneMachine } from './lone_machine.ts';
import { type Mark, runTrial } from './trial.ts';

const LIVES_MAX = 3;
const ROUNDS_MAX = 25;
const ROUND_US_MAX = 4000;
const BATCH_MAX = 4;
const KEYS = 6;
const SYNC_US = { min: 50, max: 2000 };
const OPENING_US = 10_000_000;
/** An installation may be put off by half a second. */
const CALM_US = 3_000_000;
const MESSAGE_US_MAX = 2000;
const NODE = '/node';
const SOURCE = '/source';
const BUCKET = 'b';
const GROUP = 1;
/** All entries are of one leader. */
const TERM: Term = 1;
const LEADER = 2;
const LIMITS = { logTailEntries: 4, chunkBytes: 64, bytesPerSecondMax: 10_000_000 };

/** What went wrong, or null. */
export function tryInstalls(random: SimRandom, mark?: Mark): string | null {
  return runTrial(random, mark, ['slow-install'], () => new InstallTrial(random).run());
}

interface Live {
  readonly store: Store;
  readonly log: Log;
  readonly group: GroupLog;
  readonly machine: StateMachine;
  readonly snapshots: Snapshots;
  readonly applier: Applier;
  readonly raft: { commitIndex: Index };
  /** Of another node. */
  readonly source: Store;
  readonly sourceMachine: StateMachine;
}

class InstallTrial {
  readonly #random: SimRandom;
  readonly #machine: LoneMachine;
  readonly #tuning: Partial<StoreOptions>;
  readonly #offerPermille: number;
  readonly #appendPermille: number;
  /** What the group has committed: entry `i` is at `i - 1`; and what the keys hold behind each, behind none at first. */
  readonly #entries: Write[] = [];
  readonly #states: ReadonlyMap<string, string>[] = [new Map()];
  #applied: Index = 0;
  #offered: Index = 0;
  #isTurnPlanned = false;

  constructor(random: SimRandom) {
    this.#random = random;
    this.#machine = new LoneMachine({
      random,
      name: 'node',
      faults: { syncUs: SYNC_US },
      onPanic: (error) => {
        throw error;
      },
    });
    this.#tuning = { memtableBytes: 1 << random.between(8, 11), mergeAtTables: random.between(2, 5) };
    this.#offerPermille = random.pick([100, 400]);
    this.#appendPermille = random.pick([100, 400, 900]);
  }

  run(): void {
    const random = this.#random;
    const { process, disk } = this.#machine;
    process.run(() => disk.attach(process).makeDirectory(NODE));
    for (let lives = random.between(1, LIVES_MAX); lives > 0; lives--) {
      const live = this.#open();
      for (let rounds = random.between(1, ROUNDS_MAX); rounds > 0; rounds--) {
        process.run(() => this.#round(live));
        this.#machine.scheduler.runUntil(this.#machine.scheduler.nowUs + random.below(ROUND_US_MAX));
        process.run(() => this.#check(live));
      }
      if (lives === 1) this.#settle(live);
      live.snapshots.stop();
      process.crash();
      disk.crash();
      process.restart();
      this.#isTurnPlanned = false;
    }
  }

  #openStore(directory: string): Store {
    const store = this.#machine.openStore(directory, this.#tuning);
    if (store === null || store instanceof Error)
      throw new Error(`${directory} does not open: ${store?.stack ?? 'not in time'}`);
    store.onFailure = (error) => {
      throw error;
    };
    return store;
  }

  #openLog(): Log {
    const { process, disk, clock, scheduler } = this.#machine;
    let opened: Log | Error | null = null;
    process.run(() =>
      Log.open(
        {
          disk: disk.attach(process),
          directory: `${NODE}/log`,
          clock,
          logger: { log: () => {} },
          segmentBytes: 1 << 12,
          cacheBytes: 1 << 12,
        },
        (outcome) => {
          opened = outcome.ok ? outcome.value : outcome.error;
        },
      ),
    );
    const end = scheduler.nowUs + OPENING_US;
    while (opened === null && scheduler.stepUntil(end)) {
      // Until it is open.
    }
    const log = opened as Log | Error | null;
    if (log === null || log instanceof Error)
      throw new Error(`the log does not open: ${log?.stack ?? 'not in time'}`);
    return log;
  }

  /** As a node does that starts (`src/server/node.ts`). */
  #open(): Live {
    const { process, disk } = this.#machine;
    const source = this.#openStore(SOURCE);
    const store = this.#openStore(`${NODE}/store`);
    const log = this.#openLog();
    const group = log.group(GROUP);
    let live: Live | null = null;
    process.run(() => {
      mendLog(disk.attach(process), NODE, store, group);
      dropCovered(group, store);
      log.flush();
      const raft = { commitIndex: store.appliedIndex };
      const snapshots = this.#makeSnapshots(store, group, source, () => live);
      const machine = new StateMachine(store);
      const applier = new Applier({
        log: group,
        store,
        stateMachine: machine,
        raft,
        proposals: new Proposals(),
        outbox: { isHoldingBack: false },
        snapshots,
        mender: { applyLimit: Number.POSITIVE_INFINITY, block: () => {} },
        isAlone: () => false,
        onConfiguration: () => {},
        planTurn: () => this.#planTurn(live),
      });
      group.onDurable = () => this.#planTurn(live);
      store.onWritable = () => this.#planTurn(live);
      const sourceMachine = new StateMachine(source);
      live = { store, log, group, machine, snapshots, applier, raft, source, sourceMachine };
      this.#applied = store.appliedIndex;
      this.#offered = 0;
      this.#applyAtSource(live);
      this.#check(live);
    });
    if (live === null) throw new Error('a process that runs does what it is asked to');
    return live;
  }

  #makeSnapshots(store: Store, group: GroupLog, source: Store, liveOf: () => Live | null): Snapshots {
    const { process, disk, clock } = this.#machine;
    const given = new SnapshotSource({
      store: source,
      clock,
      termAt: () => TERM,
      neededIndex: () => 0,
      chunkBytes: LIMITS.chunkBytes,
      idleMs: 1000,
    });
    const snapshots = new Snapshots({
      store,
      log: group,
      disk: disk.attach(process),
      clock,
      directory: NODE,
      limits: LIMITS,
      send: (_to, message) => {
        if (message.type !== 'fetch') return;
        this.#later(() => {
          const chunk = given.answer(message);
          this.#later(() => snapshots.onMessage(LEADER, chunk));
        });
      },
      isSound: () => true,
      onInstall: () => {},
      onInstalled: (index, term) => this.#onInstalled(liveOf(), index, term),
      onKnown: () => {},
      onFailure: (error) => {
        throw error;
      },
    });
    return snapshots;
  }

  /** A message on its way; what is under way to a process that ends is lost. */
  #later(task: () => void): void {
    const { process, scheduler } = this.#machine;
    const { generation } = process;
    scheduler.after(1 + this.#random.below(MESSAGE_US_MAX), () => {
      if (process.generation === generation) process.run(task);
    });
  }

  /** As `Raft.restore` has it, and what goes with it (`src/replica/state_care.ts`). */
  #onInstalled(live: Live | null, index: Index, term: Term): void {
    if (live === null) return;
    const { group, log, machine, raft, store } = live;
    if (index > group.lastIndex) group.reset(index, term);
    raft.commitIndex = Math.max(raft.commitIndex, index);
    machine.reload();
    dropCovered(group, store);
    log.flush();
    this.#planTurn(live);
  }

  #round(live: Live): void {
    const random = this.#random;
    for (let count = random.between(0, BATCH_MAX); count > 0; count--) this.#commit();
    this.#applyAtSource(live);
    if (random.chance(this.#appendPermilleOf(live))) this.#deliver(live, random.between(1, 2 * BATCH_MAX));
    if (random.chance(300)) live.source.flush(() => {});
    if (random.chance(100)) live.store.flush(() => dropCovered(live.group, live.store));
    if (random.chance(this.#offerPermille)) this.#offer(live);
    this.#turn(live);
  }

  /** Who needs a snapshot is sent nothing else, unless another leader comes whose log reaches back: while one is installed, say. */
  #appendPermilleOf({ snapshots }: Live): number {
    if (snapshots.isInstalling) return 900;
    return snapshots.isBusy ? this.#appendPermille / 8 : this.#appendPermille;
  }

  #commit(): void {
    const random = this.#random;
    const key = utf8(`k${random.below(KEYS)}`);
    const value = utf8(`${this.#entries.length + 1}`);
    const write: Write = random.chance(250)
      ? { type: 'delete', bucket: BUCKET, keys: [key] }
      : { type: 'append', bucket: BUCKET, key, value };
    this.#entries.push(write);
    const state = new Map(this.#states[this.#states.length - 1]);
    const name = fromUtf8(key);
    if (write.type === 'delete') state.delete(name);
    else state.set(name, (state.get(name) ?? '') + fromUtf8(value));
    this.#states.push(state);
  }

  #applyAtSource({ source, sourceMachine }: Live): void {
    while (source.appliedIndex < this.#entries.length && source.writable) {
      const index = source.appliedIndex + 1;
      sourceMachine.apply(index, encodeWrite(this.#entries[index - 1], index), 'not-wanted');
    }
  }

  /** Some more entries come, and with them what is committed. */
  #deliver({ group, log, raft }: Live, count: number): void {
    const last = Math.min(group.lastIndex + count, this.#entries.length);
    for (let index = group.lastIndex + 1; index <= last; index++) {
      const payload = encodeWrite(this.#entries[index - 1], index);
      group.append({ index, term: TERM, kind: EntryKind.Command, payload });
    }
    log.flush();
    raft.commitIndex = Math.max(raft.commitIndex, this.#random.between(raft.commitIndex, group.lastIndex));
  }

  #offer({ source, snapshots, raft }: Live): void {
    if (source.flushedIndex <= raft.commitIndex) return;
    this.#offered = source.flushedIndex;
    snapshots.onOffer(LEADER);
  }

  #planTurn(live: Live | null): void {
    if (this.#isTurnPlanned || live === null) return;
    this.#isTurnPlanned = true;
    this.#machine.clock.later(() => {
      this.#isTurnPlanned = false;
      this.#turn(live);
    });
  }

  #turn({ snapshots, raft, applier }: Live): void {
    snapshots.onCommitted(raft.commitIndex, this.#offered);
    applier.apply();
  }

  #check({ store, machine }: Live): void {
    const { appliedIndex } = store;
    if (appliedIndex < this.#applied)
      throw new Error(`entry ${this.#applied} was applied, and now it is ${appliedIndex}`);
    this.#applied = appliedIndex;
    const state = this.#states[appliedIndex];
    for (let at = 0; at < KEYS; at++) {
      const name = `k${at}`;
      const found = machine.read({ type: 'get', bucket: BUCKET, key: utf8(name) }, 0);
      if (found === 'due' || found.type !== 'value')
        throw new Error(`a read is answered ${JSON.stringify(found)}`);
      const text = found.value === null ? undefined : fromUtf8(found.value);
      if (text !== state?.get(name))
        throw new Error(`${name} is ${state?.get(name)} at entry ${appliedIndex}; read: ${text}`);
    }
  }

  #settle(live: Live): void {
    const { process, scheduler } = this.#machine;
    const end = scheduler.nowUs + CALM_US;
    while (live.store.appliedIndex < this.#entries.length) {
      if (scheduler.nowUs >= end)
        throw new Error(`entry ${live.store.appliedIndex} of ${this.#entries.length} is applied at last`);
      process.run(() => {
        this.#applyAtSource(live);
        this.#deliver(live, this.#entries.length);
        live.raft.commitIndex = Math.max(live.raft.commitIndex, live.group.lastIndex);
        this.#turn(live);
      });
      scheduler.runUntil(scheduler.nowUs + ROUND_US_MAX);
      process.run(() => this.#check(live));
    }
  }
}
