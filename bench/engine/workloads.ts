/** The workloads of the bench of engines, by the names that LevelDB's `db_bench` gave them. They run beside the store. */
import type { Contender, Direction } from './contender.ts';
import {
  type Draw,
  drawFrom,
  KEY_BYTES,
  makeKey,
  permutation,
  VALUE_BYTES,
  VALUES_BYTES,
  valueFor,
  values,
  writeKey,
} from './data.ts';
import { RunQueue } from './run_queue.ts';

const BATCH_KEYS = 100;
/** Batches under way at a time, so that a store with a writer thread need not wait for its caller. */
const BATCHES_IN_FLIGHT = 8;
const WRITERS = 50;
const SEEK_ENTRIES = 10;
/** Reads between two turns of the event loop, where each is timed. */
const READS_PER_TURN = 50;
/** Read before the clock starts: what is measured is a process whose code has been compiled, not one that has just started. */
const WARM_READS = 50_000;
const TIMED_MS = 3000;
const DURABLE_MS = 3000;
const LARGE_VALUE_BYTES = 1000;

export interface Outcome {
  readonly operations: number;
  readonly ms: number;
  /** Processor time of all threads of the store's process, what the bench itself takes included, in microseconds. */
  readonly cpuUs?: number;
  /** Of single reads, and what the event loop was away for between them. */
  readonly latencies?: Latencies;
}

export interface Latencies {
  readonly p50Us: number;
  readonly p99Us: number;
  /** The longest time between two turns in which the reader did nothing itself, and the 99th percentile. */
  readonly awayMaxMs: number;
  readonly awayP99Ms: number;
  /** The longest without what the thread waited for a processor in it; null where the system does not tell. */
  readonly awayOwnMaxMs: number | null;
}

export type WorkloadName = keyof typeof WORKLOADS;

/** @param keys How many keys the store holds, or is to hold. */
type Workload = (store: Contender, keys: number, draw: Draw) => Promise<Outcome | null>;

export const WORKLOADS = {
  fillseq: (store, keys) => write(store, keys, (n) => n),
  fillrandom: (store, keys, draw) => {
    const order = permutation(keys, draw);
    return write(store, keys, (n) => order[n] ?? 0);
  },
  fillsync: fillDurably,
  overwrite: (store, keys, draw) => write(store, keys, () => draw(keys)),
  readrandom: (store, keys, draw) => readPoints(store, keys, draw, 'there'),
  readmissing: (store, keys, draw) => readPoints(store, keys, draw, 'missing'),
  readseq: (store, keys) => scan(store, keys, 'forward'),
  readreverse: (store, keys) => scan(store, keys, 'backward'),
  seekrandom: seekRandomly,
  readidle: (store, keys, draw) => readTimed(store, keys, draw, null),
  readwhilewriting: async (store, keys, draw) => {
    let stopped = false;
    const writing = (async () => {
      while (!stopped) await writeBatch(store, BATCH_KEYS, () => draw(keys));
    })();
    const outcome = await readTimed(store, keys, draw, null);
    stopped = true;
    await writing;
    return outcome;
  },
  compact: async (store, keys) => {
    const { compact } = store;
    return compact === null ? null : await timed(keys, compact);
  },
  readcompacted: (store, keys, draw) => readPoints(store, keys, draw, 'there'),
  readwhilecompacting: async (store, keys, draw) => {
    const { compact } = store;
    if (compact === null) return null;
    // So that there is something to do.
    await write(store, Math.ceil(keys / 2), () => draw(keys));
    return await readTimed(store, keys, draw, compact());
  },
} satisfies Readonly<Record<string, Workload>>;

/** Reads ahead of a workload whose reads are not timed each. */
export async function warmUp(store: Contender, workload: WorkloadName, keys: number): Promise<void> {
  switch (workload) {
    case 'readrandom':
    case 'readcompacted':
    case 'readmissing':
      warmPoints(store, keys, workload === 'readmissing' ? 'missing' : 'there');
      return;
    case 'readseq':
    case 'readreverse':
      await store.scan(workload === 'readseq' ? 'forward' : 'backward', WARM_READS);
      return;
    case 'seekrandom':
      for (let n = 0; n < WARM_READS / SEEK_ENTRIES; n++) {
        await store.readFrom(makeKey(Math.floor((n * keys * SEEK_ENTRIES) / WARM_READS)), SEEK_ENTRIES);
      }
  }
}

function warmPoints(store: Contender, keys: number, what: 'there' | 'missing'): void {
  const draw = drawFrom(11);
  const key = Buffer.alloc(KEY_BYTES);
  for (let n = 0; n < WARM_READS; n++) {
    writeKey(key, draw(keys));
    if (what === 'missing') makeMissing(key);
    store.get(key);
  }
}

async function timed(operations: number, run: () => Promise<unknown>): Promise<Outcome> {
  const start = performance.now();
  await run();
  return { operations, ms: performance.now() - start };
}

function write(store: Contender, keys: number, keyAt: (n: number) => number): Promise<Outcome> {
  return timed(keys, async () => {
    let next = 0;
    const writer = async (): Promise<void> => {
      while (next < keys) {
        const first = next;
        next = Math.min(keys, next + BATCH_KEYS);
        await writeBatch(store, next - first, (n) => keyAt(first + n));
      }
    };
    await Promise.all(Array.from({ length: BATCHES_IN_FLIGHT }, writer));
  });
}

