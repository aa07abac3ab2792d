/**
 * Consensus cores over real logs on simulated disks: what it takes to damage a log and see what becomes of the group.
 * There are no tables; each life of a node applies its log from the start. What is applied is compared over all nodes and
 * lives: an index has one entry, for ever.
 */
import { assert } from '../../src/base/assert.ts';
import { CorruptionError } from '../../src/base/errors.ts';
import { crc32 } from '../../src/codec/crc32.ts';
import type { Entry, Index } from '../../src/log/entry.ts';
import type { GroupLog } from '../../src/log/group_log.ts';
import { Log } from '../../src/log/log.ts';
import { DEFAULT_FLOW } from '../../src/raft/flow.ts';
import type { Message, NodeId } from '../../src/raft/message.ts';
import type { HardState } from '../../src/raft/output.ts';
import { Raft } from '../../src/raft/raft.ts';
import { fenceForgotten } from '../../src/replica/log_damage.ts';
import { SimClock } from '../clock.ts';
import { SimDisk } from '../disk.ts';
import { SimProcess } from '../process.ts';
import type { SimRandom } from '../random.ts';
import { Scheduler } from '../scheduler.ts';
import { Trace } from '../trace.ts';
import { ELECTION_TIMEOUT_MS, US_PER_MS } from './core_weather.ts';

export const LOG_DIRECTORY = '/log';
const GROUP = 1;
const HEARTBEAT_MS = 20;
const LOGGER = { log: () => {} };

export interface DamageGroupOptions {
  readonly random: SimRandom;
  readonly nodes: number;
  readonly segmentBytes: number;
  readonly syncUs: { readonly min: number; readonly max: number };
  readonly delayUsMax: number;
}

export interface DamageNode {
  readonly id: NodeId;
  readonly disk: SimDisk;
  readonly process: SimProcess;
  readonly clock: SimClock;
  hardState: HardState;
  log: Log | null;
  groupLog: GroupLog | null;
  raft: Raft | null;
  applied: Index;
  /** It was started; it takes part once it has a core. */
  isUp: boolean;
  /** What the last life could read and had durable; 0: its log has rotted since. */
  kept: Index;
  /** Its log has rotted in this life. */
  hasRotted: boolean;
  /** A segment that somebody has moved away. */
  lost: { readonly path: string; readonly bytes: Uint8Array } | null;
  /** When its core is to be woken. */
  watchedMs: number;
}

export class DamageGroup {
  readonly scheduler = new Scheduler();
  readonly nodes: readonly DamageNode[];
  readonly #options: DamageGroupOptions;
  /** Directed links that carry nothing, as `from>to`. */
  readonly cut = new Set<string>();
  /** What was applied anywhere, by index: term and checksum. */
  readonly #applied: string[] = [];
  failure: string | null = null;
  /** A node is about to do something. */
  onAct: (node: DamageNode) => void = () => {};

  constructor(options: DamageGroupOptions) {
    this.#options = options;
    const { random, nodes, syncUs } = options;
    const { scheduler } = this;
    this.nodes = Array.from({ length: nodes }, (_none, at) => {
      const disk = new SimDisk({
        scheduler,
        random: random.fork(`disk${at}`),
        trace: new Trace(),
        faults: { syncUs },
      });
      const process = new SimProcess(`node${at + 1}`, scheduler);
      process.onPanic = (error) => this.fail(`node ${at + 1}: ${error.stack ?? error.message}`);
      const clock = new SimClock(scheduler, process, { offsetMs: 0, driftPpm: 0 });
      const hardState = { term: 0, vote: null };
      return {
        id: at + 1,
        disk,
        process,
        clock,
        hardState,
        log: null,
        groupLog: null,
        raft: null,
        applied: 0,
        isUp: false,
        kept: 0,
        hasRotted: false,
        lost: null,
        watchedMs: Number.POSITIVE_INFINITY,
      };
    });
  }

