/**
 * A simulated world: nodes running the production code, clients, a nemesis that breaks things, and the checks.
 *
 * A run has three parts: the storm, in which the nemesis acts; the calm, in which everything is healed and restarted and
 * the cluster must elect and serve again within a bound; and the reckoning, in which every key is read once more, so
 * that the linearizability check also sees what became of each acknowledged write, and replicas are compared.
 */

import { compareBytes } from '../src/codec/bytes.ts';
import type { Disk } from '../src/io/disk.ts';
import type { LogFields, Logger, LogLevel } from '../src/io/logger.ts';
import type { Address } from '../src/io/network.ts';
import { Node } from '../src/server/node.ts';
import { History } from './check/history.ts';
import { checkLinearizability, formatOperations } from './check/linearizability.ts';
import { SimClient } from './client.ts';
import { SimClock } from './clock.ts';
import { SimDisk } from './disk.ts';
import { Invariants } from './invariants.ts';
import { Nemesis } from './nemesis.ts';
import { SimNetwork } from './network.ts';
import { drawOptions, type WorldOptions } from './options.ts';
import { SimCrash, SimProcess } from './process.ts';
import { SimRandom } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { Trace } from './trace.ts';

/** What a run amounts to. `failure` is null when every check held. */
export interface RunResult {
  readonly seed: string;
  readonly failure: { readonly check: string; readonly message: string } | null;
  readonly simulatedSeconds: number;
  readonly events: number;
  readonly operations: number;
  readonly crashes: number;
  readonly elections: number;
  readonly entries: number;
  readonly hash: string;
}

export interface RunOptions {
  readonly stormMs: number;
  /** One line per traced event. */
  readonly onLine?: (line: string) => void;
}

const DATA = '/data';
const PORT = 9000;
/** After healing, this many election timeouts may pass before every key can be read. */
const CALM_ELECTION_TIMEOUTS_MAX = 60;
const US_PER_MS = 1000;

class CheckFailure extends Error {
  readonly check: string;

  constructor(check: string, message: string) {
    super(message);
    this.check = check;
  }
}

/** One simulated machine: its disk outlives its processes. */
export interface Machine {
  readonly id: number;
  readonly host: string;
  readonly disk: SimDisk;
  readonly clock: SimClock;
  readonly process: SimProcess;
  node: Node | null;
}

export class World {
  readonly options: WorldOptions;
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly machines: Machine[] = [];
  readonly history = new History();
  readonly invariants: Invariants;
  readonly #seed: string;
  readonly #clients: SimClient[] = [];
  readonly #members: Address[];
  readonly #onLine: ((line: string) => void) | null;
  /** A node has become leader. */
  onElection: () => void = () => {};
  #failure: CheckFailure | null = null;
  #incarnations = 0;
  crashes = 0;

