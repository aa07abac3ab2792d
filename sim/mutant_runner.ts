/** Plants a mutant in a copy of the sources and runs seeds there until one fails. */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Mutant } from './mutants.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

export interface HuntLimits {
  readonly seeds: number;
  /** Wall time in seconds. */
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

export async function huntMutant(mutant: Mutant, limits: HuntLimits): Promise<Hunt> {
  const copy = mkdtempSync(join(tmpdir(), 'envelopedb-mutant-'));
  const startedAt = performance.now();
  try {
    for (const part of ['src', 'sim', 'scripts', 'package.json', 'tsconfig.json']) {
      cpSync(join(ROOT, part), join(copy, part), { recursive: true });
    }
    symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
    plant(mutant, join(copy, mutant.file));
    const { code, output, errors } = await run([
      '--import',
      pathToFileURL(join(copy, 'scripts', 'typescript.mjs')).href,
      join(copy, 'sim', 'main.ts'),
      'run',
      '--seeds',
      String(limits.seeds),
      '--seconds',
      String(limits.seconds),
      '--storm-ms',
      String(limits.stormMs),
      '--jobs',
      '1',
      '--until-failure',
    ]);
    const seconds = (performance.now() - startedAt) / 1000;
    const failure = /^seed (\d+) FAILED: (.+)$/m.exec(output);
    if (failure !== null) {
      return {
        mutant: mutant.name,
        found: true,
        seeds: Number(failure[1]),
        seconds,
        check: failure[2],
      };
    }
    if (code !== 0) throw new Error(`the mutant ${mutant.name} does not run: ${errors.slice(-2000)}`);
    const seeds = Number(/^(\d+) seeds:/m.exec(output)?.[1] ?? 0);
    return { mutant: mutant.name, found: false, seeds, seconds, check: '' };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function run(args: readonly string[]): Promise<{ code: number; output: string; errors: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let errors = '';
    child.stdout.on('data', (bytes: Buffer) => {
      output += bytes.toString();
    });
    child.stderr.on('data', (bytes: Buffer) => {
      errors += bytes.toString();
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 1, output, errors }));
  });
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