  /** The highest index that was applied anywhere. */
  get appliedIndex(): Index {
    return Math.max(0, this.#applied.length - 1);
  }

  get leader(): DamageNode | null {
    let found: DamageNode | null = null;
    for (const node of this.nodes) {
      if (node.raft?.role !== 'leader') continue;
      if (found === null || node.raft.term > (found.raft?.term ?? 0)) found = node;
    }
    return found;
  }

  fail(what: string): void {
    this.failure ??= what;
  }

  /** What the log of a node holds before anything happens; durable. `term`: the one that the node is in. */
  write(node: DamageNode, entries: readonly Entry[], term: number): void {
    this.openLog(node, (log) => {
      for (const entry of entries) log.group(GROUP).append(entry);
      log.flush();
      log.close(() => {});
    });
    this.scheduler.runUntil(this.scheduler.nowUs + 50 * US_PER_MS);
    node.hardState = { term, vote: null };
    this.end(node);
  }

  /** Starts the node, if it is not up; it takes part once its log is open. */
  start(node: DamageNode): void {
    if (node.isUp) return;
    node.isUp = true;
    this.openLog(node, (log) => {
      const groupLog = log.group(GROUP);
      fenceForgotten(groupLog, node.hardState, LOGGER);
      log.flush();
      node.log = log;
      node.groupLog = groupLog;
      node.applied = 0;
      if (groupLog.durableIndex < node.kept) {
        this.fail(`node ${node.id} had ${node.kept} entries durable, and finds ${groupLog.durableIndex}`);
      }
      node.raft = new Raft({
        id: node.id,
        voters: this.nodes.map(({ id }) => id),
        log: groupLog,
        random: this.#options.random,
        timing: { heartbeatMs: HEARTBEAT_MS, electionTimeoutMs: ELECTION_TIMEOUT_MS },
        flow: DEFAULT_FLOW,
        clockDriftPpmMax: 0,
        snapshots: { index: 0 },
        hardState: node.hardState,
        appliedIndex: 0,
        nowMs: node.clock.monotonicMs(),
      });
      groupLog.onDurable = (index) => this.act(node, (raft, nowMs) => raft.onDurable(index, nowMs));
      this.act(node, () => {});
      for (const other of this.nodes)
        if (other !== node) this.act(other, (raft) => raft.onPeerReset(node.id));
    });
  }

  openLog(node: DamageNode, use: (log: Log) => void): void {
    const { disk, process, clock } = node;
    process.run(() =>
      Log.open(
        {
          disk: disk.attach(process),
          directory: LOG_DIRECTORY,
          clock,
          logger: LOGGER,
          segmentBytes: this.#options.segmentBytes,
          cacheBytes: 1 << 12,
          preallocate: 'never',
          damage: 'name',
        },
        (outcome) => {
          const refusal = outcome.ok ? refusalOf(outcome.value) : outcome.error;
          if (outcome.ok && refusal === null) use(outcome.value);
          else if (refusal !== null && !this.#putBack(node, refusal))
            this.fail(`the log of node ${node.id} does not open: ${refusal.message}`);
        },
      ),
    );
  }

  /** The file of a segment is gone from a node that is down: somebody has moved it away. */
  loseSegment(node: DamageNode, path: string): void {
    node.lost = { path, bytes: node.disk.readRaw(path).slice() };
    node.disk.loseName(path);
  }

  /** An operator does what the error says, and starts the node again. */
  #putBack(node: DamageNode, error: Error): boolean {
    const { lost, process, disk } = node;
    const isToldSo = lost !== null && error instanceof CorruptionError && error.path === lost.path;
    if (!isToldSo || !error.message.includes('put the file back')) return false;
    node.lost = null;
    process.run(() => {
      const seam = disk.attach(process);
      const file = seam.create(lost.path);
      file.append(lost.bytes);
      file.sync(() => file.close());
      seam.syncDirectory(LOG_DIRECTORY, () => {});
    });
    this.#later(node, 100 * US_PER_MS, () => {
      node.isUp = false;
      this.start(node);
    });
    return true;
  }

  /** Its process ends; `power`: so does its machine. */
  end(node: DamageNode, how: 'process' | 'power' = 'process'): void {
    node.kept = node.hasRotted ? 0 : (node.groupLog?.durableIndex ?? 0);
    node.hasRotted = false;
    node.process.crash();
    if (how === 'power') node.disk.crash();
    node.process.restart();
    node.isUp = false;
    node.log = null;
    node.groupLog = null;
    node.raft = null;
    node.watchedMs = Number.POSITIVE_INFINITY;
  }

  act(node: DamageNode, action: (raft: Raft, nowMs: number) => void): void {
    const { raft, process, clock } = node;
    if (raft === null || this.failure !== null) return;
    this.onAct(node);
    process.run(() => {
      action(raft, clock.monotonicMs());
      if (node.raft === raft) this.#turn(node, raft);
    });
  }

  /** In the order of `src/replica/replica.ts`. A hard state is durable at once. */
  #turn(node: DamageNode, raft: Raft): void {
    const { log, groupLog, clock } = node;
    assert(log !== null && groupLog !== null, 'who takes part has a log');
    const nowMs = clock.monotonicMs();
    if (nowMs >= raft.deadlineMs) raft.tick(nowMs);
    const output = raft.takeOutput();
    if (output.hardState !== null) {
      node.hardState = output.hardState;
      const { term } = output.hardState;
      this.#later(node, 1, () => this.act(node, () => raft.onHardStateDurable(term, clock.monotonicMs())));
    }
    for (const { to, message } of output.messages) this.#send(node, to, message);
    log.flush();
    const until = Math.min(raft.commitIndex, groupLog.durableIndex);
    while (node.applied < until) {
      const [entry] = groupLog.entries(node.applied + 1, node.applied + 2, 0);
      // It has turned out to be damaged.
      if (entry === undefined) break;
      node.applied++;
      this.#apply(node, entry);
    }
    this.#watchClock(node, raft);
    if (output.isUnfinished && node.raft === raft) this.#turn(node, raft);
  }

  #apply(node: DamageNode, { index, term, payload }: Entry): void {
    const mark = `${term} ${crc32(payload)}`;
    const known = this.#applied[index];
    this.#applied[index] = mark;
    if (known !== undefined && known !== mark) {
      this.fail(`node ${node.id} applies ${mark} at ${index}, where ${known} was applied before`);
    }
  }

  #send(from: DamageNode, to: NodeId, message: Message): void {
    this.#checkPromise(from, message);
    const target = this.nodes[to - 1];
    if (target === undefined || target.raft === null || this.cut.has(`${from.id}>${to}`)) return;
    const { raft } = target;
    this.#later(target, this.#options.delayUsMax, () => {
      if (target.raft === raft) this.act(target, (_raft, nowMs) => raft.step(from.id, message, nowMs));
    });
  }

  /** A copy that can't be read is none: no commit may rest on it. Nothing is compacted here. */
  #checkPromise({ id, groupLog }: DamageNode, message: Message): void {
    if (message.type !== 'append-accepted') return;
    const damaged = groupLog?.damagedFrom(1) ?? 1;
    if (message.matchIndex < damaged) return;
    this.fail(`node ${id} acknowledges up to ${message.matchIndex}, but cannot read ${damaged}`);
  }

  #later(node: DamageNode, usMax: number, task: () => void): void {
    const { generation } = node.process;
    this.scheduler.after(1 + this.#options.random.below(usMax), () => {
      if (node.process.generation === generation) task();
    });
  }

  #watchClock(node: DamageNode, raft: Raft): void {
    const { deadlineMs } = raft;
    if (node.watchedMs === deadlineMs) return;
    node.watchedMs = deadlineMs;
    // Later than now: rounded, it may show a moment before the deadline.
    const us = Math.max(this.scheduler.nowUs + 1, Math.ceil(deadlineMs * US_PER_MS));
    this.scheduler.at(us, () => {
      if (node.raft !== raft || node.watchedMs !== deadlineMs) return;
      node.watchedMs = Number.POSITIVE_INFINITY;
      this.act(node, () => {});
    });
  }
}

/** Why it does not know whether the group has entries. */
function refusalOf(log: Log): CorruptionError | null {
  try {
    log.group(GROUP);
    return null;
  } catch (error) {
    if (error instanceof CorruptionError) return error;
    throw error;
  }
}