  constructor(seed: string, run: RunOptions) {
    this.#seed = seed;
    this.random = new SimRandom(seed);
    this.options = drawOptions(this.random.fork('options'));
    this.scheduler = new Scheduler();
    this.trace = new Trace();
    this.#onLine = run.onLine ?? null;
    if (run.onLine !== undefined) this.trace.onLine = run.onLine;
    const { nodes, faults } = this.options;
    this.invariants = new Invariants(nodes);
    this.network = new SimNetwork({
      scheduler: this.scheduler,
      random: this.random.fork('network'),
      trace: this.trace,
      faults: {
        latencyUs: { min: 50, max: Math.max(200, faults.networkDelayMsMax * US_PER_MS) },
        longTailPermille: faults.longTailPermille,
        checkMutation: faults.ownership === 'watched',
      },
    });
    this.#members = Array.from({ length: nodes }, (_none, index) => ({
      host: `node${index + 1}`,
      port: PORT,
    }));
    for (let id = 1; id <= nodes; id++) this.machines.push(this.#makeMachine(id));
    for (let id = 1; id <= this.options.clients; id++) this.#clients.push(this.#makeClient(id));
    this.scheduler.afterEach = () => this.#checkInvariants();
  }

  get failed(): boolean {
    return this.#failure !== null;
  }

  note(label: string, a = 0, b = 0): void {
    this.trace.setTime(this.scheduler.nowUs);
    this.trace.event(label, a, b);
  }

  fail(check: string, message: string): void {
    this.#failure ??= new CheckFailure(check, message);
  }

  /** Starts the node of a machine whose process is not running. */
  boot(machine: Machine): void {
    this.note('boot', machine.id);
    machine.process.restart();
    machine.process.run(() => this.#open(machine));
  }

  /** Ends a machine's process at once; what its disk had not synced may be lost. */
  crash(machine: Machine): void {
    this.note('crash', machine.id);
    this.crashes++;
    machine.node = null;
    machine.process.crash();
    machine.disk.crash();
  }

  run(stormMs: number): RunResult {
    for (const machine of this.machines) this.boot(machine);
    for (const client of this.#clients) client.start();
    const nemesis = new Nemesis(this);
    nemesis.start();
    this.#advance(stormMs);
    nemesis.stop();
    if (!this.failed) this.#calm();
    if (!this.failed) this.#reckon();
    return {
      seed: this.#seed,
      failure: this.#failure === null ? null : { check: this.#failure.check, message: this.#failure.message },
      simulatedSeconds: this.scheduler.nowUs / 1e6,
      events: this.trace.count,
      operations: this.history.operations().length,
      crashes: this.crashes,
      elections: this.invariants.elections,
      entries: this.invariants.commitIndex,
      hash: this.trace.hash(),
    };
  }

  #advance(ms: number): void {
    const end = this.scheduler.nowUs + ms * US_PER_MS;
    while (!this.failed && this.scheduler.nowUs < end && this.scheduler.stepUntil(end)) {
      // Each step checks the invariants; a failure ends the run at the event that caused it.
    }
  }

  /** Everything is healed; the cluster must serve each client again within the bound. */
  #calm(): void {
    this.note('calm');
    this.network.healAll();
    for (const machine of this.machines) {
      machine.disk.setFaults({ crashInsidePerMillion: 0 });
      if (machine.process.paused) machine.process.resume();
      if (!machine.process.alive) this.boot(machine);
    }
    for (const client of this.#clients) client.stop();
    const keys = [...new Set(this.history.operations().map((operation) => operation.key))].sort();
    let unfinished = 1;
    this.#clients[0].readAll(keys, () => {
      unfinished--;
    });
    const boundMs =
      CALM_ELECTION_TIMEOUTS_MAX * this.options.timing.electionTimeoutMs + 2 * this.#patienceMs();
    for (let waitedMs = 0; waitedMs < boundMs && !this.failed; waitedMs += 100) {
      if (unfinished === 0 && this.#replicasAgree()) return;
      this.#advance(100);
    }
    if (this.failed) return;
    const applied = this.machines.map(({ node }) => node?.replica.appliedIndex ?? 'down').join(', ');
    const what = unfinished > 0 ? 'not every key could be read' : `the replicas had applied ${applied}`;
    this.fail('liveness', `after ${boundMs} ms of calm ${what}`);
  }

  /** All nodes are up and have applied all that any of them has. */
  #replicasAgree(): boolean {
    const [first, ...rest] = this.machines.map(({ node }) => node?.replica.appliedIndex ?? -1);
    return first !== -1 && rest.every((index) => index === first);
  }

  #patienceMs(): number {
    return this.options.workload.patienceMs;
  }

  #reckon(): void {
    const verdict = checkLinearizability(this.history.operations());
    if (verdict.ok === false) {
      this.fail('linearizability', `${verdict.explanation}\n${formatOperations(verdict.operations)}`);
    } else if (verdict.ok === null) {
      this.fail('linearizability', `key ${verdict.key}: gave up after ${verdict.statesVisited} states`);
    }
    this.#compareReplicas();
  }

  /** Replicas that have applied the same entries hold the same keys and values, byte for byte. */
  #compareReplicas(): void {
    const nodes = this.machines.map((machine) => machine.node).filter((node) => node !== null);
    const [first, ...rest] = nodes;
    if (first === undefined) return;
    for (const other of rest) {
      const difference = firstDifference(first, other);
      if (difference !== null) this.fail('replica equality', difference);
    }
  }

  #open(machine: Machine): void {
    const { process, id } = machine;
    const { timing, tuning } = this.options;
    const random = this.random.fork(`node${id}.${++this.#incarnations}`);
    Node.open(
      {
        id,
        members: this.#members,
        directory: DATA,
        disk: machine.disk.attach(process) satisfies Disk,
        clock: machine.clock,
        network: this.network.attach(process, machine.host),
        random,
        logger: this.#logger(id),
        timing,
        log: { segmentBytes: tuning.segmentBytes, cacheBytes: tuning.cacheBytes },
        store: {
          memtableBytes: tuning.memtableBytes,
          blockBytes: tuning.blockBytes,
          mergeAtTables: tuning.mergeAtTables,
          stepBytes: tuning.stepBytes,
        },
        onFailure: (error) => this.#onNodeError('node failure', `node ${id} stopped`, error),
      },
      (outcome) => {
        if (outcome.ok) machine.node = outcome.value;
        else this.#onNodeError('recovery', `node ${id} did not start`, outcome.error);
      },
    );
  }

  /** Damage and failed disks are not among the faults yet: a node that gives up has no reason to. */
  #onNodeError(check: string, what: string, error: Error): void {
    // The process has just crashed inside an operation; production code may well catch what unwinds it.
    if (error instanceof SimCrash) return;
    this.fail(check, `${what}: ${error.stack ?? error.message}`);
  }

  #makeMachine(id: number): Machine {
    const host = `node${id}`;
    const { faults } = this.options;
    const process = new SimProcess(host, this.scheduler);
    const random = this.random.fork(`disk${id}`);
    const disk = new SimDisk({
      scheduler: this.scheduler,
      random,
      trace: this.trace,
      faults: {
        syncUs: { min: 100, max: Math.max(300, faults.syncMsMax * US_PER_MS) },
        longTailPermille: faults.slowSyncPermille,
        crashInsidePerMillion: faults.crashInsidePerMillion,
        poisonViews: faults.ownership === 'watched',
      },
    });
    const drift = this.random.fork(`clock${id}`);
    const driftPpm =
      faults.clockDriftPpm === 0 ? 0 : drift.between(-faults.clockDriftPpm, faults.clockDriftPpm);
    const clock = new SimClock(this.scheduler, process, { offsetMs: drift.between(0, 1_000_000), driftPpm });
    const machine: Machine = { id, host, disk, clock, process, node: null };
    process.onPanic = (error) => this.fail('panic', `node ${id}: ${error.stack ?? error.message}`);
    process.onCrashInside = () => this.crash(machine);
    return machine;
  }

  #makeClient(id: number): SimClient {
    const host = `client${id}`;
    const process = new SimProcess(host, this.scheduler);
    process.onPanic = (error) => this.fail('client panic', error.stack ?? error.message);
    return new SimClient({
      id,
      addresses: this.#members,
      network: this.network.attach(process, host),
      clock: new SimClock(this.scheduler, process, { offsetMs: 0, driftPpm: 0 }),
      random: this.random.fork(host),
      history: this.history,
      nowUs: () => this.scheduler.nowUs,
      workload: this.options.workload,
      onWrongAnswer: (what) => this.fail('wrong answer', `client ${id}: ${what}`),
    });
  }

  #checkInvariants(): void {
    const { elections } = this.invariants;
    try {
      for (const machine of this.machines) {
        if (machine.node !== null) this.invariants.check(machine.id, machine.node);
      }
    } catch (error) {
      this.fail('invariant', error instanceof Error ? error.message : String(error));
    }
    if (this.invariants.elections > elections) this.onElection();
  }

  #logger(id: number): Logger {
    const onLine = this.#onLine;
    if (onLine === null) return { log: () => {} };
    return {
      log: (level: LogLevel, event: string, fields: LogFields = {}) =>
        onLine(
          `${(this.scheduler.nowUs / 1000).toFixed(3)} node${id} ${level} ${event} ${JSON.stringify(fields)}`,
        ),
    };
  }
}

export function runSeed(seed: string, options: RunOptions): RunResult {
  return new World(seed, options).run(options.stormMs);
}

function firstDifference(a: Node, b: Node): string | null {
  const left = a.store.iterator();
  const right = b.store.iterator();
  try {
    for (;;) {
      const more = left.next();
      if (more !== right.next()) return 'one replica holds more keys than another';
      if (!more) return null;
      if (compareBytes(left.key(), right.key()) !== 0) return `replicas differ at key ${String(left.key())}`;
      if (compareBytes(left.value(), right.value()) !== 0)
        return `replicas differ in the value of ${String(left.key())}`;
    }
  } finally {
    left.close();
    right.close();
  }
}
