/**
 * Stale reads of whole nodes under partitions, crashes, pauses and drifting clocks: a writer counts, and readers ask every
 * node for what it holds, within bounds of age that are mostly shorter than the partitions last. Each answer must hold
 * what was acknowledged so long before, must not go back on its connection, and must reach the revision that was asked
 * for. When all is well again, every node must answer.
 */
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { silentLogger } from '../../src/io/logger.ts';
import type { Connection, Network } from '../../src/io/network.ts';
import { Node } from '../../src/server/node.ts';
import { SimClock } from '../clock.ts';
import { SimDisk } from '../disk.ts';
import { SimNetwork } from '../network.ts';
import { SimProcess } from '../process.ts';
import type { SimRandom } from '../random.ts';
import { Scheduler } from '../scheduler.ts';
import { Trace } from '../trace.ts';
import { type Counter, StaleReader } from './stale_reader.ts';
import { type Mark, runTrial } from './trial.ts';

const PORT = 9000;
const TIMING = { heartbeatMs: 30, electionTimeoutMs: 150 };
const US_PER_MS = 1000;
const STORM_MS = 4000;
const CALM_MS = 1500;
const STEP_MS = 2;
const PATIENCE_MS = 700;
const DRIFT_PPM_MAX = 10_000;

interface Machine {
  readonly host: string;
  readonly id: number;
  readonly disk: SimDisk;
  readonly process: SimProcess;
  readonly clock: SimClock;
  isUp: boolean;
}

/** It takes as long as a short run of the whole cluster: in one seed of eight. */
export function tryStaleReadsNowAndThen(random: SimRandom, mark?: Mark): string | null {
  return random.chance(125) ? tryStaleReads(random.fork('trial'), mark) : null;
}

/** What went wrong, or null. */
export function tryStaleReads(random: SimRandom, mark?: Mark): string | null {
  return runTrial(random, mark, [], () => new StaleTrial(random).run());
}

class StaleTrial {
  readonly #random: SimRandom;
  readonly #scheduler = new Scheduler();
  readonly #network: SimNetwork;
  readonly #machines: Machine[];
  readonly #writer: Writer;
  readonly #readers: StaleReader[];
  #boots = 0;
  #failure: Error | null = null;

