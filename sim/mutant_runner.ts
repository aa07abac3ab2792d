/** Plants a mutant in a copy of the sources and runs seeds there until one fails. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MUTANTS, type Mutant } from './mutants.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TSX = new URL('../node_modules/tsx/dist/loader.mjs', import.meta.url).href;

export interface Hunt {
  readonly found: boolean;
  /** Seeds run up to and with the one that failed. */
  readonly seeds: number;
  readonly check: string;
}

/** Returns the exit code: 0 when every mutant asked for was found within the seeds. */
export function runMutants(name: string, seedsMax: number, stormMs: number): number {
  const chosen = MUTANTS.filter((mutant) => name === 'all' || mutant.name === name);
  if (chosen.length === 0) {
    process.stderr.write(
      `sim: no mutant '${name}'; there are: ${MUTANTS.map((mutant) => mutant.name).join(', ')}\n`,
    );
    return 2;
  }
  const width = Math.max(...chosen.map((mutant) => mutant.name.length));
  let missed = 0;
  for (const mutant of chosen) {
    const hunt = huntMutant(mutant, seedsMax, stormMs);
    if (!hunt.found) missed++;
    const outcome = hunt.found
      ? `found at seed ${hunt.seeds} (${hunt.check})`
      : `NOT FOUND in ${hunt.seeds} seeds`;
    process.stdout.write(`${mutant.name.padEnd(width)}  ${outcome}\n`);
  }
  return missed === 0 ? 0 : 1;
}

export function huntMutant(mutant: Mutant, seedsMax: number, stormMs: number): Hunt {
  const copy = mkdtempSync(join(tmpdir(), 'envelopedb-mutant-'));
  try {
    for (const part of ['src', 'sim', 'package.json', 'tsconfig.json']) {
      cpSync(join(ROOT, part), join(copy, part), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    plant(mutant, join(copy, mutant.file));
    const args = [
      '--seeds',
      String(seedsMax),
      '--storm-ms',
      String(stormMs),
      '--jobs',
      '1',
      '--until-failure',
    ];
    const run = spawnSync(process.execPath, ['--import', TSX, join(copy, 'sim', 'main.ts'), ...args], {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    const failure = /^seed (\d+) FAILED: (.+)$/m.exec(run.stdout);
    if (failure === null) {
      if (run.status !== 0)
        throw new Error(`the mutant ${mutant.name} does not run: ${run.stderr.slice(-2000)}`);
      return { found: false, seeds: seedsMax, check: '' };
    }
    return { found: true, seeds: Number(failure[1]), check: failure[2] };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function plant(mutant: Mutant, path: string): void {
  const source = readFileSync(path, 'utf8');
  if (source.split(mutant.find).length !== 2) {
    throw new Error(
      `the mutant ${mutant.name} no longer fits ${mutant.file}: its text must stand there exactly once`,
    );
  }
  writeFileSync(
    path,
    source.replace(mutant.find, () => mutant.replace),
  );
}
