/**
 * Consensus cores alone, in a storm that a cluster is seldom in: leaderships last a few heartbeats, nodes start anew in the
 * middle of an election, leadership is handed over again and again, logs are shortened at once, and everybody reads.
 *
 * A core has its log in memory, which becomes durable after a while, and a clock that drifts as far as the declared bound
 * allows. What may not happen is told by `invariants.ts`; beside that, no read is let through at an index below what was
 * committed when it was asked for. In the end, when all is well, a leader must take and commit a proposal.
 */
import { setRareProbe } from '../src/base/rare.ts';
import { utf8 } from '../src/codec/bytes.ts';
import { encodeWrite } from '../src/kv/write_codec.ts';
import { DEFAULT_FLOW } from '../src/raft/flow.ts';
import type { Message, NodeId } from '../src/raft/message.ts';
import type { HardState } from '../src/raft/output.ts';
import { Raft } from '../src/raft/raft.ts';
import { type FollowedNode, Invariants, InvariantViolation } from './invariants.ts';
import type { SimRandom } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { TrialLog } from './trial_log.ts';

const TRIALS = 8;
const US_PER_MS = 1000;
const MAYBES = ['short-append', 'equal-election-timeout', 'low-probe', 'needless-snapshot'];
const LINK_CHANGES_PERMILLE = 50;
const SNAPSHOT_US_MAX = 50 * US_PER_MS;
const KEY = utf8('k');
const ELECTION_TIMEOUT_MS = 120;
const TIMEOUT_US = ELECTION_TIMEOUT_MS * US_PER_MS;
/** Both in election timeouts. */
const STORM_TIMEOUTS = 40;
const CALM_TIMEOUTS = 40;

/** Runs some trials; what went wrong, or null. */
export function tryCores(random: SimRandom): string | null {
  for (let trial = 0; trial < TRIALS; trial++) {
    const problem = tryOnce(random.fork(`trial ${trial}`));
    if (problem !== null) return problem;
  }
  return null;
}

function tryOnce(random: SimRandom): string | null {
  const maybes = random.fork('maybes');
  const taken = new Set(MAYBES.filter(() => maybes.chance(300)));
  setRareProbe({ sometimes: () => {}, maybe: (name) => taken.has(name) && maybes.chance(200) });
  try {
    new CoreTrial(random).run();
    return null;
  } catch (error) {
    if (error instanceof InvariantViolation) return error.message;
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  } finally {
    setRareProbe(null);
  }
}

/** What a trial draws once. */
interface Weather {
  /** A link has one of these, for a while. */
  readonly delaysUs: readonly number[];
  readonly proposePermille: number;
  readonly lossPermille: number;
  readonly saveUsMax: number;
  /** Mean time between two things that happen to the cluster. */
  readonly everyUs: number;
  readonly crashPermille: number;
  readonly crashLeaders: boolean;
  /** Of a thousand crashes, how many are over within milliseconds. */
  readonly quickPermille: number;
  readonly transferPermille: number;
  readonly cutPermille: number;
  /** Of a thousand cuts, how many are around a leader. */
  readonly cutLeaderPermille: number;
  /** Of a thousand cuts, how many are between one node and all others. */
  readonly wholePermille: number;
  readonly compactPermille: number;
}

/** Any weather, or one in which what only seldom goes wrong has the best chances to. */
function drawWeather(random: SimRandom): Weather {
  const any: Weather = {
    delaysUs: random.pick([[1000], [1000, 1000, TIMEOUT_US >> 1], [1000, TIMEOUT_US >> 3, TIMEOUT_US]]),
    proposePermille: random.pick([20, 200, 600]),
    lossPermille: random.pick([0, 20, 200]),
    saveUsMax: random.pick([100, 5000, TIMEOUT_US >> 2]),
    everyUs: random.pick([TIMEOUT_US >> 4, TIMEOUT_US >> 2, TIMEOUT_US]),
    crashPermille: random.pick([0, 50, 300]),
    crashLeaders: true,
    quickPermille: 500,
    transferPermille: random.pick([0, 50, 200]),
    cutPermille: random.pick([0, 100, 200]),
    cutLeaderPermille: 500,
    wholePermille: 500,
    compactPermille: random.pick([0, 50, 300]),
  };
  // Logs stay alike, so that anybody can win.
  const quiet: Weather = {
    ...any,
    proposePermille: 5,
    lossPermille: 0,
    saveUsMax: 100,
    everyUs: TIMEOUT_US >> 3,
    crashPermille: 0,
    crashLeaders: false,
    quickPermille: 950,
    transferPermille: 0,
    cutLeaderPermille: 900,
    compactPermille: 0,
  };
  switch (random.pick(['any', 'silenced leaders', 'promises', 'transfers', 'snapshots'])) {
    case 'silenced leaders':
      return { ...quiet, delaysUs: [1000, TIMEOUT_US >> 1], cutPermille: 100, wholePermille: 1000 };
    case 'promises':
      // The leader loses sight of one follower and goes on with the others, who forget what they can.
      return {
        ...quiet,
        delaysUs: [1000, TIMEOUT_US >> 1],
        crashPermille: 600,
        cutPermille: 25,
        wholePermille: 0,
      };
    case 'transfers':
      return { ...any, crashPermille: 100, transferPermille: 300, proposePermille: 300 };
    case 'snapshots':
      return {
        ...any,
        proposePermille: 600,
        everyUs: TIMEOUT_US >> 3,
        cutPermille: 100,
        compactPermille: 300,
      };
    default:
      return any;
  }
}

