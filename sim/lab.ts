/**
 * The simulator for other people's code: machines with a disk, a clock and a place in a network, that run whatever the
 * caller starts on them, and clients that do whatever the caller has them do, under faults drawn from a seed.
 *
 * Code that runs in a lab keeps the rules that the server's own code keeps: everything it knows of the world comes
 * through the seams of its environment (`disk`, `clock`, `network`, `random`), and it uses no timers, promises, dates or
 * randomness of the runtime. Then the same seed is the same run, event by event, and the hash says so.
 *
 * A run is a storm with faults, a calm in which everything is healed and started, and the caller's own checks.
 */
import type { Clock } from '../src/io/clock.ts';
import type { Disk } from '../src/io/disk.ts';
import type { Network } from '../src/io/network.ts';
import type { Random } from '../src/io/random.ts';
import { SimClock } from './clock.ts';
import { SimDisk } from './disk.ts';
import { SimNetwork } from './network.ts';
import { SimProcess } from './process.ts';
import { SimRandom } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { Trace } from './trace.ts';

/** What code on a machine, or a client, may use of the world. Good for one life of its process. */
export interface LabEnvironment {
  /** `machine1`, `machine2` ...; `client1` ... for clients. Also the host's name in the network. */
  readonly name: string;
  readonly clock: Clock;
  readonly network: Network;
  readonly random: Random;
}

export interface MachineEnvironment extends LabEnvironment {
  readonly disk: Disk;
}

export interface ClientEnvironment extends LabEnvironment {
  /** Virtual time in microseconds, the same for all: for histories. */
  readonly nowUs: () => number;
  /** True once the storm is over: a client should ask for nothing new. */
  readonly isOver: () => boolean;
}

/** Mean times in milliseconds of virtual time between faults; 0 or left out: none of that kind. */
export interface LabFaults {
  /** A machine loses its power: what was not synced may be lost. It is back within two seconds. */
  readonly crashEveryMs?: number;
  /** A process stops for up to two seconds. */
  readonly pauseEveryMs?: number;
  /** Two groups of machines cannot reach each other for up to two seconds. */
  readonly partitionEveryMs?: number;
  /** Latency of the network and time of a sync, at most, in milliseconds; default 5 and 3. */
  readonly networkDelayMsMax?: number;
  readonly syncMsMax?: number;
}

export interface LabOptions {
  readonly seed: string;
  readonly machines: number;
  readonly clients: number;
  /** Starts the service on a machine: at the beginning, and again after each crash. */
  readonly startMachine: (environment: MachineEnvironment) => void;
  readonly startClient: (environment: ClientEnvironment) => void;
  readonly faults: LabFaults;
  /** Virtual milliseconds with faults, and after everything was healed. */
  readonly stormMs: number;
  readonly calmMs: number;
  /** At the end: what is wrong, or null. */
  readonly check: () => string | null;
  /** One line per event. */
  readonly onLine?: (line: string) => void;
}

export interface LabResult {
  readonly seed: string;
  /** What went wrong: an exception in the code under test, or what `check` says; null: nothing. */
  readonly failure: string | null;
  readonly events: number;
  readonly crashes: number;
  readonly hash: string;
}

interface LabMachine {
  readonly name: string;
  readonly process: SimProcess;
  readonly disk: SimDisk;
  readonly clock: SimClock;
  lives: number;
}

const FAULTS: ReadonlySet<string> = new Set([
  'crashEveryMs',
  'pauseEveryMs',
  'partitionEveryMs',
  'networkDelayMsMax',
  'syncMsMax',
] satisfies (keyof LabFaults)[]);
const NUMBER_MAX = 1_000_000_000;
const US_PER_MS = 1000;
const OUTAGE_MS_MAX = 2000;

/**
 * Runs one seed.
 * @throws RangeError that names the option: a lab that does nothing would find nothing wrong
 */
export function runLab(options: LabOptions): LabResult {
  const { seed, machines, clients, stormMs, calmMs, faults } = options;
  if (typeof seed !== 'string' || seed === '') throw new RangeError('seed takes a text that is not empty');
  expectNumber('machines', machines, 1);
  expectNumber('clients', clients, 0);
  for (const [name, ms] of Object.entries({ stormMs, calmMs })) expectNumber(name, ms, 0);
  for (const name of Object.keys(faults)) {
    if (!FAULTS.has(name))
      throw new RangeError(`faults.${name} is not known; there are ${[...FAULTS].join(', ')}`);
  }
  for (const [name, ms] of Object.entries(faults))
    if (ms !== undefined) expectNumber(`faults.${name}`, ms, 0);
  return new Lab(options).run();
}

function expectNumber(name: string, value: unknown, min: number): void {
  if (Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= NUMBER_MAX) return;
  throw new RangeError(`${name} takes a whole number from ${min} to ${NUMBER_MAX}, not ${String(value)}`);
}

class Lab {
  readonly #options: LabOptions;
  readonly #scheduler = new Scheduler();
  readonly #trace = new Trace();
  readonly #random: SimRandom;
  readonly #faultRandom: SimRandom;
  readonly #network: SimNetwork;
  readonly #machines: LabMachine[];
  #isStorm = true;
  #failure: string | null = null;
  #crashes = 0;

