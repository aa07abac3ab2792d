/**
 * A simulated world: nodes running the production code, clients, a nemesis that breaks things, and the checks.
 *
 * A run has four parts: the storm, in which the nemesis acts; the calm, in which everything is healed and restarted and
 * the cluster must elect and serve again within a bound; the blackout, in which all machines lose their power at once,
 * so that only what was really durable is left; and the reckoning, in which every key has been read once more and the
 * linearizability check sees what became of each acknowledged write, and replicas are compared.
 *
 * Beside that, the seed's trials put a log, a node's vote, a store and the consensus cores alone through what a
 * cluster seldom does to them (see `trials/`).
 *
 * A world is drawn from a seed, or plays a scenario: the strokes and requests of an earlier run, or a part of them.
 */
import { type RareProbe, setRareProbe } from '../src/base/rare.ts';
import { fromUtf8, utf8 } from '../src/codec/bytes.ts';
import type { Address, Network } from '../src/io/network.ts';
import { Atlas } from './atlas.ts';
import { History, type Operation } from './check/history.ts';
import { SimClient } from './client.ts';
import { SimClock } from './clock.ts';
import { Endings } from './endings.ts';
import { wallSkewMsMax } from './expiry.ts';
import { HistoryWatch } from './history_watch.ts';
import { Invariants } from './invariants.ts';
import { Lifecycle } from './lifecycle.ts';
import { type Machine, makeMachine } from './machine.ts';
import { Members, PORT } from './members.ts';
import { Nemesis } from './nemesis.ts';
import { SimNetwork } from './network.ts';
import { drawOptions, type WorldOptions } from './options.ts';
import { PowerCutWatch } from './power_cut_watch.ts';
import { SimProcess } from './process.ts';
import { SimRandom } from './random.ts';
import { Reckoning } from './reckoning.ts';
import type { Probe } from './report/probe.ts';
import type { Failure, RunOptions, RunResult } from './result.ts';
import { SCENARIO_FORMAT, type Scenario } from './scenario.ts';
import { Scheduler } from './scheduler.ts';
import { applyStroke, describeStroke, hostOf, isFault, type Stroke, type StrokeAction } from './strokes.ts';
import { Trace } from './trace.ts';
import { runTrials } from './trials/all.ts';
import { Watcher } from './watcher.ts';
import type { Batch } from './workload.ts';

const US_PER_MS = 1000;
const COMMAND_PATIENCE_MS = 2000;
/** The history of a longer storm is forgotten as far as it has been checked. */
const KEPT_STORM_MS = 60_000;
/** After these what is on the disk is not what it was a moment ago. */
const POWER_CUT_MARKS: ReadonlySet<string> = new Set([
  'a conflicting suffix is replaced',
  'a snapshot is installed',
]);

/** Machines, spares among them, and clients. */
export type WorldTopology = Pick<WorldOptions, 'nodes' | 'clients'>;

export class World {
  readonly options: WorldOptions;
  readonly scheduler = new Scheduler();
  readonly trace = new Trace();
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly machines: Machine[] = [];
  readonly history = new History();
  readonly historyWatch: HistoryWatch;
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
  readonly clients: SimClient[] = [];
  readonly watchers: Watcher[] = [];
  readonly #operator: { readonly process: SimProcess; readonly network: Network; readonly clock: SimClock };
  readonly members: Members;
  readonly lifecycle: Lifecycle;
  /** Of all machines. */
  readonly #addresses: readonly Address[];
  readonly #probe: Probe | null;
  readonly #strokes: Stroke[] = [];
  readonly #batches: Batch[] = [];
  /** What clients ask is written down, for `scenario`. */
  isRecorded = true;
  readonly #values = new Map<string, string>();
  readonly #marks = new Set<string>();
  readonly #maybeRandom: SimRandom;
  readonly #powerCuts: PowerCutWatch;
  readonly #endings = new Endings(this);
  readonly #reckoning = new Reckoning(this);
  readonly rareProbe: RareProbe = {
    sometimes: (name) => this.#reachMark(name),
    maybe: (name) => this.#isStorm && this.#maybeRandom.chance(this.options.maybes[name] ?? 0),
  };
  #isStorm = true;
  #stormMs = 0;
  #acknowledgedIndex = 0;
  #failure: Failure | null = null;
  /** Processes that ended at once, whatever ended them. */
  crashes = 0;