class CoreTrial {
  readonly #random: SimRandom;
  readonly #scheduler = new Scheduler();
  readonly #nodes: TrialNode[];
  readonly #invariants: Invariants;
  readonly #weather: Weather;
  /** Directed links that carry nothing, as `from>to`. */
  readonly #cut = new Set<string>();
  /** By directed link, in microseconds. */
  readonly #delays = new Map<string, number>();
  /** By id of a read what was committed when it was asked for. */
  readonly #asked = new Map<number, number>();
  #reads = 0;
  #writes = 0;
  #isCalm = false;

  constructor(random: SimRandom) {
    this.#random = random;
    const count = random.pick([2, 3, 3, 3, 4, 5]);
    this.#weather = drawWeather(random);
    const driftPpmMax = random.pick([0, 10_000, 100_000]);
    const clockDriftPpmMax = random.chance(900) ? driftPpmMax : null;
    const heartbeatMs = random.pick([20, 50]);
    this.#invariants = new Invariants(count);
    this.#nodes = Array.from({ length: count }, (_none, at) => {
      const clock = {
        offsetMs: random.below(10_000),
        rate: 1 + random.between(-driftPpmMax, driftPpmMax) / 1_000_000,
      };
      const voters = Array.from({ length: count }, (_one, voter) => voter + 1);
      return new TrialNode({
        id: at + 1,
        voters,
        clock,
        clockDriftPpmMax,
        heartbeatMs,
        random: random.fork(`node${at}`),
      });
    });
    this.#invariants.monotonicMsOf = (id) => {
      const node = this.#nodes[id - 1];
      return node.isUp ? node.nowMs(this.#scheduler.nowUs) : null;
    };
  }

  run(): void {
    for (const node of this.#nodes) this.#start(node);
    this.#stir();
    this.#scheduler.runUntil(STORM_TIMEOUTS * TIMEOUT_US);
    this.#isCalm = true;
    this.#cut.clear();
    // The others are enough.
    const absent = this.#nodes.length > 2 && this.#random.chance(500) ? this.#random.pick(this.#nodes) : null;
    for (const node of this.#nodes) if (!node.isUp && node !== absent) this.#start(node);
    if (absent?.isUp === true) absent.crash();
    const before = this.#invariants.commitIndex;
    for (let i = 0; i < CALM_TIMEOUTS; i++) {
      this.#scheduler.runUntil(this.#scheduler.nowUs + TIMEOUT_US);
      for (const node of this.#nodes) this.#act(node, (raft) => raft.propose(this.#payload()));
    }
    if (this.#invariants.commitIndex > before) return;
    const roles = this.#nodes.map(({ id, raft }) => `${id} is ${raft.role} in term ${raft.term}`);
    throw new Error(
      `${CALM_TIMEOUTS} election timeouts into the calm nothing was committed: ${roles.join(', ')}`,
    );
  }

  /** A write that is like no other. */
  #payload(): Uint8Array {
    return encodeWrite({ type: 'set', bucket: 'b', key: KEY, value: utf8(`${++this.#writes}`) }, 0);
  }

  /** Something happens, over and over. */
  #stir(): void {
    const random = this.#random;
    this.#scheduler.after(random.below(2 * this.#weather.everyUs), () => {
      if (this.#isCalm) return;
      this.#happen();
      this.#stir();
    });
  }

  #happen(): void {
    const random = this.#random;
    const { proposePermille, crashPermille, transferPermille, cutPermille, compactPermille } = this.#weather;
    const node = random.pick(this.#nodes);
    if (random.chance(crashPermille)) this.#crash(node);
    if (random.chance(cutPermille)) this.#cutLinks();
    if (random.chance(compactPermille)) node.compact(random.below(3));
    if (random.chance(LINK_CHANGES_PERMILLE)) this.#delays.clear();
    for (const each of this.#nodes) {
      if (each.raft.role === 'leader' && random.chance(transferPermille)) {
        this.#act(each, (raft) =>
          raft.transferLeadership(random.chance(500) ? null : random.pick(this.#nodes).id),
        );
      }
      if (each.raft.role === 'leader' && random.chance(proposePermille))
        this.#act(each, (raft) => raft.propose(this.#payload()));
    }
    const basis = random.chance(500) ? 'lease' : 'round';
    for (let count = random.between(0, 2); count > 0; count--) {
      const id = ++this.#reads;
      this.#asked.set(id, this.#invariants.commitIndex);
      this.#act(random.pick(this.#nodes), (raft, nowMs) => raft.readIndex(id, basis, nowMs));
    }
  }

  /** One node is cut off, or a single link is, or all are whole again. */
  #cutLinks(): void {
    const random = this.#random;
    const wasWhole = this.#cut.size === 0;
    if (!wasWhole && random.chance(700)) {
      this.#cut.clear();
      return;
    }
    const leader = this.#nodes.find(({ raft }) => raft.role === 'leader');
    const node =
      leader !== undefined && random.chance(this.#weather.cutLeaderPermille)
        ? leader
        : random.pick(this.#nodes);
    const rest = this.#nodes.filter((other) => other !== node);
    const others = random.chance(this.#weather.wholePermille) ? rest : [random.pick(rest)];
    const way = random.pick(['to', 'from', 'both']);
    for (const other of others) {
      if (way !== 'from') this.#cut.add(`${other.id}>${node.id}`);
      if (way !== 'to') this.#cut.add(`${node.id}>${other.id}`);
    }
  }

  #crash(node: TrialNode): void {
    const { crashLeaders, quickPermille } = this.#weather;
    if (!node.isUp || (node.raft.role === 'leader' && !crashLeaders)) return;
    node.crash();
    this.#scheduler.after(
      this.#random.below(this.#random.chance(quickPermille) ? TIMEOUT_US >> 5 : 2 * TIMEOUT_US),
      () => {
        if (!node.isUp && !this.#isCalm) this.#start(node);
      },
    );
  }

  #start(node: TrialNode): void {
    node.start(node.nowMs(this.#scheduler.nowUs));
    this.#turn(node);
    for (const other of this.#nodes) {
      if (other !== node) this.#act(other, (raft) => raft.onPeerReset(node.id));
    }
  }

  #act(node: TrialNode, action: (raft: Raft, nowMs: number) => void): void {
    if (!node.isUp) return;
    action(node.raft, node.nowMs(this.#scheduler.nowUs));
    this.#turn(node);
  }

  /** In the order of `src/replica/replica.ts`: no message leaves before the hard states of its turn and of earlier ones. */
  #turn(node: TrialNode): void {
    const output = node.raft.takeOutput();
    for (const { id, index } of output.reads) {
      const asked = this.#asked.get(id);
      this.#asked.delete(id);
      if (asked === undefined) throw new Error(`node ${node.id} answers read ${id}, which it was not asked`);
      if (index !== null && index < asked)
        throw new Error(
          `node ${node.id} lets a read see entry ${index}; ${asked} was committed before it asked`,
        );
    }
    for (const { to, message } of output.messages) node.heldBack.push({ to, message });
    if (output.hardState !== null) this.#save(node, output.hardState);
    if (node.saves.length === 0) this.#release(node);
    if (node.log.isDirty && !node.isSyncing) this.#sync(node);
    if (output.snapshot !== null) this.#fetch(node, output.snapshot.from);
    this.#invariants.check(node.id, node.observed);
    this.#watchClock(node);
  }

  #save(node: TrialNode, state: HardState): void {
    node.saves.push(state);
    if (node.saves.length === 1) this.#writeNext(node);
  }

  #writeNext(node: TrialNode): void {
    this.#later(node, this.#weather.saveUsMax, () => {
      const saved = node.saves.shift();
      if (saved === undefined) return;
      node.hardState.durable = saved;
      node.raft.onHardStateDurable(saved.term, node.nowMs(this.#scheduler.nowUs));
      if (node.saves.length > 0) this.#writeNext(node);
      else this.#release(node);
    });
  }

  #release(node: TrialNode): void {
    for (const { to, message } of node.heldBack) this.#send(node.id, to, message);
    node.heldBack = [];
  }

  #sync(node: TrialNode): void {
    node.isSyncing = true;
    const batch = node.log.begin();
    this.#later(node, this.#weather.saveUsMax, () => {
      node.isSyncing = false;
      node.log.end(batch);
      node.raft.onDurable(node.log.durableIndex, node.nowMs(this.#scheduler.nowUs));
    });
  }

  #send(from: NodeId, to: NodeId, message: Message): void {
    const target = this.#nodes[to - 1];
    const { lossPermille } = this.#weather;
    const isLost = !this.#isCalm && (this.#cut.has(`${from}>${to}`) || this.#random.chance(lossPermille));
    // What is on its way to a node that ends, ends with its connection.
    if (isLost || !target.isUp) return;
    this.#later(target, this.#isCalm ? 1000 : this.#delayUs(from, to), () =>
      target.raft.step(from, message, target.nowMs(this.#scheduler.nowUs)),
    );
  }

  #delayUs(from: NodeId, to: NodeId): number {
    const link = `${from}>${to}`;
    const known = this.#delays.get(link);
    if (known !== undefined) return known;
    const delayUs = this.#random.pick(this.#weather.delaysUs);
    this.#delays.set(link, delayUs);
    return delayUs;
  }

  /** A snapshot is installed some time after it was offered, as it is at the leader then. */
  #fetch(node: TrialNode, from: NodeId): void {
    this.#later(node, SNAPSHOT_US_MAX, () => {
      const source = this.#nodes[from - 1];
      const { index } = source.snapshots;
      if (!source.isUp || index === 0) return;
      node.raft.restore(index, source.log.termAt(index), node.nowMs(this.#scheduler.nowUs));
      node.snapshots.index = Math.max(node.snapshots.index, node.log.firstIndex - 1);
    });
  }

  /** A task of this life of the node, within `us`; a turn follows it. */
  #later(node: TrialNode, us: number, task: () => void): void {
    const { life } = node;
    this.#scheduler.after(1 + this.#random.below(us), () => {
      if (node.life !== life) return;
      task();
      this.#turn(node);
    });
  }

  #watchClock(node: TrialNode): void {
    const { deadlineMs } = node.raft;
    if (node.watchedMs === deadlineMs) return;
    node.watchedMs = deadlineMs;
    const { life } = node;
    this.#scheduler.at(Math.max(this.#scheduler.nowUs, node.usAt(deadlineMs)), () => {
      if (node.life !== life || node.watchedMs !== deadlineMs) return;
      node.watchedMs = null;
      this.#act(node, (raft, nowMs) => raft.tick(Math.max(nowMs, deadlineMs)));
    });
  }
}

