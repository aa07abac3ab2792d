/**
 * A simulated world: nodes running the production code, clients, a nemesis that breaks things, and the checks.
 *
 * A run has four parts: the storm, in which the nemesis acts; the calm, in which everything is healed and restarted and
 * the cluster must elect and serve again within a bound; the blackout, in which all machines lose their power at once,
 * so that only what was really durable is left; and the reckoning, in which every key has been read once more and the
 * linearizability check sees what became of each acknowledged write, and replicas are compared.
 *
 * Beside that, the seed's trials put a log, and a node's vote, alone through what a cluster seldom does to them
 * (`log_trial.ts`, `vote_trial.ts`).
 *
 * A world is drawn from a seed, or plays a scenario: the strokes and requests of an earlier run, or a part of them.
 */
import { assert } from '../src/base/assert.ts';
import { type RareProbe, setRareProbe } from '../src/base/rare.ts';
import { compareBytes, utf8 } from '../src/codec/bytes.ts';
import type { LogFields, Logger, LogLevel } from '../src/io/logger.ts';
import type { Address, Network } from '../src/io/network.ts';
import { Node } from '../src/server/node.ts';
import { Atlas } from './atlas.ts';
import { History, type Operation } from './check/history.ts';
import { checkLinearizability, formatOperations } from './check/linearizability.ts';
import { SimClient } from './client.ts';
import { SimClock } from './clock.ts';
import { type InjuryKind, SimDisk } from './disk.ts';
import { Invariants } from './invariants.ts';
import { tryLog } from './log_trial.ts';
import { Nemesis } from './nemesis.ts';
import { SimNetwork } from './network.ts';
import { drawOptions, type WorldOptions } from './options.ts';
import { lossAtPowerCut, type Settings } from './power_cut.ts';
import { SimCrash, SimProcess } from './process.ts';
import { prematurePromise, WatchedNetwork } from './promises.ts';
import { SimRandom } from './random.ts';
import type { Probe } from './report/probe.ts';
import { SCENARIO_FORMAT, type Scenario } from './scenario.ts';
import { Scheduler } from './scheduler.ts';
import {
  applyStroke,
  describeStroke,
  hostOf,
  isFault,
  nodeOf,
  type Stroke,
  type StrokeAction,
} from './strokes.ts';
import { Trace } from './trace.ts';
import { tryVotes } from './vote_trial.ts';
import { type Batch, bucketName } from './workload.ts';

/** What a run amounts to. `failure` is null when every check held. */
export interface RunResult {
  readonly seed: string;
  readonly failure: Failure | null;
  readonly simulatedSeconds: number;
  readonly events: number;
  readonly operations: number;
  /** Strokes that broke something. */
  readonly faults: number;
  readonly crashes: number;
  readonly elections: number;
  readonly entries: number;
  /** Names of the `sometimes` marks that the run reached, sorted. */
  readonly marks: readonly string[];
  /** Times that a disk failed or was harmed. */
  readonly injuries: number;
  /** Machines that are down for good. */
  readonly machinesLost: number;
  /** 1 when too many machines were harmed for the cluster to serve again, and it did not; else 0. */
  readonly waited: number;
  readonly hash: string;
}