  /**
   * @param script Plays this; null: draws everything from the seed.
   * @param makeProbe Makes who is told what happens, once the options are known; null: nobody is told.
   */
  constructor(
    seed: string,
    script: Scenario | null,
    onLine: ((line: string) => void) | null,
    makeProbe: ((topology: WorldTopology) => Probe) | null = null,
  ) {
    this.#seed = seed;
    this.#script = script;
    this.trace.onLine = onLine;
    const noise = script?.noise ?? 0;
    this.random = new SimRandom(noise === 0 ? seed : `${seed}#${noise}`);
    this.#maybeRandom = this.random.fork('maybe');
    this.#powerCuts = new PowerCutWatch(this, this.random.fork('power cut'));
    this.options = script?.options ?? drawOptions(this.random.fork('options'));
    const { nodes, spares, clients, watchers } = this.options;
    this.#probe = makeProbe === null ? null : makeProbe({ nodes: nodes + spares, clients });
    this.#tellProbe();
    this.members = new Members(this, nodes, spares);
    this.invariants = new Invariants(nodes + spares);
    this.invariants.onConfiguration = (...committed) => this.members.onCommitted(...committed);
    this.atlas = new Atlas({
      machines: nodes,
      spares,
      mode: this.options.damage,
      random: this.random.fork('atlas'),
      filesOf: (machine) => this.machine(machine).disk.files(),
    });
    this.historyWatch = new HistoryWatch({
      history: this.history,
      invariants: this.invariants,
      workload: this.options.workload,
    });
    this.invariants.nowUs = () => this.scheduler.nowUs;
    this.invariants.monotonicMsOf = (node) => {
      const { process, clock, node: running } = this.machine(node);
      return process.alive && running !== null && !running.isStopped ? clock.monotonicMs() : null;
    };
    this.invariants.mayBeDamaged = (node) => this.atlas.isInjured(node);
    this.invariants.onVote = (node) => {
      this.#powerCuts.consider(this.machine(node));
      this.onVote(node);
    };
    this.invariants.onElection = (node) => {
      this.#powerCuts.consider(this.machine(node));
      this.onElection(node);
    };
    this.network = this.#makeNetwork();
    this.#addresses = Array.from({ length: nodes + spares }, (_none, at) => ({
      host: hostOf(at + 1),
      port: PORT,
    }));
    this.lifecycle = new Lifecycle(this, {
      powerCuts: this.#powerCuts,
      founders: this.#addresses.slice(0, nodes),
      probe: this.#probe,
      onLine,
    });
    for (let id = 1; id <= nodes + spares; id++) this.machines.push(this.#makeMachine(id));
    // A spare is switched off until somebody starts it.
    for (const { process } of this.machines.slice(nodes)) process.crash();
    const operator = new SimProcess('operator', this.scheduler);
    this.#operator = {
      process: operator,
      network: this.network.attach(operator, 'operator'),
      clock: new SimClock(this.scheduler, operator, { offsetMs: 0, driftPpm: 0 }),
    };
    for (let id = 1; id <= clients; id++) this.clients.push(this.#makeClient(id));
    for (let id = 1; id <= watchers; id++) this.watchers.push(this.#makeWatcher(id));
    this.scheduler.afterEach = () => {
      this.#checkInvariants();
      this.#reckoning.look();
    };
  }

  /** It plays a scenario. */
  get isScripted(): boolean {
    return this.#script !== null;
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
    this.members.onStroke(action);
    applyStroke(this, action);
  }

  /** Sends a line to a node as an operator would; what comes of it is its own affair, but an answer must come in form. */
  operate(node: number, text: string, onAnswer = this.#expectSimple(text)): void {
    const { network, clock } = this.#operator;
    let answer = '';
    const connection = network.connect(this.#addresses[node - 1], {
      onOpen: () => {
        connection.write(utf8(`${text}\r\n`));
      },
      onData: (bytes) => {
        answer += fromUtf8(bytes);
        if (!answer.endsWith('\n')) return;
        connection.destroy();
        onAnswer(answer);
      },
      onClose: () => {},
    });
    clock.after(COMMAND_PATIENCE_MS, () => connection.destroy());
  }

  #expectSimple(text: string): (answer: string) => void {
    return (answer) => {
      if (!/^[+-]/.test(answer)) this.fail('wrong answer', `${text} was answered ${JSON.stringify(answer)}`);
    };
  }

  /** @param stormMs Of a world drawn from a seed; a scenario has its own. */
  run(stormMs: number, trials: RunOptions['trials'] = 'all'): RunResult {
    this.#stormMs = this.#script?.stormMs ?? stormMs;
    this.history.isKept = this.#probe !== null || this.#stormMs <= KEPT_STORM_MS;
    setRareProbe(this.rareProbe);
    try {
      this.#storm(this.#stormMs);
      if (!this.failed) this.#endings.calm();
      if (!this.failed) this.#endings.blackout();
      if (!this.failed) this.#endings.steady();
      if (!this.failed) this.#reckoning.run(this.#endings.mustServe);
      if (!this.failed) this.#endings.shutDown();
    } finally {
      setRareProbe(null);
    }
    const mark = (name: string): void => {
      this.#marks.add(name);
    };
    // A schedule is of the world alone.
    if (!this.failed && trials !== 'none' && this.#script === null) {
      const failure = runTrials(this.random, mark);
      if (failure !== null) this.fail(failure.name, failure.problem);
    }
    return {
      seed: this.#seed,
      failure: this.#failure,
      simulatedSeconds: this.scheduler.nowUs / 1e6,
      events: this.trace.count,
      operations: this.history.count,
      operationsHeldMax: this.historyWatch.peak,
      wholeChecks: this.#reckoning.wholeChecks,
      undecided: !this.failed && this.#reckoning.isUndecided ? 1 : 0,
      faults: this.#strokes.filter(isFault).length,
      crashes: this.crashes,
      elections: this.invariants.elections,
      entries: this.invariants.commitIndex,
      marks: [...this.#marks].sort(),
      injuries: this.machines.reduce((sum, { id }) => sum + this.atlas.injuries(id).length, 0),
      machinesLost: this.machines.filter(({ id }) => this.atlas.isDownForGood(id)).length,
      waited: this.#endings.waited ? 1 : 0,
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
    for (const machine of this.machines) if (this.members.isWanted(machine.id)) this.lifecycle.boot(machine);
    for (const client of this.clients) client.start();
    for (const watcher of this.watchers) watcher.start();
    const nemesis = this.#script === null ? new Nemesis(this) : null;
    nemesis?.start();
    for (const { atUs, ...action } of this.#script?.strokes ?? []) {
      // The storm of a shrunk scenario may be shorter than it was.
      if (atUs < stormMs * US_PER_MS) this.scheduler.at(atUs, () => this.strike(action as StrokeAction));
    }
    this.advance(stormMs);
    nemesis?.stop();
    this.#isStorm = false;
  }

  advance(ms: number): void {
    const end = this.scheduler.nowUs + ms * US_PER_MS;
    while (this.#failure === null && this.scheduler.nowUs < end && this.scheduler.stepUntil(end)) {
      // Each step checks the invariants; a failure ends the run at the event that caused it.
    }
  }

  #tellProbe(): void {
    const probe = this.#probe;
    if (probe === null) return;
    probe.onStart(() => this.scheduler.nowUs);
    this.trace.probe = probe;
    this.history.onGivenUp = (operation, outcome) => probe.onGivenUp(operation, outcome);
  }

  readonly onOffending = (operations: readonly Operation[]): void => this.#probe?.onOffending(operations);

  /** Machines of the group's members that are not down for good. */
  inService(): Machine[] {
    return this.machines.filter(({ id }) => this.members.isMember(id) && !this.atlas.isDownForGood(id));
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
    const { scheduler, random, trace, options } = this;
    return makeMachine({
      id,
      scheduler,
      random,
      trace,
      surroundings: options.surroundings,
      onInjury: (machine, injury) => {
        this.atlas.book(id, injury);
        this.lifecycle.endUnknowing(machine);
        // What was to become durable has not: the node must know it.
        if (injury.kind === 'failed-sync') this.#powerCuts.attempt(machine);
      },
      onPanic: (_machine, error) => this.fail('panic', `node ${id}: ${error.stack ?? error.message}`),
      onCrashInside: (machine) => this.lifecycle.crash(machine),
    });
  }

  #makeClient(id: number): SimClient {
    const host = `client${id}`;
    const process = new SimProcess(host, this.scheduler);
    process.onPanic = (error) => this.fail('client panic', error.stack ?? error.message);
    return new SimClient({
      id,
      addresses: this.#addresses,
      turnsAway: this.options.spares > 0,
      holdsBack: () => this.historyWatch.isHolding,
      network: this.network.attach(process, host),
      clock: new SimClock(this.scheduler, process, { offsetMs: 0, driftPpm: 0 }),
      random: this.random.fork(host),
      history: this.history,
      values: this.#values,
      nowUs: () => this.scheduler.nowUs,
      workload: this.options.workload,
      script: this.#script?.batches.filter(({ client }) => client === id) ?? null,
      onBatch: (batch) => {
        if (this.isRecorded) this.#batches.push(batch);
      },
      findCommitted: (...write) => this.invariants.committedIndexOf(...write),
      onAcknowledged: (index) => {
        this.#acknowledgedIndex = Math.max(this.#acknowledgedIndex, index);
      },
      wallSkewMsMax: () => wallSkewMsMax(this.options, this.#script, this.#stormMs),
      mayBeDamaged: () => this.machines.some((machine) => this.atlas.isInjured(machine.id)),
      onWrongAnswer: (what) => this.fail('wrong answer', `client ${id}: ${what}`),
    });
  }

  #makeWatcher(id: number): Watcher {
    const host = `watcher${id}`;
    const process = new SimProcess(host, this.scheduler);
    process.onPanic = (error) => this.fail('client panic', error.stack ?? error.message);
    return new Watcher({
      bucket: (id - 1) % this.options.workload.buckets,
      turnsAway: this.options.spares > 0,
      addresses: this.#addresses,
      network: this.network.attach(process, host),
      clock: new SimClock(this.scheduler, process, { offsetMs: 0, driftPpm: 0 }),
      random: this.random.fork(host),
      acknowledgedIndex: () => this.#acknowledgedIndex,
      mayBeDamaged: () => this.machines.some((machine) => this.atlas.isInjured(machine.id)),
      onWrongAnswer: (what) => this.fail('feed', `watcher ${id}: ${what}`),
    });
  }

  #reachMark(name: string): void {
    this.#marks.add(name);
    if (!this.#isStorm) return;
    for (const machine of this.machines) {
      if (!machine.process.isRunning) continue;
      if (name === 'a damaged table is put aside') this.lifecycle.checkTables(machine);
      if (POWER_CUT_MARKS.has(name)) this.#powerCuts.consider(machine);
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
}

export function runSeed(seed: string, options: RunOptions): RunResult {
  const world = new World(seed, null, options.onLine ?? null);
  world.isRecorded = false;
  return world.run(options.stormMs, options.trials);
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
