/**
 * Stale reads of whole nodes under partitions, crashes, pauses and drifting clocks: a writer counts, and readers ask every
 * node for what it holds, within bounds of age that are mostly shorter than the partitions last. Each answer must hold
 * what was acknowledged so long before, must not go back on its connection, and must reach the revision that was asked
 * for. When all is well again, every node must answer.
 */
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { Connection, Network } from '../../src/io/network.ts';
import type { NodeOptions } from '../../src/server/node.ts';
import type { SimRandom } from '../random.ts';
import { NODE_PORT, NodeGroup } from './node_group.ts';
import { type Counter, StaleReader } from './stale_reader.ts';
import { type Mark, runTrial } from './trial.ts';

const STORM_MS = 4000;
const CALM_MS = 1500;
const STEP_MS = 2;
const PATIENCE_MS = 700;
const DRIFT_PPM_MAX = 10_000;

const NODE_OPTIONS: Partial<NodeOptions> = {
  timeouts: { noLeaderMs: 500, answerMs: 600 },
  snapshots: { logTailEntries: 8, chunkBytes: 256, bytesPerSecondMax: 10_000_000 },
  log: { segmentBytes: 64 * 1024 },
  store: { memtableBytes: 64 * 1024 },
};

/** What went wrong, or null. */
export function tryStaleReads(random: SimRandom, mark?: Mark): string | null {
  return runTrial(random, mark, [], () => new StaleTrial(random).run());
}

class StaleTrial {
  readonly #random: SimRandom;
  readonly #group: NodeGroup;
  readonly #writer: Writer;
  readonly #readers: StaleReader[];

  constructor(random: SimRandom) {
    this.#random = random;
    this.#group = new NodeGroup({
      random,
      machines: random.pick([3, 3, 5]),
      networkFaults: { longTailPermille: random.pick([0, 5, 100]), longTailUs: { min: 1000, max: 200_000 } },
      driftPpmMax: DRIFT_PPM_MAX,
      nodeOptions: () => NODE_OPTIONS,
    });
    const outside = this.#group.attachOutside('clients');
    const writer = new Writer(outside, random.fork('writer'));
    this.#writer = writer;
    const stretch = 1 / (1 - DRIFT_PPM_MAX / 1_000_000);
    this.#readers = this.#group.machines.map(
      ({ host }) => new StaleReader(writer, outside, random.fork(`reader of ${host}`), stretch),
    );
  }

  run(): void {
    const group = this.#group;
    for (const machine of group.machines) group.boot(machine);
    while (group.nowMs < STORM_MS) {
      this.#advance();
      this.#stroke();
    }
    group.network.healAll();
    group.network.setFaults({ longTailPermille: 0 });
    for (const machine of group.machines) {
      machine.process.resume();
      if (!machine.isUp) group.boot(machine);
    }
    this.#advanceFor(CALM_MS);
    this.#checkCalm();
  }

  #advanceFor(ms: number): void {
    const until = this.#group.nowMs + ms;
    while (this.#group.nowMs < until) this.#advance();
  }

  #advance(): void {
    const group = this.#group;
    group.advance(STEP_MS);
    const hosts = group.machines.map(({ host }) => host);
    // Before the readers look: what they are answered may be new.
    this.#writer.step(group.nowMs, hosts);
    for (const reader of this.#readers) {
      reader.step(group.nowMs, hosts);
      if (reader.problem !== null) throw new Error(reader.problem);
    }
  }

  #stroke(): void {
    const random = this.#random;
    const group = this.#group;
    const machine = random.pick(group.machines);
    if (random.chance(3)) this.#split();
    if (random.chance(5)) group.network.healAll();
    if (random.chance(3)) machine.process.pause();
    if (random.chance(1)) group.crash(machine);
    for (const other of group.machines) {
      if (random.chance(10)) other.process.resume();
      if (!other.isUp && random.chance(20)) group.boot(other);
    }
  }

  /** Nodes of one side, which may have the leader among them, hear nothing of the others, or are not heard. */
  #split(): void {
    const random = this.#random;
    const { machines, network } = this.#group;
    const side = machines.filter(() => random.chance(400));
    const way = random.pick(['both', 'both', 'in', 'out']);
    for (const { host } of side) {
      for (const other of machines) {
        if (side.includes(other)) continue;
        if (way !== 'out') network.block(other.host, host);
        if (way !== 'in') network.block(host, other.host);
      }
    }
  }

  /** Every node answers a read that must be as new as can be. */
  #checkCalm(): void {
    const before = this.#readers.map(({ answered }) => answered);
    this.#advanceFor(CALM_MS);
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
      { host: this.#random.pick(hosts), port: NODE_PORT },
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