interface TrialNodeOptions {
  readonly id: NodeId;
  readonly voters: readonly NodeId[];
  readonly clock: { readonly offsetMs: number; readonly rate: number };
  readonly clockDriftPpmMax: number | null;
  readonly heartbeatMs: number;
  readonly random: SimRandom;
}

class TrialNode {
  readonly #options: TrialNodeOptions;
  readonly log = new TrialLog();
  readonly hardState: { durable: HardState } = { durable: { term: 0, vote: null } };
  readonly snapshots = { index: 0 };
  saves: HardState[] = [];
  heldBack: { readonly to: NodeId; readonly message: Message }[] = [];
  isSyncing = false;
  isUp = false;
  life = 0;
  /** The deadline at which the core is to be woken. */
  watchedMs: number | null = null;
  raft: Raft;
  observed: FollowedNode;

  constructor(options: TrialNodeOptions) {
    this.#options = options;
    this.raft = this.#make(0);
    this.observed = this.#observe();
  }

  get id(): NodeId {
    return this.#options.id;
  }

  nowMs(trueUs: number): number {
    const { offsetMs, rate } = this.#options.clock;
    return offsetMs + (trueUs * rate) / US_PER_MS;
  }

  /** Whole microseconds of true time, not before the node's clock shows `nowMs`. */
  usAt(nowMs: number): number {
    const { offsetMs, rate } = this.#options.clock;
    return Math.ceil(((nowMs - offsetMs) * US_PER_MS) / rate);
  }

