/**
 * What a node does with the snapshots that it is sent, alone: the store and the log of one node, what fetches and installs,
 * and what applies entries, over a group that only says what a group may say. Snapshots are offered at any time, also where
 * nobody needs one; entries go on coming and being committed while one is fetched, and while it is installed, which may
 * take long; chunks come late; power fails.
 *
 * At each moment the store holds what a map says of the entry up to which it has applied, and that only grows; and so does
 * a copy that is kept by the change feed. When all is well again, everything is applied.
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
import { checkFit, dropCovered } from '../../src/replica/log_damage.ts';
import { Proposals } from '../../src/replica/proposals.ts';
import { readSnapshotIdentity } from '../../src/replica/snapshot_file.ts';
import { SnapshotSource } from '../../src/replica/snapshot_source.ts';
import { mendLog, Snapshots, snapshotPath } from '../../src/replica/snapshots.ts';
import type { SimRandom } from '../random.ts';
import { FeedCopy } from './feed_copy.ts';
import { LoneMachine } from './lone_machine.ts';
import { type Mark, runTrial } from './trial.ts';

/** Tried one after the other: what goes wrong here goes wrong rarely, and a node costs little. */
const NODES = 3;
const LIVES_MAX = 4;
const ROUNDS_MAX = 40;
/** A round takes as long as so many syncs at most. */
const ROUND_SYNCS_MAX = 2;
const BATCH_MAX = 4;
const KEYS = 6;
/** A slow one takes longer than the way of a message and back. */
const SYNC_MIN_US = 50;
const SYNC_US_MAX = [2000, 20_000];
const OPENING_US = 10_000_000;
const STRIKE_PERMILLE = 30;
const WORST_STRIKE_PERMILLE = 500;
const STRIKE_US_MAX = 1000;
/** An installation may be put off by half a second; and what is left to apply takes a round an entry at most (seed 1801798). */
const CALM_US = 3_000_000;
const MESSAGE_US_MAX = 2000;
const NODE = '/node';
const SOURCE = '/source';
const BUCKET = 'b';
const GROUP = 1;
/** All entries are of one leader. */
const TERM: Term = 1;
const LEADER = 2;
const CHUNK_BYTES = [64, 1024];
const LIMITS = { logTailEntries: 4, bytesPerSecondMax: 10_000_000 };

/** What went wrong, or null. */
export function tryInstalls(random: SimRandom, mark?: Mark): string | null {
  return runTrial(random, mark, ['slow-install'], () => {
    for (let nodes = NODES; nodes > 0; nodes--) new InstallTrial(random).run();
  });
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
  readonly copy: FeedCopy;
}

class InstallTrial {
  readonly #random: SimRandom;
  readonly #machine: LoneMachine;
  readonly #tuning: Partial<StoreOptions>;
  readonly #offerPermille: number;
  readonly #appendPermille: number;
  readonly #roundUsMax: number;
  readonly #chunkBytes: number;
  /** What the group has committed: entry `i` is at `i - 1`; and what the keys hold behind each, behind none at first. */
  readonly #entries: Write[] = [];
  readonly #states: ReadonlyMap<string, string>[] = [new Map()];
  #applied: Index = 0;
  #offered: Index = 0;
  #isTurnPlanned = false;
  /** A snapshot has come since the state was last looked at. */
  #isRestored = false;
  /** Power fails then, in the middle of a life. */
  #powerFailsAtUs = Number.POSITIVE_INFINITY;

