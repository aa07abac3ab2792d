/** A leader's process stands still and goes on, not knowing that the world has: it must not answer from the past. */
import { afterEach, expect, it } from 'vitest';
import type { Client } from '../../src/client/client.ts';
import type { ClientReply } from '../../src/client/reply_reader.ts';
import { fromUtf8 } from '../../src/codec/bytes.ts';
import { eventually, ProcessCluster } from './cluster.ts';

const PAUSE_MS = 5000;
const MAX_AGE_MS = 1000;

const READS = {
  linearizable: ['GET', 'n'],
  lease: ['READ', 'LEASE', 'GET', 'n'],
  stale: ['READ', 'STALE', 'MAXAGE', String(MAX_AGE_MS), 'GET', 'n'],
} as const;

type Kind = keyof typeof READS;
const KINDS = Object.keys(READS) as Kind[];

interface Asked {
  readonly kind: Kind;
  /** What was acknowledged before the read was sent; before the age that it allows, for a stale one. */
  readonly atLeast: number;
  readonly reply: Promise<ClientReply>;
}

let cluster: ProcessCluster | null = null;
const clients: Client[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await cluster?.stop();
  cluster = null;
});

async function connect(running: ProcessCluster, port: number): Promise<Client> {
  const client = await running.connect(port);
  clients.push(client);
  return client;
}

/** Counts up through a node until told to stop, and knows when it got how far. */
class Counter {
  readonly #acknowledged: { readonly n: number; readonly atMs: number }[] = [{ n: 0, atMs: 0 }];
  #stopped = false;

  /** The highest number that had been acknowledged then. */
  at(ms: number): number {
    return this.#acknowledged.findLast(({ atMs }) => atMs <= ms)?.n ?? 0;
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(client: Client): Promise<void> {
    while (!this.#stopped) {
      const reply = await client.command('INCR', 'n');
      // No leader for the moment.
      if (reply.type !== 'integer') continue;
      this.#acknowledged.push({ n: Number(reply.value), atMs: performance.now() });
    }
  }
}

function ask(readers: Readonly<Record<Kind, Client>>, counter: Counter, into: Asked[]): void {
  for (const kind of KINDS) {
    const now = performance.now();
    const atLeast = counter.at(kind === 'stale' ? now - MAX_AGE_MS : now);
    into.push({ kind, atLeast, reply: readers[kind].command(...READS[kind]) });
  }
}

/** Answers from the past, and how many reads of each kind were answered with a value. */
async function judge(asked: readonly Asked[]): Promise<{ past: string[]; answered: Record<Kind, number> }> {
  const past: string[] = [];
  const answered = { linearizable: 0, lease: 0, stale: 0 };
  for (const { kind, atLeast, reply } of asked) {
    const got = await reply;
    if (got.type === 'error') continue;
    answered[kind]++;
    const n = got.type === 'bulk' && got.value !== null ? Number(fromUtf8(got.value)) : 0;
    if (n < atLeast) past.push(`a ${kind} read was answered with ${n}, when ${atLeast} had to be in it`);
  }
  return { past, answered };
}

it('answers no read from before the pause, by whatever its reads rest on', async () => {
  const running = await ProcessCluster.start();
  cluster = running;
  await running.leader();
  await running.allAnswer();
  const leader = await running.leader();
  const [other = 0] = running.ports.filter((port) => port !== leader);
  const readers = {
    linearizable: await connect(running, leader),
    lease: await connect(running, leader),
    stale: await connect(running, leader),
  };
  const counter = new Counter();
  const counting = counter.run(await connect(running, other));
  const warm: Asked[] = [];
  await eventually('reads of a leader that runs', 10_000, async () => {
    ask(readers, counter, warm);
    await Promise.all(warm.map(({ reply }) => reply));
    return counter.at(performance.now()) > 20 ? true : null;
  });
  expect((await judge(warm)).past).toEqual([]);

  running.freeze(leader);
  const frozenAtMs = performance.now();
  const before = counter.at(frozenAtMs);
  const asked: Asked[] = [];
  while (performance.now() - frozenAtMs < PAUSE_MS) {
    ask(readers, counter, asked);
    // The pace of asking: the node reads them all when it goes on.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const during = counter.at(performance.now());
  running.thaw(leader);
  for (let n = 0; n < 100; n++) {
    ask(readers, counter, asked);
    await Promise.all(asked.slice(-KINDS.length).map(({ reply }) => reply));
  }
  counter.stop();
  await counting;
  const { past, answered } = await judge(asked);
  expect(past).toEqual([]);
  // Otherwise nothing was asked of it: the others went on, and it answers again.
  expect(during).toBeGreaterThan(before + 20);
  for (const kind of KINDS) expect(answered[kind]).toBeGreaterThan(50);
}, 40_000);
