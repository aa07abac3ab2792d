import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type LabOptions, runLab } from '../../sim/index.ts';
import { runCounter } from './examples/counter.ts';

const SEEDS = Array.from({ length: 30 }, (_none, at) => String(at + 1));

describe('a lab', () => {
  it('finds the counter service that acknowledges too early, and says what was lost', () => {
    const failures = SEEDS.map((seed) => runCounter(seed, 'when-written').failure).filter(
      (one) => one !== null,
    );
    expect(failures.length).toBeGreaterThan(0);
    expect(failures[0]).toMatch(/^\d+ additions were acknowledged, \d+ are counted$/);
  });

  it('finds nothing wrong with the service that waits for the sync', () => {
    const results = SEEDS.map((seed) => runCounter(seed, 'when-durable'));
    expect(results.filter(({ failure }) => failure !== null)).toEqual([]);
    expect(results.reduce((sum, { crashes }) => sum + crashes, 0)).toBeGreaterThan(SEEDS.length);
  });

  it('runs a seed the same way twice', () => {
    expect(runCounter('7', 'when-durable')).toEqual(runCounter('7', 'when-durable'));
    expect(runCounter('7', 'when-durable').hash).not.toBe(runCounter('8', 'when-durable').hash);
  });

  it('refuses options under which it would find nothing wrong, by their names', () => {
    const options: LabOptions = {
      seed: '1',
      machines: 1,
      clients: 0,
      startMachine: () => {},
      startClient: () => {},
      faults: {},
      stormMs: 10,
      calmMs: 10,
      check: () => null,
    };
    const refused: readonly [object, string][] = [
      [{ seed: 1 }, 'seed takes a text'],
      [{ machines: 0 }, 'machines takes a whole number from 1 to 1000000000, not 0'],
      [{ clients: -1 }, 'clients takes'],
      [{ stormMs: Number.NaN }, 'stormMs takes a whole number from 0 to 1000000000, not NaN'],
      [{ calmMs: undefined }, 'calmMs takes'],
      [{ faults: { crashEveryMs: -5 } }, 'faults.crashEveryMs takes'],
      [{ faults: { crashesEveryMs: 5 } }, 'faults.crashesEveryMs is not known; there are crashEveryMs,'],
    ];
    for (const [change, message] of refused) {
      expect(() => runLab({ ...options, ...change } as LabOptions)).toThrow(message);
    }
    expect(runLab(options).failure).toBeNull();
  });
});

/** The program in docs/simulation.md, and what it prints there. */
describe('the counter of the documentation', () => {
  const text = readFileSync('docs/simulation.md', 'utf8');
  const program = /```js\n(import \{ runLab \}[^`]*(?:`[^`]+`[^`]*)*?)```\n/.exec(text)?.[1] ?? '';
  const printed = /\$ node counter\.mjs\n([^`]*)```/.exec(text)?.[1] ?? '';

  /** What it prints, as a program of its own. */
  function run(source: string): string {
    const directory = mkdtempSync(join(tmpdir(), 'envelopedb-lab-'));
    try {
      const file = join(directory, 'counter.mjs');
      const sim = new URL('../../sim/index.ts', import.meta.url).href;
      writeFileSync(file, source.replace("'envelopedb/sim'", `'${sim}'`));
      const command = ['--import', './scripts/typescript.mjs', file];
      const { stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' });
      expect(stderr).toBe('');
      return stdout;
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }

  it('prints what stands there', () => {
    expect(printed).toContain('was answered, and behind it');
    expect(run(program)).toBe(printed);
  }, 60_000);

  it('holds when it answers where the byte is durable', () => {
    const fixed = program
      .replace(/^ +connection\.write\(answer\);.*\n/m, '')
      .replace('file.sync(() => {});', 'file.sync(() => connection.write(answer));');
    expect(run(fixed)).not.toContain('was answered, and behind it');
  }, 60_000);
});