export interface Failure {
  readonly check: string;
  readonly message: string;
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
const COMMAND_PATIENCE_MS = 2000;
/** Of a thousand runs, how many end with links cut for good. */
const STEADY_PERMILLE = 300;
/** Election timeouts after which the cluster must have settled, and for which it is then watched. */
const STEADY_AFTER_TIMEOUTS = 20;
const STEADY_FOR_TIMEOUTS = 10;
/** A node is told of these, and may not count on what they were to cover. */
const OF_SYNCS: ReadonlySet<InjuryKind> = new Set(['failed-sync']);
/** After these what is on the disk is not what it was a moment ago. */
const POWER_CUT_MARKS: ReadonlySet<string> = new Set(['a conflicting suffix is replaced']);
/** How often it is considered, in the first moments of a node's life, what a power cut would leave. */
const YOUNG_CUTS = 2;
const SHUT_DOWN_MS = 4000;
/** A closing connection may linger for a second. */
const LINGER_MS = 1500;

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
  readonly scheduler = new Scheduler();
  readonly trace = new Trace();
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly machines: Machine[] = [];
  readonly history = new History();
  readonly invariants: Invariants;
  readonly atlas: Atlas;
  /** A node has become leader. */
  onElection: (node: number) => void = () => {};
  /** A node has reached a `sometimes` mark. */
  onMark: (node: number, name: string) => void = () => {};
  /** A node starts. */
  onBoot: (node: number) => void = () => {};
  /** A node has given its vote. */
  onVote: (node: number) => void = () => {};
  readonly #seed: string;
  readonly #script: Scenario | null;
  readonly #clients: SimClient[] = [];
  readonly #operator: { readonly process: SimProcess; readonly network: Network; readonly clock: SimClock };
  readonly #members: Address[];
  readonly #onLine: ((line: string) => void) | null;
  readonly #probe: Probe | null;
  readonly #strokes: Stroke[] = [];
  readonly #batches: Batch[] = [];
  readonly #values = new Map<string, string>();
  readonly #marks = new Set<string>();
  readonly #maybeRandom: SimRandom;
  readonly #powerCutRandom: SimRandom;
  readonly #rareProbe: RareProbe = {
    sometimes: (name) => this.#reachMark(name),
    maybe: (name) => this.#isStorm && this.#maybeRandom.chance(this.options.maybes[name] ?? 0),
  };
  #isStorm = true;
  #waited = false;
  /** The cluster must come back: not more machines were harmed than it can do without. Known from the calm on. */
  #mustServe = true;
  #failure: Failure | null = null;
  #incarnations = 0;
  crashes = 0;

  /**
   * @param script Plays this; null: draws everything from the seed.
   * @param makeProbe Makes who is told what happens, once the options are known; null: nobody is told.
   */
  constructor(
    seed: string,
    script: Scenario | null,
    onLine: ((line: string) => void) | null,
    makeProbe: ((options: WorldOptions) => Probe) | null = null,
  ) {
    this.#seed = seed;
    this.#script = script;
    this.#onLine = onLine;
    this.trace.onLine = onLine;
    const noise = script?.noise ?? 0;
    this.random = new SimRandom(noise === 0 ? seed : `${seed}#${noise}`);
    this.#maybeRandom = this.random.fork('maybe');
    this.#powerCutRandom = this.random.fork('power cut');
    this.options = script?.options ?? drawOptions(this.random.fork('options'));
    const { nodes, clients } = this.options;
    this.#probe = makeProbe === null ? null : makeProbe(this.options);
    this.#tellProbe();
    this.invariants = new Invariants(nodes);
    this.atlas = new Atlas({
      machines: nodes,
      mode: this.options.damage,
      random: this.random.fork('atlas'),
      filesOf: (machine) => this.machine(machine).disk.files(),
    });
    this.invariants.nowUs = () => this.scheduler.nowUs;
    this.invariants.mayBeDamaged = (node) => this.atlas.isInjured(node);
    this.invariants.onVote = (node) => {
      this.#considerPowerCut(this.machine(node));
      this.onVote(node);
    };
    this.invariants.onElection = (node) => {
      this.#considerPowerCut(this.machine(node));
      this.onElection(node);
    };
    this.network = this.#makeNetwork();
    this.#members = Array.from({ length: nodes }, (_none, at) => ({ host: hostOf(at + 1), port: PORT }));
    for (let id = 1; id <= nodes; id++) this.machines.push(this.#makeMachine(id));
    const operator = new SimProcess('operator', this.scheduler);
    this.#operator = {
      process: operator,
      network: this.network.attach(operator, 'operator'),
      clock: new SimClock(this.scheduler, operator, { offsetMs: 0, driftPpm: 0 }),
    };
    for (let id = 1; id <= clients; id++) this.#clients.push(this.#makeClient(id));
    this.scheduler.afterEach = () => this.#checkInvariants();
  }

  get failed(): boolean {
    return this.#failure !== null;
  }

  machine(id: number): Machine {
    return this.machines[id - 1];
  }

  /** A node that believes that it leads, the one of the highest term; null: there is none. */
  leader(): number | null {
    let leader: number | null = null;
    let term = 0;
    for (const { id, node } of this.machines) {
      if (node === null || !node.replica.isLeader || node.replica.raft.term <= term) continue;
      leader = id;
      term = node.replica.raft.term;
    }
    return leader;
  }

  note(label: string, a = 0, b = 0): void {
    this.trace.setTime(this.scheduler.nowUs);
    this.trace.event(label, a, b);
  }

  fail(check: string, message: string): void {
    this.#failure ??= { check, message };
  }

  /** Does to the world what the stroke says, now, and writes it down. */
  strike(action: StrokeAction): void {
    this.#strokes.push({ atUs: this.scheduler.nowUs, ...action });
    this.#probe?.onStroke(action);
    this.trace.setTime(this.scheduler.nowUs);
    this.trace.named('stroke', describeStroke(action));
    applyStroke(this, action);
  }

  /** Starts the node of a machine whose process is not running. */
  boot(machine: Machine): void {
    if (!this.atlas.mayStart(machine.id)) {
      this.atlas.onEnded(machine.id);
      return;
    }
    this.note('boot', machine.id);
    machine.process.restart();
    machine.process.run(() => this.#open(machine));
    this.onBoot(machine.id);
  }

  /** Ends a machine's process at once; what its disk had not synced may be lost. */
  crash(machine: Machine): void {
    this.note('crash', machine.id);
    this.crashes++;
    machine.node = null;
    machine.process.crash();
    machine.disk.crash();
    this.atlas.onEnded(machine.id);
  }

  /** Ends the process alone. */
  kill(machine: Machine): void {
    this.note('kill', machine.id);
    this.crashes++;
    machine.node = null;
    machine.process.crash();
    this.atlas.onEnded(machine.id);
  }

  /** As an operator does it; the process ends by itself, a little later. */
  stopInOrder(machine: Machine): void {
    const { node, process } = machine;
    if (node === null || !process.alive || process.paused) return;
    process.run(() =>
      node.stop((error) => {
        if (error !== null) this.#onNodeError(machine, 'stop', 'did not stop in order', error);
        // Not from inside of its own callback.
        this.scheduler.soon(process.guard(() => this.scheduler.soon(() => this.#exit(machine, node))));
      }),
    );
  }

  /** Sends a line to a node as an operator would; what comes of it is its own affair, but an answer must come in form. */
  operate(node: number, text: string): void {
    const { network, clock } = this.#operator;
    const connection = network.connect(this.#members[node - 1], {
      onOpen: () => {
        connection.write(utf8(`${text}\r\n`));
      },
      onData: (bytes) => {
        const answer = String.fromCharCode(...bytes.subarray(0, 1));
        if (answer !== '+' && answer !== '-')
          this.fail('wrong answer', `${text} was answered '${answer}...'`);
        connection.destroy();
      },
      onClose: () => {},
    });
    clock.after(COMMAND_PATIENCE_MS, () => connection.destroy());
  }

  /** @param stormMs Of a world drawn from a seed; a scenario has its own. */
  run(stormMs: number): RunResult {
    setRareProbe(this.#rareProbe);
    try {
      this.#storm(this.#script?.stormMs ?? stormMs);
      if (!this.failed) this.#calm();
      if (!this.failed) this.#blackout();
      if (!this.failed) this.#steady();
      if (!this.failed) this.#reckon();
      if (!this.failed) this.#shutDown();
    } finally {
      setRareProbe(null);
    }
    if (!this.failed) {
      const problem = tryLog(this.random.fork('log trial'));
      if (problem !== null) this.fail('log trial', problem);
      const loss = tryVotes(this.random.fork('vote trial'));
      if (loss !== null) this.fail('vote trial', loss);
    }
    return {
      seed: this.#seed,
      failure: this.#failure,
      simulatedSeconds: this.scheduler.nowUs / 1e6,
      events: this.trace.count,
      operations: this.history.operations().length,
      faults: this.#strokes.filter(isFault).length,
      crashes: this.crashes,
      elections: this.invariants.elections,
      entries: this.invariants.commitIndex,
      marks: [...this.#marks].sort(),
      injuries: this.machines.reduce((sum, { id }) => sum + this.atlas.injuries(id).length, 0),
      machinesLost: this.machines.filter(({ id }) => this.atlas.isDownForGood(id)).length,
      waited: this.#waited ? 1 : 0,
      hash: this.trace.hash(),
    };
  }

  /** What was drawn, or played, up to now. */
  scenario(stormMs: number): Scenario {
    return {
      format: SCENARIO_FORMAT,
      seed: this.#seed,
      noise: this.#script?.noise ?? 0,
      options: this.options,
      stormMs: this.#script?.stormMs ?? stormMs,
      strokes: this.#strokes,
      batches: this.#batches,
    };
  }

  #storm(stormMs: number): void {
    for (const machine of this.machines) this.boot(machine);
    for (const client of this.#clients) client.start();
    const nemesis = this.#script === null ? new Nemesis(this) : null;
    nemesis?.start();
    for (const { atUs, ...action } of this.#script?.strokes ?? []) {
      // The storm of a shrunk scenario may be shorter than it was.
      if (atUs < stormMs * US_PER_MS) this.scheduler.at(atUs, () => this.strike(action as StrokeAction));
    }
    this.#advance(stormMs);
    nemesis?.stop();
    this.#isStorm = false;
  }

  #advance(ms: number): void {
    const end = this.scheduler.nowUs + ms * US_PER_MS;
    while (this.#failure === null && this.scheduler.nowUs < end && this.scheduler.stepUntil(end)) {
      // Each step checks the invariants; a failure ends the run at the event that caused it.
    }
  }

  /** Everything is healed; the cluster must serve each client again within the bound. */
  #calm(): void {
    this.note('calm');
    const isHealthy = ({ id }: Machine): boolean =>
      !this.atlas.isDamaged(id) && !this.atlas.isDownForGood(id);
    this.#mustServe = this.machines.filter(isHealthy).length * 2 > this.machines.length;
    assert(this.#mustServe || this.options.damage === 'unrecoverable', 'a minority is harmed at most');
    this.network.healAll();
    this.network.setFaults({ longTailPermille: 0, bitFlipPerMillion: 0 });
    for (const client of this.#clients) client.stop();
    for (const machine of this.machines) {
      const { id, process, clock, disk } = machine;
      disk.heal();
      if (this.#mustServe && this.atlas.isDamaged(id)) {
        // Nothing repairs it yet: an operator takes it out.
        if (process.alive) this.crash(machine);
        this.atlas.retire(id);
        continue;
      }
      clock.setDriftPpm(0);
      clock.thaw();
      process.setTaskUs(0);
      process.resume();
      if (machine.node?.isStopped === true) this.kill(machine);
      if (!process.alive) this.boot(machine);
    }
    this.#readAll('calm');
  }

  /** All machines lose their power at once: what was acknowledged must be on the disks. */
  #blackout(): void {
    this.note('blackout');
    for (const machine of this.machines) if (machine.process.alive) this.crash(machine);
    for (const machine of this.machines) this.boot(machine);
    this.#readAll('the blackout');
  }

  /**
   * Some links are cut for good, but one node still reaches a majority: the cluster must settle on a leader within the
   * bound, and then keep it. Pre-vote, CheckQuorum and stickiness together promise that, none of them alone.
   */
  #steady(): void {
    const random = this.random.fork('steady');
    const { nodes, timing } = this.options;
    if (nodes < 3 || !this.#mustServe || !random.chance(STEADY_PERMILLE)) return;
    this.note('steady');
    const inService = this.#inService().map(({ id }) => id);
    const hub = random.pick(inService);
    const kept = new Set(
      shuffled(inService, random)
        .filter((id) => id !== hub)
        .slice(0, nodes >> 1),
    );
    for (const { id: a } of this.machines) {
      for (const { id: b } of this.machines) {
        const isKept = (a === hub && kept.has(b)) || (b === hub && kept.has(a));
        if (a >= b || isKept || random.chance(300)) continue;
        this.network.block(hostOf(a), hostOf(b));
        this.network.block(hostOf(b), hostOf(a));
      }
    }
    const leader = this.leader();
    const keeps = leader !== null && this.#reached(leader) > nodes >> 1;
    const atFirst = this.#terms();
    this.#advance(STEADY_AFTER_TIMEOUTS * timing.electionTimeoutMs);
    const before = this.#terms();
    if (keeps && before !== atFirst) {
      const what = `node ${leader} led and reaches a majority, but terms went from ${atFirst} to ${before}`;
      this.fail('steadiness', `with links cut, ${what}`);
    }
    this.#advance(STEADY_FOR_TIMEOUTS * timing.electionTimeoutMs);
    if (this.failed) return;
    if (this.leader() === null) this.fail('steadiness', 'nobody leads, although a node reaches a majority');
    const after = this.#terms();
    if (after !== before) {
      this.fail(
        'steadiness',
        `with links cut but a majority connected, terms went from ${before} to ${after}`,
      );
    }
    this.network.healAll();
    this.#readAll('the links were joined');
  }

  /** Nodes that it can talk with, both ways, itself among them. */
  #reached(node: number): number {
    const host = hostOf(node);
    const isFree = (other: string): boolean =>
      this.network.isBlocked(host, other) === 'free' && this.network.isBlocked(other, host) === 'free';
    return this.#inService().filter((machine) => machine.id === node || isFree(machine.host)).length;
  }

  #terms(): string {
    return this.machines.map(({ node }) => node?.replica.raft.term ?? 'down').join(', ');
  }

  /** All nodes stop in order: then nothing of them may be left, no timer, no open file, no connection. */
  #shutDown(): void {
    this.note('shut-down');
    let running = 0;
    for (const machine of this.machines) {
      const { id, node, process } = machine;
      if (node === null || node.isStopped) continue;
      running++;
      process.run(() =>
        node.stop((error) => {
          running--;
          if (error !== null) this.#onNodeError(machine, 'stop', 'did not stop in order', error);
          // A timer that is left would soon run out and not be seen any more.
          const { timers } = process.holdings;
          if (timers > 0) this.fail('leak', `node ${id} says that it has stopped and holds ${timers} timers`);
        }),
      );
    }
    // Handing over takes two election timeouts at most, and a slow disk its own time.
    const boundMs = SHUT_DOWN_MS + 2 * this.options.timing.electionTimeoutMs;
    for (let waitedMs = 0; running > 0 && waitedMs < boundMs && !this.failed; waitedMs += 100)
      this.#advance(100);
    this.#advance(LINGER_MS);
    if (this.failed) return;
    if (running > 0) this.fail('stop', `${running} nodes have not stopped after ${boundMs} ms`);
    for (const { id, process } of this.machines) {
      const { timers, files, connections } = process.holdings;
      if (timers + files + connections === 0) continue;
      const held = `${timers} timers, ${files} open files and ${connections} connections`;
      this.fail('leak', `node ${id} has stopped in order and still holds ${held}`);
    }
  }

  /** Every key is read again, and the replicas catch up with each other, within the bound. */
  #readAll(after: string): void {
    const keys = [...new Set(this.history.operations().map((operation) => operation.key))].sort();
    let unfinished = 1;
    this.#clients[0].readAll(keys, () => {
      unfinished--;
    });
    const { timing, workload } = this.options;
    const boundMs = CALM_ELECTION_TIMEOUTS_MAX * timing.electionTimeoutMs + 2 * workload.patienceMs;
    if (!this.#mustServe) {
      this.#advance(boundMs >> 2);
      if (unfinished > 0) this.#waited = true;
      return;
    }
    for (let waitedMs = 0; waitedMs < boundMs && !this.failed; waitedMs += 100) {
      if (unfinished === 0 && this.#replicasAgree()) {
        this.#compareReplicas();
        return;
      }
      this.#advance(100);
    }
    if (this.failed) return;
    const applied = this.machines.map(({ node }) => node?.replica.appliedIndex ?? 'down').join(', ');
    const what = unfinished > 0 ? 'not every key could be read' : `the replicas had applied ${applied}`;
    this.fail('liveness', `${boundMs} ms after ${after} ${what}`);
  }

  /** All nodes are up and have applied all that any of them has. */
  #replicasAgree(): boolean {
    const [first, ...rest] = this.#inService().map(({ node }) => node?.replica.appliedIndex ?? -1);
    return first !== -1 && rest.every((index) => index === first);
  }

  /**
   * What became of each write of a value that was never answered: the cluster has settled since, all machines having started anew, so
   * that an entry that is not committed never will be.
   */
  readonly #fateOf = (operation: Operation): number | 'never' | null => {
    const { kind, key, argument, parts } = operation;
    const value = kind === 'mset' ? (parts?.[0]?.value ?? null) : argument;
    // Counters are counted on by the same numbers over and over.
    if (value === null || kind === 'increment') return null;
    const [bucket, name] = key.split('/');
    return this.invariants.committedAtUs(bucketName(Number(bucket)), name, value) ?? 'never';
  };

  #reckon(): void {
    if (this.#mustServe) this.history.narrow(this.#fateOf);
    const verdict = checkLinearizability(this.history.operations());
    if (verdict.ok === false) {
      this.#probe?.onOffending(verdict.operations);
      this.fail('linearizability', `${verdict.explanation}\n${formatOperations(verdict.operations)}`);
    } else if (verdict.ok === null) {
      this.fail('linearizability', `key ${verdict.key}: gave up after ${verdict.statesVisited} states`);
    }
  }

  /** Replicas that have applied the same entries hold the same keys and values, byte for byte. */
  #compareReplicas(): void {
    const nodes = this.#inService()
      .map((machine) => machine.node)
      .filter((node) => node !== null);
    const [first, ...rest] = nodes;
    if (first === undefined) return;
    for (const other of rest) {
      // Where the cluster had to serve they do.
      if (other.replica.appliedIndex !== first.replica.appliedIndex) continue;
      const difference = firstDifference(first, other);
      if (difference !== null) this.fail('replica equality', difference);
    }
  }

  /** Also in the middle of a run, where a replica is just as far as another. */
  #compareWithEquals(machine: Machine, node: Node): void {
    if (node.isStopped || this.atlas.isDamaged(machine.id)) return;
    for (const other of this.machines) {
      if (other === machine || other.node === null || other.node.isStopped) continue;
      if (this.atlas.isDamaged(other.id)) continue;
      if (other.node.replica.appliedIndex !== node.replica.appliedIndex) continue;
      machine.disk.setLookedAt(true);
      other.disk.setLookedAt(true);
      const difference = firstDifference(node, other.node);
      machine.disk.setLookedAt(false);
      other.disk.setLookedAt(false);
      if (difference !== null) this.fail('replica equality', difference);
    }
  }

  #open(machine: Machine): void {
    const { process, id } = machine;
    Node.open(
      {
        ...this.#settings(id),
        disk: machine.disk.attach(process),
        clock: machine.clock,
        network: this.#watched(machine, this.network.attach(process, machine.host)),
        random: this.random.fork(`node${id}.${++this.#incarnations}`),
        logger: this.#logger(id),
        onFailure: (error) => this.#onNodeError(machine, 'node failure', 'stopped', error),
      },
      (outcome) => {
        if (!outcome.ok) {
          this.#onNodeError(machine, 'recovery', 'did not start', outcome.error);
          return;
        }
        machine.node = outcome.value;
        this.#probe?.onUp(id);
        this.#considerPowerCut(machine);
        this.#considerLater(machine);
      },
    );
  }

  /** What a node has found at its start meets, in the next moments, what it writes behind it. */
  #considerLater(machine: Machine): void {
    if (this.options.powerCutPermille === 0) return;
    const { syncMsMax, networkDelayMsMax } = this.options.surroundings;
    const withinUs = 10 * (syncMsMax + networkDelayMsMax) * US_PER_MS;
    for (let i = 0; i < YOUNG_CUTS; i++) {
      const delayUs = this.#powerCutRandom.below(withinUs);
      this.scheduler.after(delayUs, () => this.#considerPowerCut(machine));
    }
  }

  /** In runs that look for power cuts, what a node says is held against what is on its disk. */
  #watched(machine: Machine, network: Network): Network {
    if (this.options.powerCutPermille === 0) return network;
    return new WatchedNetwork(network, (to, bytes) => {
      const { node, id } = machine;
      if (node === null) return;
      const { raft } = node.replica;
      const { durable } = node.hardState;
      if (raft.term === durable.term && raft.vote === durable.vote) return;
      const { durableIndex } = node.groupLog;
      const problem = prematurePromise(bytes, nodeOf(to.host), durable, node.groupLog.termAt(durableIndex));
      if (problem !== null) this.fail('premature promise', `node ${id} says ${problem}`);
    });
  }

  #settings(id: number): Settings {
    const { timing, tuning } = this.options;
    return {
      id,
      members: this.#members,
      directory: DATA,
      timing,
      flow: tuning.flow,
      snapshots: tuning.snapshots,
      clockDriftPpmMax: tuning.clockDriftPpmMax,
      timeouts: { noLeaderMs: tuning.noLeaderMs, answerMs: tuning.answerMs },
      log: { segmentBytes: tuning.segmentBytes, cacheBytes: tuning.cacheBytes },
      store: {
        memtableBytes: tuning.memtableBytes,
        blockBytes: tuning.blockBytes,
        mergeAtTables: tuning.mergeAtTables,
        immutableMemtablesMax: tuning.immutableMemtablesMax,
        stepBytes: tuning.stepBytes,
      },
    };
  }

  /** At a moment of interest, sometimes: what would be left of the node if the power failed now? */
  #considerPowerCut(machine: Machine): void {
    const permille = this.options.powerCutPermille;
    // A scenario may be a part of a run: then no draw is what it was, and the moment must not be missed.
    if (permille === 0 || (this.#script === null && !this.#powerCutRandom.chance(permille))) return;
    this.#tryPowerCut(machine);
  }

  #tryPowerCut(machine: Machine): void {
    this.scheduler.atEndOfEvent(() => {
      const { node, process, id } = machine;
      if (node === null || !process.alive || this.failed || this.atlas.isDamaged(id, OF_SYNCS)) return;
      setRareProbe(null);
      const loss = lossAtPowerCut(node, machine.disk, this.#settings(id));
      setRareProbe(this.#rareProbe);
      if (loss !== null) this.fail('power cut', `if the power of node ${id} failed now: ${loss}`);
      this.#compareWithEquals(machine, node);
    });
  }

  #exit(machine: Machine, node: Node): void {
    if (machine.node !== node) return;
    this.note('exit', machine.id);
    machine.node = null;
    machine.process.crash();
    this.atlas.onEnded(machine.id);
  }

  /** A node gives up. Where its disk gave it reason to, its process ends; else that is a failure of the run. */
  #onNodeError(machine: Machine, check: string, what: string, error: Error): void {
    // The process has just crashed inside an operation; production code may well catch what unwinds it.
    if (error instanceof SimCrash) return;
    const { id, process } = machine;
    const verdict = this.atlas.onStopped(id, error);
    if (!verdict.right) {
      this.fail(check, `node ${id} ${what}, though ${verdict.why}: ${error.stack ?? error.message}`);
      return;
    }
    this.note('gives-up', id);
    const { generation } = process;
    this.scheduler.soon(() => {
      if (process.generation === generation && process.alive) this.kill(machine);
    });
  }

  /** Machines that are not down for good. */
  #inService(): Machine[] {
    return this.machines.filter(({ id }) => !this.atlas.isDownForGood(id));
  }

  #tellProbe(): void {
    const probe = this.#probe;
    if (probe === null) return;
    probe.onStart(() => this.scheduler.nowUs);
    this.trace.probe = probe;
    this.history.onGivenUp = (operation, outcome) => probe.onGivenUp(operation, outcome);
  }

  #makeNetwork(): SimNetwork {
    const { surroundings } = this.options;
    return new SimNetwork({
      scheduler: this.scheduler,
      random: this.random.fork('network'),
      trace: this.trace,
      probe: this.#probe,
      faults: {
        latencyUs: { min: 50, max: Math.max(200, surroundings.networkDelayMsMax * US_PER_MS) },
        longTailPermille: surroundings.longTailPermille,
        fragmentPermille: surroundings.fragmentPermille,
        bitFlipPerMillion: surroundings.bitFlipPerMillion,
        mayFlip: (from, to) => from.startsWith('node') && to.startsWith('node'),
        checkMutation: surroundings.ownership === 'watched',
      },
    });
  }

  #makeMachine(id: number): Machine {
    const host = hostOf(id);
    const { surroundings } = this.options;
    const process = new SimProcess(host, this.scheduler);
    const random = this.random.fork(`disk${id}`);
    const disk = new SimDisk({
      scheduler: this.scheduler,
      random,
      trace: this.trace,
      faults: {
        syncUs: { min: 100, max: Math.max(300, surroundings.syncMsMax * US_PER_MS) },
        longTailPermille: surroundings.slowSyncPermille,
        poisonViews: surroundings.ownership === 'watched',
      },
      onInjury: (injury) => {
        this.atlas.book(id, injury);
        // What was to become durable has not: the node must know it.
        if (injury.kind === 'failed-sync') this.#tryPowerCut(machine);
      },
    });
    const drift = this.random.fork(`clock${id}`);
    const { clockDriftPpm } = surroundings;
    const driftPpm = clockDriftPpm === 0 ? 0 : drift.between(-clockDriftPpm, clockDriftPpm);
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
      values: this.#values,
      nowUs: () => this.scheduler.nowUs,
      workload: this.options.workload,
      script: this.#script?.batches.filter(({ client }) => client === id) ?? null,
      onBatch: (batch) => this.#batches.push(batch),
      mayBeDamaged: () => this.machines.some((machine) => this.atlas.isInjured(machine.id)),
      onWrongAnswer: (what) => this.fail('wrong answer', `client ${id}: ${what}`),
    });
  }

  #reachMark(name: string): void {
    this.#marks.add(name);
    if (!this.#isStorm) return;
    for (const machine of this.machines) {
      if (!machine.process.isRunning) continue;
      if (POWER_CUT_MARKS.has(name)) this.#considerPowerCut(machine);
      this.onMark(machine.id, name);
    }
  }

  #checkInvariants(): void {
    const { invariants } = this;
    try {
      for (const machine of this.machines) {
        if (!machine.process.hasRun) continue;
        machine.process.hasRun = false;
        if (machine.node === null) continue;
        this.#probe?.onNode(machine.id, machine.node);
        machine.disk.setLookedAt(true);
        invariants.check(machine.id, machine.node);
        machine.disk.setLookedAt(false);
      }
    } catch (error) {
      this.fail('invariant', error instanceof Error ? error.message : String(error));
    }
  }

  #logger(id: number): Logger {
    const onLine = this.#onLine;
    const probe = this.#probe;
    if (onLine === null && probe === null) return { log: () => {} };
    return {
      log: (level: LogLevel, event: string, fields: LogFields = {}) => {
        probe?.onLog(id, level, event, fields);
        onLine?.(
          `${(this.scheduler.nowUs / 1000).toFixed(3)} node${id} ${level} ${event} ${JSON.stringify(fields)}`,
        );
      },
    };
  }
}

export function runSeed(seed: string, options: RunOptions): RunResult {
  return new World(seed, null, options.onLine ?? null).run(options.stormMs);
}

/** Plays a scenario. */
export function runScenario(scenario: Scenario, onLine: ((line: string) => void) | null = null): RunResult {
  return new World(scenario.seed, scenario, onLine).run(scenario.stormMs);
}

/** As `runSeed`, with the schedule that the seed has drawn. */
export function recordSeed(
  seed: string,
  stormMs: number,
): { readonly result: RunResult; readonly scenario: Scenario } {
  const world = new World(seed, null, null);
  const result = world.run(stormMs);
  return { result, scenario: world.scenario(stormMs) };
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

function shuffled<T>(items: readonly T[], random: SimRandom): T[] {
  const rest = [...items];
  return items.map(() => rest.splice(random.below(rest.length), 1)[0]);
}