  constructor(options: LabOptions) {
    this.#options = options;
    this.#trace.onLine = options.onLine ?? null;
    this.#random = new SimRandom(options.seed);
    this.#faultRandom = this.#random.fork('faults');
    const { networkDelayMsMax = 5 } = options.faults;
    this.#network = new SimNetwork({
      scheduler: this.#scheduler,
      random: this.#random.fork('network'),
      trace: this.#trace,
      faults: { latencyUs: { min: 50, max: Math.max(100, networkDelayMsMax * US_PER_MS) } },
    });
    this.#machines = Array.from({ length: options.machines }, (_none, at) =>
      this.#makeMachine(`machine${at + 1}`),
    );
  }

  run(): LabResult {
    const { clients, stormMs, calmMs, faults, check } = this.#options;
    for (const machine of this.#machines) this.#boot(machine);
    for (let id = 1; id <= clients; id++) this.#startClient(`client${id}`);
    this.#repeat(faults.crashEveryMs ?? 0, () => this.#crash(this.#pick()));
    this.#repeat(faults.pauseEveryMs ?? 0, () => this.#pause(this.#pick()));
    this.#repeat(faults.partitionEveryMs ?? 0, () => this.#partition());
    this.#advance(stormMs);
    this.#isStorm = false;
    this.#network.healAll();
    for (const machine of this.#machines) {
      machine.process.resume();
      if (!machine.process.alive) this.#boot(machine);
    }
    this.#advance(calmMs);
    this.#failure ??= check();
    return {
      seed: this.#options.seed,
      failure: this.#failure,
      events: this.#trace.count,
      crashes: this.#crashes,
      hash: this.#trace.hash(),
    };
  }

  #advance(ms: number): void {
    const end = this.#scheduler.nowUs + ms * US_PER_MS;
    while (this.#failure === null && this.#scheduler.nowUs < end && this.#scheduler.stepUntil(end)) {
      // A failure ends the run at the event that caused it.
    }
  }

  #makeMachine(name: string): LabMachine {
    const process = this.#makeProcess(name);
    const { syncMsMax = 3 } = this.#options.faults;
    const disk = new SimDisk({
      scheduler: this.#scheduler,
      random: this.#random.fork(`disk of ${name}`),
      trace: this.#trace,
      faults: { syncUs: { min: 100, max: Math.max(200, syncMsMax * US_PER_MS) } },
    });
    return { name, process, disk, clock: this.#makeClock(process), lives: 0 };
  }

  #makeProcess(name: string): SimProcess {
    const process = new SimProcess(name, this.#scheduler);
    process.onPanic = (error) => {
      this.#failure ??= `${name}: ${error.stack ?? error.message}`;
    };
    return process;
  }

  #makeClock(process: SimProcess): SimClock {
    return new SimClock(this.#scheduler, process, { offsetMs: 0, driftPpm: 0 });
  }

  #boot(machine: LabMachine): void {
    const { name, process, disk, clock } = machine;
    this.#note('boot', name);
    process.restart();
    machine.lives++;
    const environment: MachineEnvironment = {
      name,
      clock,
      disk: disk.attach(process),
      network: this.#network.attach(process, name),
      random: this.#random.fork(`${name}.${machine.lives}`),
    };
    process.run(() => this.#options.startMachine(environment));
  }

  #startClient(name: string): void {
    const process = this.#makeProcess(name);
    const environment: ClientEnvironment = {
      name,
      clock: this.#makeClock(process),
      network: this.#network.attach(process, name),
      random: this.#random.fork(name),
      nowUs: () => this.#scheduler.nowUs,
      isOver: () => !this.#isStorm,
    };
    process.run(() => this.#options.startClient(environment));
  }

  #crash(machine: LabMachine): void {
    if (!machine.process.alive) return;
    this.#note('crash', machine.name);
    this.#crashes++;
    machine.process.crash();
    machine.disk.crash();
    this.#later(() => {
      if (!machine.process.alive) this.#boot(machine);
    });
  }

  #pause({ name, process }: LabMachine): void {
    if (!process.alive || process.paused) return;
    this.#note('pause', name);
    process.pause();
    this.#later(() => process.resume());
  }

  #partition(): void {
    const names = this.#machines.map(({ name }) => name);
    const inside = names.filter(() => this.#faultRandom.chance(500));
    const outside = names.filter((name) => !inside.includes(name));
    for (const a of inside) {
      for (const b of outside) {
        this.#network.block(a, b);
        this.#network.block(b, a);
      }
    }
    this.#later(() => this.#network.healAll());
  }

  #pick(): LabMachine {
    return this.#faultRandom.pick(this.#machines);
  }

  #repeat(everyMs: number, fault: () => void): void {
    if (everyMs === 0) return;
    this.#scheduler.after(this.#faultRandom.between(1, 2 * everyMs) * US_PER_MS, () => {
      if (!this.#isStorm) return;
      fault();
      this.#repeat(everyMs, fault);
    });
  }

  /** In the storm, after the time that an outage takes; the calm mends by itself. */
  #later(mend: () => void): void {
    this.#scheduler.after(this.#faultRandom.between(1, OUTAGE_MS_MAX) * US_PER_MS, () => {
      if (this.#isStorm) mend();
    });
  }

  #note(label: string, name: string): void {
    this.#trace.setTime(this.#scheduler.nowUs);
    this.#trace.named(label, name);
  }
}
