/**
 * `npm run bench -- engine`: the embedded store against `classic-level` and `lmdb`, with the workloads that LevelDB's
 * `db_bench` made usual. Each store has a process and a fresh directory for each round; they take turns at every workload,
 * in an order that is drawn anew, so that a slow minute of the machine meets all of them.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatTable } from '../table.ts';
import type { Memory, Order, Reply } from './child.ts';
import { CONTENDERS, type ContenderName, type Statistics } from './contender.ts';
import { drawFrom, KEY_BYTES, type Outcome, VALUE_BYTES, WORKLOADS, type WorkloadName } from './workloads.ts';

const USAGE = `Usage: npm run bench -- engine [--keys N] [--rounds N] [--stores A,B] [--workloads A,B] [--directory DIR]

  --keys N         500000 unless said otherwise
  --rounds N       medians are taken of so many; 3 unless said otherwise
  --stores A,B     of ${CONTENDERS.join(', ')}
  --workloads A,B  of ${Object.keys(WORKLOADS).join(', ')};
                   without a fill, the store is empty
  --directory DIR  where the stores are put, in a directory that is removed again
`;

const RIVALS: readonly ContenderName[] = ['classic-level', 'lmdb'];
const MIB = 1024 * 1024;

interface Seen {
  readonly statistics: Statistics | null;
  readonly memory: Memory;
  readonly diskBytes: number;
  readonly reopenMs: number;
}

/** What was measured of a store, a list entry for each round. */
interface Measured {
  readonly outcomes: Map<WorkloadName, Outcome[]>;
  readonly seen: Seen[];
}

export async function benchEngine(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      keys: { type: 'string', default: '500000' },
      rounds: { type: 'string', default: '3' },
      stores: { type: 'string', default: CONTENDERS.join(',') },
      workloads: { type: 'string', default: Object.keys(WORKLOADS).join(',') },
      directory: { type: 'string', default: tmpdir() },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const stores = chosen('stores', values.stores, CONTENDERS);
  const workloads = chosen('workloads', values.workloads, Object.keys(WORKLOADS) as WorkloadName[]);
  const keys = wholeNumber('keys', values.keys);
  const rounds = wholeNumber('rounds', values.rounds);
  const measured = new Map(
    stores.map((name): [ContenderName, Measured] => [name, { outcomes: new Map(), seen: [] }]),
  );
  const draw = drawFrom(1);
  for (let round = 1; round <= rounds; round++) {
    const directory = mkdtempSync(join(values.directory, 'envelopedb-bench-'));
    try {
      await runRound({ round, keys, directory, stores, workloads, draw, measured });
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
  report(measured, workloads, keys, rounds);
}

interface Round {
  readonly round: number;
  readonly keys: number;
  readonly directory: string;
  readonly stores: readonly ContenderName[];
  readonly workloads: readonly WorkloadName[];
  readonly draw: (below: number) => number;
  readonly measured: ReadonlyMap<ContenderName, Measured>;
}

async function runRound({ round, keys, directory, stores, workloads, draw, measured }: Round): Promise<void> {
  const running = stores.map((name) => new Running(name, join(directory, name)));
  try {
    for (const store of running) await store.open();
    for (const workload of workloads) {
      // What is filled twice is a store of its own each time, as in `db_bench`.
      const seed = 1 + draw(1e9);
      for (const store of shuffled(running, draw)) {
        if (workload === 'fillrandom') await store.renew();
        process.stderr.write(`round ${round}: ${workload}, ${store.name}: `);
        const outcome = await store.run(workload, keys, seed);
        process.stderr.write(outcome === null ? 'has none\n' : `${perSecond(outcome).toFixed(0)}/s\n`);
        if (outcome !== null) {
          const outcomes = measured.get(store.name)?.outcomes;
          outcomes?.set(workload, [...(outcomes.get(workload) ?? []), outcome]);
        }
      }
    }
    for (const store of running) measured.get(store.name)?.seen.push(await store.look());
  } finally {
    for (const store of running) store.end();
  }
}

/** A store in its process. */
class Running {
  readonly name: ContenderName;
  readonly #directory: string;
  readonly #child: ChildProcess;
  #renewals = 0;

  constructor(name: ContenderName, directory: string) {
    this.name = name;
    this.#directory = directory;
    this.#child = fork(new URL('./child.ts', import.meta.url), [name], { execArgv: process.execArgv });
  }

  async open(): Promise<void> {
    await this.#ask({ type: 'open', directory: this.#path });
  }

  async renew(): Promise<void> {
    await this.#ask({ type: 'close' });
    rmSync(this.#path, { recursive: true });
    this.#renewals++;
    await this.open();
  }

  async run(workload: WorkloadName, keys: number, seed: number): Promise<Outcome | null> {
    const reply = await this.#ask({ type: 'run', workload, keys, seed });
    if (reply.type !== 'outcome') throw new Error(`an outcome is wanted, not '${reply.type}'`);
    return reply.outcome;
  }

  async look(): Promise<Seen> {
    const reply = await this.#ask({ type: 'look' });
    if (reply.type !== 'seen') throw new Error(`a look is wanted, not '${reply.type}'`);
    const { statistics, memory } = reply;
    const reopened = await this.#ask({ type: 'reopen', directory: this.#path });
    const reopenMs = reopened.type === 'done' ? reopened.ms : 0;
    await this.#ask({ type: 'close' });
    return { statistics, memory, diskBytes: bytesBelow(this.#path), reopenMs };
  }

  end(): void {
    this.#child.disconnect();
  }

  get #path(): string {
    return `${this.#directory}-${this.#renewals}`;
  }

  #ask(order: Order): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error(`${this.name} has ended`));
      this.#child.once('exit', onExit);
      this.#child.once('message', (reply: Reply) => {
        this.#child.off('exit', onExit);
        if (reply.type === 'failed') reject(new Error(`${this.name}: ${reply.why}`));
        else resolve(reply);
      });
      this.#child.send(order);
    });
  }
}

