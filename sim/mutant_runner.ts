/**
 * Plants a mutant and runs seeds until one fails: the sources are bundled with the one changed text in its place, and a
 * thread of its own runs the bundle. Nothing else on the disk changes, and a hunt begins within a fraction of a second.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { build } from 'esbuild';
import type { Mutant } from './mutants.ts';
import type { RunResult } from './result.ts';
import type { SeedOrder } from './worker.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Beyond the time of the hunt: a planted bug may make a seed run for ever. */
const LAST_SEED_MS = 60_000;

export interface HuntLimits {
  readonly seeds: number;
  /** Wall time in seconds, after which no new seed is begun. */
  readonly seconds: number;
  readonly stormMs: number;
}

export interface Hunt {
  readonly mutant: string;
  readonly found: boolean;
  /** Seeds run up to and with the one that failed. */
  readonly seeds: number;
  readonly seconds: number;
  /** The check that failed. */
  readonly check: string;
}

/** @throws Error when the mutant's text does not stand in its file exactly once, or when what it makes of it does not run. */
export async function huntMutant(mutant: Mutant, limits: HuntLimits): Promise<Hunt> {
  const directory = mkdtempSync(join(tmpdir(), 'envelopedb-mutant-'));
  const startedAt = performance.now();
  try {
    const bundle = join(directory, 'worker.cjs');
    await bundleWith(mutant, bundle);
    const { seeds, check } = await runUntilFailure(bundle, limits);
    const seconds = (performance.now() - startedAt) / 1000;
    return { mutant: mutant.name, found: check !== '', seeds, seconds, check };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`the mutant ${mutant.name} does not run: ${why}`, { cause: error });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The worker of a campaign and all that it imports, in one file, with the mutant planted. */
async function bundleWith(mutant: Mutant, outfile: string): Promise<void> {
  const path = join(ROOT, mutant.file);
  const contents = planted(mutant, readFileSync(path, 'utf8'));
  await build({
    entryPoints: [join(ROOT, 'sim', 'worker.ts')],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    logLevel: 'silent',
    plugins: [
      {
        name: 'plant',
        setup: ({ onLoad }) => {
          onLoad({ filter: /\.ts$/ }, (file) => (file.path === path ? { contents, loader: 'ts' } : null));
        },
      },
    ],
  });
}

function planted({ name, file, find, replace }: Mutant, source: string): string {
  if (source.split(find).length !== 2) {
    throw new Error(`${name} no longer fits ${file}: its text must stand there exactly once`);
  }
  return source.replace(find, () => replace);
}

/** The check that failed, '' when none did, and how many seeds were run. */
function runUntilFailure(
  bundle: string,
  { seeds, seconds, stormMs }: HuntLimits,
): Promise<{ readonly seeds: number; readonly check: string }> {
  const worker = new Worker(bundle);
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    let seed = 1;
    const patience = setTimeout(() => end(seed - 1, ''), seconds * 1000 + LAST_SEED_MS);
    const end = (run: number, check: string): void => {
      clearTimeout(patience);
      worker.terminate().then(() => resolve({ seeds: run, check }), reject);
    };
    const order = (): void => worker.postMessage({ seed: String(seed), stormMs } satisfies SeedOrder);
    worker.on('message', ({ failure }: RunResult) => {
      if (failure !== null) end(seed, failure.check);
      else if (seed >= seeds || performance.now() - startedAt > seconds * 1000) end(seed, '');
      else {
        seed++;
        order();
      }
    });
    worker.on('error', (error) => {
      clearTimeout(patience);
      reject(error);
    });
    order();
  });
}
