import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MUTANTS } from '../../sim/mutants/index.ts';
import { type Hunt, huntMutant } from '../../sim/mutants/runner.ts';
import { runSeed } from '../../sim/world.ts';

const STORM_MS = 5000;

describe('the simulated world', () => {
  it('runs a seed the same way twice, event by event', () => {
    for (const [seed, trials] of [
      ['1', 'all'],
      ['2', 'none'],
      ['any text is a seed', 'none'],
    ] as const) {
      const first = runSeed(seed, { stormMs: STORM_MS, trials });
      const second = runSeed(seed, { stormMs: STORM_MS, trials });
      expect(second).toEqual(first);
      expect(first.failure).toBeNull();
      expect(first.events).toBeGreaterThan(100);
    }
  });

  it('runs another seed another way', () => {
    const hashes = new Set(
      ['1', '2', '3'].map((seed) => runSeed(seed, { stormMs: 1000, trials: 'none' }).hash),
    );
    expect(hashes.size).toBe(3);
  });

  it('gives the same hash whether or not it is watched', () => {
    const lines: string[] = [];
    const watched = runSeed('7', { stormMs: 1000, trials: 'none', onLine: (line) => lines.push(line) });
    expect(runSeed('7', { stormMs: 1000, trials: 'none' }).hash).toBe(watched.hash);
    expect(lines.length).toBeGreaterThan(100);
  });
});

function hunt(name: string, trials: 'all' | 'none'): Promise<Hunt> {
  const mutant = MUTANTS.find((one) => one.name === name);
  if (mutant === undefined) throw new Error(`no mutant ${name}`);
  return huntMutant(mutant, { seeds: 60, seconds: 100, stormMs: 20_000, trials, shrinkSeconds: null });
}

describe('planted bugs', () => {
  it('fit the sources', () => {
    for (const { name, file, find } of MUTANTS) {
      const source = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
      expect(`${name}: ${source.split(find).length - 1}`).toBe(`${name}: 1`);
    }
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
  });

  // Those that few seeds find; `npm run mutants` hunts all of them.
  for (const name of ['vote-never-synced', 'early-acknowledgement', 'stale-log-vote']) {
    it(`like ${name} are found`, async () => {
      expect(await hunt(name, 'all')).toMatchObject({ found: true });
    }, 120_000);
  }

  // Of membership, and of what clients see: by whole clusters, without the trials of single parts.
  for (const [name, check] of [
    ['configuration-lost-with-restart', 'invariant'],
    ['reads-of-a-follower-unasked', 'linearizability'],
  ] as const) {
    it(`like ${name} are found by whole clusters`, async () => {
      expect(await hunt(name, 'none')).toMatchObject({ found: true, check });
    }, 120_000);
  }
});