  constructor(random: SimRandom) {
    this.#random = random;
    const scheduler = this.#scheduler;
    const trace = new Trace();
    const faults = { longTailPermille: random.pick([0, 5]), longTailUs: { min: 1000, max: 200_000 } };
    this.#network = new SimNetwork({ scheduler, random: random.fork('network'), trace, faults });
    const count = random.pick([3, 3, 5]);
    this.#machines = Array.from({ length: count }, (_none, at) => this.#makeMachine(at + 1, trace));
    const outside = this.#network.attach(new SimProcess('clients', scheduler), 'clients');
    const writer = new Writer(outside, random.fork('writer'));
    this.#writer = writer;
    const stretch = 1 / (1 - DRIFT_PPM_MAX / 1_000_000);
    this.#readers = this.#machines.map(
      ({ host }) => new StaleReader(writer, outside, random.fork(`reader of ${host}`), stretch),
    );
  }

  run(): void {
    for (const machine of this.#machines) this.#boot(machine);
    while (this.#nowMs < STORM_MS) {
      this.#advance();
      this.#stroke();
    }
    this.#network.healAll();
    for (const machine of this.#machines) {
      machine.process.resume();
      if (!machine.isUp) this.#boot(machine);
    }
    const calmMs = this.#nowMs + CALM_MS;
    while (this.#nowMs < calmMs) this.#advance();
    this.#checkCalm();
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
    const driftPpm = random.between(-DRIFT_PPM_MAX, DRIFT_PPM_MAX);
    const clock = new SimClock(scheduler, process, { offsetMs: random.below(10_000), driftPpm });
    return { id, host: `node${id}`, disk, process, clock, isUp: false };
  }

  #advance(): void {
    const until = this.#scheduler.nowUs + STEP_MS * US_PER_MS;
    this.#scheduler.runUntil(until);
    if (this.#failure !== null) throw this.#failure;
    const hosts = this.#machines.map(({ host }) => host);
    // Before the readers look: what they are answered may be new.
    this.#writer.step(this.#nowMs, hosts);
    for (const reader of this.#readers) {
      reader.step(this.#nowMs, hosts);
      if (reader.problem !== null) throw new Error(reader.problem);
    }
  }

  #boot(machine: Machine): void {
    const { id, disk, process, clock, host } = machine;
    machine.isUp = true;
    process.run(() => {
      Node.open(
        {
          id,
          members: this.#machines.map((member) => ({ host: member.host, port: PORT })),
          directory: '/data',
          disk: disk.attach(process),
          clock,
          network: this.#network.attach(process, host),
          random: this.#random.fork(`boot${++this.#boots}`),
          logger: silentLogger,
          timing: TIMING,
          timeouts: { noLeaderMs: 500, answerMs: 600 },
          snapshots: { logTailEntries: 8, chunkBytes: 256, bytesPerSecondMax: 10_000_000 },
          log: { segmentBytes: 64 * 1024 },
          store: { memtableBytes: 64 * 1024 },
          onFailure: (error) => {
            this.#failure ??= error;
          },
        },
        (outcome) => {
          if (!outcome.ok) this.#failure ??= outcome.error;
        },
      );
    });
  }

  #stroke(): void {
    const random = this.#random;
    const machine = random.pick(this.#machines);
    if (random.chance(3)) this.#split();
    if (random.chance(5)) this.#network.healAll();
    if (random.chance(3)) machine.process.pause();
    if (random.chance(1)) this.#crash(machine);
    for (const other of this.#machines) {
      if (random.chance(10)) other.process.resume();
      if (!other.isUp && random.chance(20)) this.#boot(other);
    }
  }

  /** Nodes of one side, which may have the leader among them, hear nothing of the others, or are not heard. */
  #split(): void {
    const random = this.#random;
    const side = this.#machines.filter(() => random.chance(400));
    const way = random.pick(['both', 'both', 'in', 'out']);
    for (const { host } of side) {
      for (const other of this.#machines) {
        if (side.includes(other)) continue;
        if (way !== 'out') this.#network.block(other.host, host);
        if (way !== 'in') this.#network.block(host, other.host);
      }
    }
  }

  #crash(machine: Machine): void {
    if (!machine.isUp) return;
    machine.isUp = false;
    machine.process.crash();
    machine.disk.crash();
    machine.process.restart();
  }

  /** Every node answers a read that must be as new as can be. */
  #checkCalm(): void {
    const before = this.#readers.map(({ answered }) => answered);
    const until = this.#nowMs + CALM_MS;
    while (this.#nowMs < until) this.#advance();
    for (const [at, reader] of this.#readers.entries()) {
      if (reader.answered - (before[at] ?? 0) < 20) {
        throw new Error(`in the calm a reader got ${reader.answered - (before[at] ?? 0)} answers`);
      }
    }
  }
}

/**
 * Counts, one request at a time, each until it is answered or given up. One that was given up may count later, so the
 * counter only grows.
 */
class Writer implements Counter {
  asked = 0;
  /** When each number was acknowledged, ascending in both. */
  readonly #acknowledged: { readonly number: number; readonly atMs: number }[] = [];
  readonly #network: Network;
  readonly #random: SimRandom;
  #connection: Connection | null = null;
  #text = '';
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(network: Network, random: SimRandom) {
    this.#network = network;
    this.#random = random;
  }

  acknowledgedAt(ms: number): number {
    for (let at = this.#acknowledged.length - 1; at >= 0; at--) {
      const { number, atMs } = this.#acknowledged[at];
      if (atMs <= ms) return number;
    }
    return 0;
  }

  step(nowMs: number, hosts: readonly string[]): void {
    const number = /^:(\d+)\r\n$/.exec(this.#text)?.[1];
    if (number !== undefined) {
      this.#acknowledged.push({ number: Number(number), atMs: nowMs });
      this.#ask(nowMs);
    } else if (this.#text.endsWith('\n') || nowMs - this.#askedAtMs > PATIENCE_MS) {
      this.#turnElsewhere(nowMs, hosts);
    }
  }

  #ask(nowMs: number): void {
    this.#text = '';
    this.#askedAtMs = nowMs;
    this.asked++;
    this.#connection?.write(utf8('INCR n\r\n'));
  }

  #turnElsewhere(nowMs: number, hosts: readonly string[]): void {
    this.#connection?.destroy();
    const connection = this.#network.connect(
      { host: this.#random.pick(hosts), port: PORT },
      {
        onData: (bytes) => {
          if (connection === this.#connection) this.#text += fromUtf8(bytes);
        },
        onEnd: () => connection.destroy(),
        onClose: () => {},
      },
    );
    this.#connection = connection;
    this.#ask(nowMs);
  }
}
