import { describe, expect, it } from 'vitest';
import type { Model } from '../../../sim/model/model.ts';
import { describePath, play, saveStep, shorten } from '../../../sim/model/path.ts';
import { type SearchResult, type Strategy, search } from '../../../sim/model/search.ts';
import { begin, type Start } from '../../../sim/model/start.ts';
import { makeModel } from './rig.ts';

function run(model: Model, start: Start, strategy: Strategy = 'breadth', depth = 100): SearchResult {
  return search({
    model,
    from: begin(model, start).state,
    strategy,
    limits: { depth, states: 100_000, seconds: 60 },
    seed: '1',
    nowMs: () => performance.now(),
    onProgress: () => {},
  });
}

describe('the model checker', () => {
  it('finds every property kept in every order of a write, a crash and its syncs', async () => {
    const model = await makeModel({
      bounds: { entries: 1, reads: 1, beats: 1, crashes: 1 },
      persistence: 'steps',
    });
    const { outcome, progress } = run(model, 'elected');
    expect(outcome).toEqual({ type: 'exhausted' });
    expect(progress.distinct).toBeGreaterThan(300);
    expect(model.crowded).toBe(0);
  });

  it('finds every property kept where figure 8 of the Raft paper begins', async () => {
    const model = await makeModel({ bounds: { timeouts: 1 }, rarePaths: ['short-append'] });
    expect(run(model, 'diverged').outcome).toEqual({ type: 'exhausted' });
  });

  it('reaches the same states breadth first and depth first', async () => {
    const bounds = { entries: 1, reads: 1, beats: 1 };
    const breadth = run(await makeModel({ bounds }), 'elected', 'breadth');
    const depth = run(await makeModel({ bounds }), 'elected', 'depth');
    expect(depth.outcome).toEqual({ type: 'exhausted' });
    expect(depth.progress.distinct).toBe(breadth.progress.distinct);
  });

  it('says so when its depth ends before the model does', async () => {
    const model = await makeModel({ bounds: { timeouts: 1 } });
    for (const strategy of ['breadth', 'depth'] as const) {
      expect(run(model, 'empty', strategy, 3).outcome).toEqual({ type: 'limited', limit: 'depth' });
    }
  });

  it.each([
    ['old-term-commit', 'diverged', { timeouts: 2, lapses: 1 }, 'leader completeness'],
    ['read-before-own-commit', 'diverged', { timeouts: 1, reads: 1 }, 'reads'],
    ['unconfirmed-read', 'elected', { timeouts: 1, lapses: 1, reads: 1 }, 'reads'],
  ] as const)('finds the planted bug %s, and a path that plays', async (mutant, start, bounds, property) => {
    const options = { bounds, rarePaths: ['short-append'] };
    const model = await makeModel({ ...options, mutant });
    const { outcome } = run(model, start);
    if (outcome.type !== 'violated') throw new Error(`${mutant} was not found`);
    expect(outcome.violation.property).toBe(property);

    const from = begin(model, start).state;
    // The first violation of a search by levels has a path of the fewest steps.
    expect(shorten(model, from, outcome.steps, property)).toHaveLength(outcome.steps.length);
    const lines = describePath(model, from, outcome.steps);
    expect(lines.at(-1)).toContain(property);

    // The same steps, kept as text, played on another build: with the bug they fail, without it they do not.
    const saved = JSON.parse(JSON.stringify(outcome.steps.map(saveStep)));
    const again = await makeModel({ ...options, mutant });
    expect(play(again, begin(again, start).state, saved).violation?.property).toBe(property);
    const sound = await makeModel(options);
    expect(play(sound, begin(sound, start).state, saved).violation).toBeNull();
  });

  it('finds a second vote after a crash that lost the first', async () => {
    const model = await makeModel({
      bounds: { timeouts: 2, crashes: 1 },
      persistence: 'steps',
      mutant: 'vote-forgotten-in-memory',
    });
    const { outcome } = run(model, 'empty', 'walk', 40);
    expect(outcome).toMatchObject({ type: 'violated', violation: { property: 'one vote a term' } });
  });
});
