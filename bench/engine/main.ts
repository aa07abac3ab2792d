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
import type { Order, Reply } from './child.ts';
import { ALL_CONTENDERS, CONTENDERS, type ContenderName } from './contender.ts';
import { drawFrom } from './data.ts';
import { fullIndexBytesPerKey } from './full_index.ts';
import { type Filled, formatReport, type Measured, perSecond, type Seen } from './report.ts';
import { type Outcome, WORKLOADS, type WorkloadName } from './workloads.ts';

const USAGE = `Usage: npm run bench -- engine [--keys N] [--rounds N] [--reopen-mib N] [--stores A,B] [--workloads A,B]
                               [--directory DIR] [--markdown]

  --keys N         500000 unless said otherwise
  --rounds N       medians are taken of so many; 3 unless said otherwise
  --reopen-mib N   how large the store is that is opened again at the end, once; 1024 unless said otherwise, 0: none
  --stores A,B     of ${ALL_CONTENDERS.join(', ')};
                   all but the last of ours unless said otherwise
  --workloads A,B  of ${Object.keys(WORKLOADS).join(', ')};
                   without a fill, the store is empty
  --directory DIR  where the stores are put, in a directory that is removed again
  --markdown       with a line on how and where it was run: what docs/performance.md shows
`;

export async function benchEngine(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      keys: { type: 'string', default: '500000' },
      rounds: { type: 'string', default: '3' },
      stores: { type: 'string', default: CONTENDERS.join(',') },
      workloads: { type: 'string', default: Object.keys(WORKLOADS).join(',') },
      directory: { type: 'string', default: tmpdir() },
      'reopen-mib': { type: 'string', default: '1024' },
      markdown: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const stores = chosen('stores', values.stores, ALL_CONTENDERS);
  const workloads = chosen('workloads', values.workloads, Object.keys(WORKLOADS) as WorkloadName[]);
  const keys = wholeNumber('keys', values.keys);
  const rounds = wholeNumber('rounds', values.rounds);
  const reopenMib = values['reopen-mib'] === '0' ? 0 : wholeNumber('reopen-mib', values['reopen-mib']);
  const measured = new Map(
    stores.map((name): [ContenderName, Measured] => [
      name,
      { outcomes: new Map(), filled: [], seen: [], reopenMs: null },
    ]),
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
  if (reopenMib > 0) {
    const directory = mkdtempSync(join(values.directory, 'envelopedb-bench-'));
    try {
      await reopenLarge(directory, stores, reopenMib, measured);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
  const command = `npm run bench -- engine${args
    .filter((one) => one !== '--markdown')
    .map((one) => ` ${one}`)
    .join('')}`;
  process.stdout.write(
    formatReport({
      measured,
      workloads,
      keys,
      rounds,
      reopenMib,
      fullIndexBytes: keys * fullIndexBytesPerKey(keys),
      command: values.markdown ? command : null,
    }),
  );
}

/** Then each store holds what many overwrites leave, and its amplifications tell. */
const AFTER_WHICH: WorkloadName = 'overwrite';

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
        if (workload === AFTER_WHICH) measured.get(store.name)?.filled.push(await store.settle());
      }
    }
    for (const store of running) measured.get(store.name)?.seen.push(await store.look());
  } finally {
    for (const store of running) store.end();
  }
}

/** One store after the other, once. */
async function reopenLarge(
  directory: string,
  stores: readonly ContenderName[],
  mib: number,
  measured: ReadonlyMap<ContenderName, Measured>,
): Promise<void> {
  for (const name of stores) {
    process.stderr.write(`a store of ${mib} MiB, ${name}: `);
    const path = join(directory, name);
    const store = new Running(name, path);
    try {
      await store.open();
      await store.fill(mib);
      const { reopenMs } = await store.look();
      process.stderr.write(`reopened in ${reopenMs.toFixed(0)} ms\n`);
      const of = measured.get(name);
      if (of !== undefined) of.reopenMs = reopenMs;
    } finally {
      store.end();
    }
    rmSync(`${path}-0`, { recursive: true });
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

  async fill(mib: number): Promise<void> {
    await this.#ask({ type: 'fill', mib });
  }

  /** What there is once background work rests. */
  async settle(): Promise<Filled> {
    const reply = await this.#ask({ type: 'settle' });
    if (reply.type !== 'seen') throw new Error(`a look is wanted, not '${reply.type}'`);
    return { statistics: reply.statistics, diskBytes: bytesBelow(this.#path) };
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