  start(nowMs: number): void {
    this.isUp = true;
    this.life++;
    this.raft = this.#make(nowMs);
    this.observed = this.#observe();
  }

  crash(): void {
    this.isUp = false;
    this.life++;
    this.log.crash();
    this.saves = [];
    this.heldBack = [];
    this.isSyncing = false;
    this.watchedMs = null;
  }

  /** Shortens the log by all that is committed and durable here, but for `tail` entries. */
  compact(tail: number): void {
    if (!this.isUp) return;
    const index = Math.min(this.raft.commitIndex, this.log.durableIndex);
    this.snapshots.index = Math.max(this.snapshots.index, index);
    this.log.compact(index - tail);
  }

  #make(nowMs: number): Raft {
    const { id, voters, clockDriftPpmMax, heartbeatMs, random } = this.#options;
    return new Raft({
      id,
      voters,
      log: this.log,
      random,
      timing: { heartbeatMs, electionTimeoutMs: ELECTION_TIMEOUT_MS },
      flow: DEFAULT_FLOW,
      clockDriftPpmMax,
      snapshots: this.snapshots,
      hardState: this.hardState.durable,
      appliedIndex: this.snapshots.index,
      nowMs,
    });
  }

  #observe(): FollowedNode {
    const { raft, log, hardState } = this;
    return { replica: { raft, appliedIndex: 0 }, groupLog: log, hardState };
  }
}