function writeBatch(store: Contender, count: number, keyAt: (n: number) => number): Promise<void> {
  const keys: Buffer[] = [];
  const values: Buffer[] = [];
  for (let n = 0; n < count; n++) {
    const key = keyAt(n);
    keys.push(makeKey(key));
    values.push(valueFor(key));
  }
  return store.writeBatch(keys, values);
}

/** Random keys with values of a thousand bytes, so many MiB in all. */
export async function fillLarge(store: Contender, mib: number): Promise<void> {
  const count = Math.ceil((mib * 1024 * 1024) / (KEY_BYTES + LARGE_VALUE_BYTES));
  const order = permutation(count, drawFrom(7));
  for (let first = 0; first < count; first += BATCH_KEYS) {
    const keys = Array.from(order.subarray(first, first + BATCH_KEYS), makeKey);
    const large = keys.map((_key, n) => {
      const at = ((first + n) * VALUE_BYTES) % (VALUES_BYTES - LARGE_VALUE_BYTES);
      return values.subarray(at, at + LARGE_VALUE_BYTES);
    });
    await store.writeBatch(keys, large);
  }
}

/** Over the keys that are there, each writer with one write at a time, for a set time. */
async function fillDurably(store: Contender, keys: number, draw: Draw): Promise<Outcome> {
  let operations = 0;
  const start = performance.now();
  const writer = async (): Promise<void> => {
    while (performance.now() - start < DURABLE_MS) {
      const key = draw(keys);
      await store.putDurably(makeKey(key), valueFor(key));
      operations++;
    }
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
  return { operations, ms: performance.now() - start };
}

async function readPoints(
  store: Contender,
  keys: number,
  draw: Draw,
  what: 'there' | 'missing',
): Promise<Outcome> {
  const reads = Math.min(keys, 500_000);
  const key = Buffer.alloc(KEY_BYTES);
  let found = 0;
  const outcome = await timed(reads, async () => {
    for (let n = 0; n < reads; n++) {
      writeKey(key, draw(keys));
      if (what === 'missing') makeMissing(key);
      if (store.get(key)?.length === VALUE_BYTES) found++;
    }
  });
  if (found !== (what === 'there' ? reads : 0)) throw new Error(`${found} of ${reads} keys were found`);
  return outcome;
}

/** Between the keys that are there, not behind them. */
function makeMissing(key: Buffer): void {
  key[KEY_BYTES - 1] = 0x2e;
}

async function scan(store: Contender, keys: number, direction: Direction): Promise<Outcome> {
  let found = 0;
  const outcome = await timed(keys, async () => {
    found = await store.scan(direction, keys);
  });
  if (found !== keys) throw new Error(`a scan found ${found} of ${keys} keys`);
  return outcome;
}

function seekRandomly(store: Contender, keys: number, draw: Draw): Promise<Outcome> {
  const seeks = Math.min(keys, 50_000);
  return timed(seeks, async () => {
    for (let n = 0; n < seeks; n++) {
      const found = await store.readFrom(makeKey(draw(keys - SEEK_ENTRIES)), SEEK_ENTRIES);
      if (found !== SEEK_ENTRIES) throw new Error(`a seek found ${found} entries`);
    }
  });
}

const runQueue = RunQueue.open();

/** Times every read, a few each turn, for a set time or until `meanwhile` has ended. */
async function readTimed(
  store: Contender,
  keys: number,
  draw: Draw,
  meanwhile: Promise<void> | null,
): Promise<Outcome> {
  let isOver = false;
  const ending = meanwhile?.finally(() => {
    isOver = true;
  });
  const reads: number[] = [];
  const away: number[] = [];
  let awayOwnMaxMs = 0;
  const key = Buffer.alloc(KEY_BYTES);
  const start = performance.now();
  for (;;) {
    for (let n = 0; n < READS_PER_TURN; n++) {
      writeKey(key, draw(keys));
      const before = performance.now();
      const value = store.get(key);
      reads.push(performance.now() - before);
      if (value?.length !== VALUE_BYTES) throw new Error(`no value for ${key.toString()}`);
    }
    if (isOver || (meanwhile === null && performance.now() - start > TIMED_MS)) break;
    const waitedMs = runQueue?.waitedMs() ?? 0;
    const left = performance.now();
    await new Promise((resolve) => setImmediate(resolve));
    const awayMs = performance.now() - left;
    away.push(awayMs);
    if (awayMs > awayOwnMaxMs) {
      const ownMs = awayMs - ((runQueue?.waitedMs() ?? 0) - waitedMs);
      awayOwnMaxMs = Math.max(awayOwnMaxMs, ownMs);
    }
  }
  await ending;
  const ms = performance.now() - start;
  reads.sort((a, b) => a - b);
  away.sort((a, b) => a - b);
  return {
    operations: reads.length,
    ms,
    latencies: {
      p50Us: 1000 * quantile(reads, 0.5),
      p99Us: 1000 * quantile(reads, 0.99),
      awayP99Ms: quantile(away, 0.99),
      awayMaxMs: away[away.length - 1] ?? 0,
      awayOwnMaxMs: runQueue === null ? null : awayOwnMaxMs,
    },
  };
}

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0;
}
