import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeScenario, encodeScenario, eventCount, parseScenario } from '../../sim/scenario.ts';
import { withoutNode } from '../../sim/shrink.ts';
import { recordSeed, runScenario } from '../../sim/world.ts';
import { runs } from '../long.ts';

const SCENARIOS = fileURLToPath(new URL('scenarios', import.meta.url));

describe('scenarios that once failed', () => {
  for (const file of readdirSync(SCENARIOS).sort()) {
    it(`hold: ${file}`, () => {
      const scenario = parseScenario(readFileSync(`${SCENARIOS}/${file}`, 'utf8'));
      expect(runScenario(scenario).failure).toBeNull();
    });
  }
});

describe('a scenario', () => {
  const { scenario, result } = recordSeed('7', 4000);

  it('plays again what the seed has drawn', () => {
    const again = runScenario(scenario);
    expect(again).toMatchObject({
      failure: null,
      events: result.events,
      operations: result.operations,
      entries: result.entries,
    });
  });

  it('is the same after it was written and read', () => {
    const read = parseScenario(encodeScenario(scenario));
    expect(read).toEqual(scenario);
    expect(runScenario(read).hash).toBe(runScenario(scenario).hash);
  });

  it('is described with a line per event', () => {
    expect(describeScenario(scenario).split('\n')).toHaveLength(eventCount(scenario));
  });

  it('is refused with the name of the field that is wrong', () => {
    const text = encodeScenario(scenario);
    expect(() => parseScenario('{')).toThrow(/not a scenario/);
    expect(() => parseScenario(text.replace('"format": 1', '"format": 99'))).toThrow(/format is 99/);
    expect(() => parseScenario(text.replace('"stormMs": 4000', '"stormMs": -1'))).toThrow(/`stormMs`/);
    expect(() => parseScenario(text.replace(/"atUs":\d+/, '"atUs":"x"'))).toThrow(/strokes\[0\]\.atUs/);
  });

  it.each([
    [{ options: {} }, '`options.nodes` is not a whole number from 1 to 7'],
    [{ strokes: [{ atUs: 5, kind: 'frob', node: 1 }] }, '`strokes[0]` is not a stroke that is known'],
    [{ strokes: [{ atUs: 5, kind: 'crash', node: 9 }] }, '`strokes[0].node` is not a node from 1 to '],
    [
      { batches: [{ atUs: 5, client: 1, node: 9, requests: [] }] },
      '`batches[0].node` is not a node from 1 to ',
    ],
    [{ batches: [{ atUs: 5, client: 0, node: 1, requests: [] }] }, '`batches[0].client` is not a number'],
    [{ batches: [{ atUs: 5, client: 1, node: 1 }] }, '`batches[0].requests` is not a list'],
    [
      { batches: [{ atUs: 5, client: 1, node: 1, requests: [{ kind: 'get' }] }] },
      '`batches[0].requests[0]` is not a request that is known',
    ],
  ])('is refused where a world would trip over it: %j', (change, message) => {
    expect(() => parseScenario(JSON.stringify({ ...scenario, ...change }), 'odd.json')).toThrow(
      `odd.json is not a scenario: ${message}`,
    );
  });

  it('runs in any part of it, and in a smaller cluster', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.boolean()), (draws) => {
        const keep = (): boolean => draws.next().value;
        const part = {
          ...scenario,
          stormMs: 2000,
          strokes: scenario.strokes.filter(keep),
          batches: scenario.batches.filter(keep),
        };
        expect(runScenario(part).failure).toBeNull();
        if (part.options.nodes > 1) expect(runScenario(withoutNode(part, 1)).failure).toBeNull();
      }),
      { numRuns: runs(5), seed: 1 },
    );
  });
});
