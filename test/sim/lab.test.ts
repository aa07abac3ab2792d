import { describe, expect, it } from 'vitest';
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
});