function report(
  measured: ReadonlyMap<ContenderName, Measured>,
  workloads: readonly WorkloadName[],
  keys: number,
  rounds: number,
): void {
  const stores = [...measured.keys()];
  const rivals = RIVALS.filter((name) => stores.includes(name));
  const outcomesOf = (name: ContenderName, workload: WorkloadName): readonly Outcome[] =>
    measured.get(name)?.outcomes.get(workload) ?? [];
  const rate = (name: ContenderName, workload: WorkloadName): number | null =>
    median(outcomesOf(name, workload).map(perSecond));
  const title = `${keys} keys, ${KEY_BYTES} + ${VALUE_BYTES} bytes, ${rounds} rounds; operations/s`;
  const rates = workloads.map((workload) => [
    workload,
    ...stores.map((name) => number(rate(name, workload), 0)),
    ...rivals.map((rival) => ratio(rate('envelopedb', workload), rate(rival, workload))),
  ]);
  const latencies = workloads.flatMap((workload) =>
    stores.flatMap((name) => {
      const seen = outcomesOf(name, workload).flatMap(({ latencies }) => latencies ?? []);
      if (seen.length === 0) return [];
      const of = (field: 'p50Us' | 'p99Us' | 'awayP99Ms' | 'awayMaxMs'): string =>
        number(median(seen.map((each) => each[field])), 1);
      return [[`${workload}, ${name}`, of('p50Us'), of('p99Us'), of('awayP99Ms'), of('awayMaxMs')]];
    }),
  );
  const liveBytes = keys * (KEY_BYTES + VALUE_BYTES);
  const sizes = stores.map((name) => {
    const seen = measured.get(name)?.seen ?? [];
    const of = (field: (one: Seen) => number | undefined, digits: number): string =>
      number(median(seen.flatMap((one) => field(one) ?? [])), digits);
    return [
      name,
      of(({ memory }) => memory.ownBytes / MIB, 0),
      of(({ memory }) => memory.mappedBytes / MIB, 0),
      of(({ statistics }) => statistics?.indexBytes && statistics.indexBytes / MIB, 2),
      of(({ diskBytes }) => diskBytes / MIB, 0),
      of(({ diskBytes }) => diskBytes / liveBytes, 2),
      of(({ statistics }) => statistics?.writeAmplification, 2),
      of(({ reopenMs }) => reopenMs, 0),
    ];
  });
  process.stdout.write(
    [
      formatTable([[title, ...stores, ...rivals.map((rival) => `of ${rival}`)], ...rates]),
      formatTable([['single reads', 'p50 us', 'p99 us', 'turn p99 ms', 'turn max ms'], ...latencies]),
      formatTable([
        [
          'at the end',
          'own MiB',
          'mapped MiB',
          'index MiB',
          'disk MiB',
          'space amp.',
          'write amp.',
          'reopen ms',
        ],
        ...sizes,
      ]),
    ].join('\n'),
  );
}

function perSecond({ operations, ms }: Outcome): number {
  return (1000 * operations) / ms;
}

function ratio(own: number | null, other: number | null): string {
  return own === null || other === null ? '' : `${(own / other).toFixed(2)}x`;
}

function number(value: number | null, digits: number): string {
  return value === null ? '' : value.toFixed(digits);
}

/** Null: of nothing. */
function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}

function shuffled<T>(items: readonly T[], draw: (below: number) => number): T[] {
  const left = [...items];
  return items.flatMap(() => left.splice(draw(left.length), 1));
}

function chosen<T extends string>(option: string, text: string, all: readonly T[]): T[] {
  return text.split(',').map((name) => {
    const found = all.find((one) => one === name);
    if (found === undefined) throw new Error(`--${option}: there is no '${name}': ${all.join(', ')}`);
    return found;
  });
}

function wholeNumber(option: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new Error(`--${option} is '${text}': it is a whole number from 1 on`);
}

function bytesBelow(path: string): number {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}