  constructor(random: SimRandom) {
    this.#random = random;
    const syncUsMax = random.pick(SYNC_US_MAX);
    this.#roundUsMax = ROUND_SYNCS_MAX * syncUsMax;
    this.#machine = new LoneMachine({
      random,
      name: 'node',
      faults: { syncUs: { min: SYNC_MIN_US, max: syncUsMax } },
      onPanic: (error) => {
        throw error;
      },
    });
    this.#tuning = { memtableBytes: 1 << random.between(8, 11), mergeAtTables: random.between(2, 5) };
    this.#offerPermille = random.pick([100, 400]);
    this.#chunkBytes = random.pick(CHUNK_BYTES);
    this.#appendPermille = random.pick([10, 100, 400, 900]);
  }

  run(): void {
    const random = this.#random;
    const { process, disk, scheduler } = this.#machine;
    process.run(() => disk.attach(process).makeDirectory(NODE));
    for (let lives = random.between(1, LIVES_MAX); lives > 0; lives--) {
      const live = this.#open();
      for (let rounds = random.between(1, ROUNDS_MAX); rounds > 0 && this.#hasPower; rounds--) {
        process.run(() => this.#round(live));
        this.#goOn(scheduler.nowUs + random.below(this.#roundUsMax));
        process.run(() => this.#check(live));
      }
      if (lives === 1 && this.#hasPower) this.#settle(live);
      else lives = Math.max(lives, 2);
      this.#powerFailsAtUs = Number.POSITIVE_INFINITY;
      live.snapshots.stop();
      process.crash();
      disk.crash();
      process.restart();
      this.#isTurnPlanned = false;
    }
  }

  #goOn(untilUs: number): void {
    const { scheduler } = this.#machine;
    while (this.#hasPower && scheduler.stepUntil(Math.min(untilUs, this.#powerFailsAtUs))) {
      // Until then, or until power fails.
    }
  }

  get #hasPower(): boolean {
    return this.#machine.scheduler.nowUs < this.#powerFailsAtUs;
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
      checkFit(group, store);
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
      const { appliedIndex } = store;
      const state = this.#states[appliedIndex] ?? new Map();
      const copy = new FeedCopy(machine, BUCKET, this.#random, appliedIndex, state);
      live = { store, log, group, machine, snapshots, applier, raft, source, sourceMachine, copy };
      this.#applied = appliedIndex;
      this.#offered = 0;
      this.#isRestored = false;
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
      chunkBytes: this.#chunkBytes,
      idleMs: 1000,
    });
    const snapshots = new Snapshots({
      store,
      log: group,
      disk: disk.attach(process),
      clock,
      directory: NODE,
      limits: { ...LIMITS, chunkBytes: this.#chunkBytes },
      send: (_to, message) => {
        if (message.type !== 'fetch') return;
        this.#later(() => {
          const chunk = given.answer(message);
          this.#later(() => {
            snapshots.onMessage(LEADER, chunk);
            this.#checkFile(store, group);
            this.#strike(store, group);
          });
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
    // Another leader may have sent by now what this one did not have any more.
    if (index > group.lastIndex && this.#random.chance(300)) {
      this.#deliver(live, index - group.lastIndex + this.#random.between(0, BATCH_MAX));
    }
    if (index > group.lastIndex) group.reset(index, term);
    raft.commitIndex = Math.max(raft.commitIndex, index);
    machine.reload();
    this.#isRestored = true;
    dropCovered(group, store);
    log.flush();
    this.#planTurn(live);
    if (this.#random.chance(800)) this.#offer(live);
    else this.#strike(store, group);
  }

  /** Power may fail in the middle of what is done with a file, and most of all where the log does not go on behind it yet. */
  #strike(store: Store, group: GroupLog): void {
    const random = this.#random;
    const permille = isLogBehind(store, group) ? WORST_STRIKE_PERMILLE : STRIKE_PERMILLE;
    if (!this.#hasPower || !random.chance(permille)) return;
    this.#powerFailsAtUs = this.#machine.scheduler.nowUs + random.between(1, STRIKE_US_MAX);
  }

  #round(live: Live): void {
    const random = this.#random;
    for (let count = random.between(0, BATCH_MAX); count > 0; count--) this.#commit();
    this.#applyAtSource(live);
    if (random.chance(this.#appendPermilleOf(live))) this.#deliver(live, random.between(1, 2 * BATCH_MAX));
    if (random.chance(800)) live.source.flush(() => {});
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

  #check({ store, machine, copy }: Live): void {
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
    copy.follow(appliedIndex, state ?? new Map(), this.#isRestored);
    this.#isRestored = false;
  }

  /** A crash may leave the tables of what was installed and a log that does not reach there. */
  #checkFile(store: Store, group: GroupLog): void {
    if (!isLogBehind(store, group)) return;
    const { disk, process } = this.#machine;
    const identity = readSnapshotIdentity(disk.attach(process), snapshotPath(NODE));
    if (identity?.index !== store.flushedIndex)
      throw new Error(`only the file could tell where a log begins behind entry ${store.flushedIndex}`);
  }

  #settle(live: Live): void {
    const { process, scheduler } = this.#machine;
    const left = this.#entries.length - live.store.appliedIndex;
    const end = scheduler.nowUs + CALM_US + left * this.#roundUsMax;
    while (live.store.appliedIndex < this.#entries.length) {
      if (scheduler.nowUs >= end)
        throw new Error(`entry ${live.store.appliedIndex} of ${this.#entries.length} is applied at last`);
      process.run(() => {
        this.#applyAtSource(live);
        this.#deliver(live, this.#entries.length);
        live.raft.commitIndex = Math.max(live.raft.commitIndex, live.group.lastIndex);
        this.#turn(live);
      });
      scheduler.runUntil(scheduler.nowUs + this.#roundUsMax);
      process.run(() => this.#check(live));
    }
  }
}

/** What is durable of it does not reach the tables yet. */
function isLogBehind({ flushedIndex }: Store, { isResetDurable, durableIndex }: GroupLog): boolean {
  return !isResetDurable || durableIndex < flushedIndex;
}
