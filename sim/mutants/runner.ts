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
import { plantIn } from '../model/planting.ts';
import { isOfTrial } from '../result.ts';
import type { Mutant } from './mutant.ts';
import type { HuntAnswer, HuntOrder, Shrunk } from './worker.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Beyond the time of the hunt: a planted bug may make a seed run for ever. */
const LAST_SEED_MS = 60_000;

export interface HuntLimits {
  readonly seeds: number;
  /** Wall time in seconds, after which no new seed is begun. */
  readonly seconds: number;
  readonly stormMs: number;
  /** `none`: only whole clusters are to find it. */
  readonly trials: 'all' | 'none';
  /** For how long a run that has failed is made small; null: it is not. */
  readonly shrinkSeconds: number | null;
}

export interface Hunt {
  readonly mutant: string;
  readonly found: boolean;
  /** Seeds run up to and with the one that failed. */
  readonly seeds: number;
  readonly seconds: number;
  /** The check that failed. */
  readonly check: string;
  /** The schedule of the run that failed, made small; null: that was not asked for, or a trial failed, which has none. */
  readonly shrunk: Shrunk | null;
}

/** @throws Error when the mutant's text does not stand in its file exactly once, or when what it makes of it does not run. */
export async function huntMutant(mutant: Mutant, limits: HuntLimits): Promise<Hunt> {
  const directory = mkdtempSync(join(tmpdir(), 'envelopedb-mutant-'));
  const startedAt = performance.now();
  try {
    const bundle = join(directory, 'worker.cjs');
    await bundleWith(mutant, bundle);
    const { seeds, check, shrunk } = await runUntilFailure(bundle, limits);
    const seconds = (performance.now() - startedAt) / 1000;
    return { mutant: mutant.name, found: check !== '', seeds, seconds, check, shrunk };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`the mutant ${mutant.name} does not run: ${why}`, { cause: error });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The worker of a hunt and all that it imports, in one file, with the mutant planted. */
async function bundleWith(mutant: Mutant, outfile: string): Promise<void> {
  const path = join(ROOT, mutant.file);
  const contents = plantIn(readFileSync(path, 'utf8'), mutant);
  await build({
    entryPoints: [join(ROOT, 'sim', 'mutants', 'worker.ts')],
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

/** How many seeds were run, the check that failed, '' when none did, and the schedule made small. */
function runUntilFailure(
  bundle: string,
  { seeds, seconds, stormMs, trials, shrinkSeconds }: HuntLimits,
): Promise<Pick<Hunt, 'seeds' | 'check' | 'shrunk'>> {
  const worker = new Worker(bundle);
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    let seed = 1;
    let check = '';
    const extraSeconds = shrinkSeconds ?? 0;
    const patience = setTimeout(() => end(null), (seconds + extraSeconds) * 1000 + LAST_SEED_MS);
    const end = (shrunk: Shrunk | null): void => {
      clearTimeout(patience);
      worker.terminate().then(() => resolve({ seeds: seed, check, shrunk }), reject);
    };
    const order = (shrink: number | null): void => {
      worker.postMessage({ seed: String(seed), stormMs, trials, shrinkSeconds: shrink } satisfies HuntOrder);
    };
    worker.on('message', (answer: HuntAnswer) => {
      if (answer.type === 'shrunk') {
        end(answer.shrunk);
        return;
      }
      check = answer.result.failure?.check ?? '';
      if (check !== '') {
        if (shrinkSeconds === null || isOfTrial({ check })) end(null);
        else order(shrinkSeconds);
      } else if (seed >= seeds || performance.now() - startedAt > seconds * 1000) end(null);
      else {
        seed++;
        order(null);
      }
    });
    worker.on('error', (error) => {
      clearTimeout(patience);
      reject(error);
    });
    order(null);
  });
}
