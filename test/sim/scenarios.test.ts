import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { describeScenario, encodeScenario, eventCount, parseScenario } from '../../sim/scenario.ts';
import { withoutNode } from '../../sim/shrink.ts';
import type { Stroke, StrokeAction } from '../../sim/strokes.ts';
import { recordSeed, runScenario } from '../../sim/world.ts';
import { EnvelopeError } from '../../src/base/errors.ts';
import { runs } from '../long.ts';

/** One of those that a short storm seldom has. */
const ALL_STROKES: readonly Stroke[] = (
  [
    { kind: 'slow-cpu', node: 1, taskUs: 100 },
    { kind: 'cut', routes: [[1, 2]] },
    { kind: 'reset', node: 1, peer: 2 },
    { kind: 'slow-network', longTailPermille: 100 },
    { kind: 'drift', node: 1, ppm: -300_000 },
    { kind: 'wall-jump', node: 1, ms: -5 },
    { kind: 'slow-disk', node: 1, factor: 10 },
    { kind: 'command', node: 1, text: 'MEMBER TRANSFER 2' },
    { kind: 'member', node: 1, change: 'remove', subject: 2 },
    { kind: 'crash-inside', node: 1, operation: 3 },
    { kind: 'disk-error', node: 1, operation: 'sync', file: 'any', after: 1, seen: 'at-once' },
    { kind: 'stray-write', node: 1, file: 'log', after: 1, goes: 'nowhere', seen: 'at-crash' },
    { kind: 'disk-full', node: 1, leftBytes: 0 },
    { kind: 'damage', node: 1, how: 'rot', file: 'log', which: 5, where: 5 },
  ] as const satisfies readonly StrokeAction[]
).map((action) => ({ atUs: 5, ...action }));

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
    [{ strokes: [{ atUs: 5, kind: 'frob', node: 1 }] }, '`strokes[0]`: kind is not one that is known'],
    [{ strokes: [{ atUs: 5, kind: 'crash', node: 9 }] }, '`strokes[0]`: node is not a node from 1 to '],
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

  it('is refused with whatever field is missing or of another kind, not run until it trips', () => {
    const isRefused = (change: object): boolean => {
      try {
        parseScenario(JSON.stringify({ ...scenario, ...change }));
        return false;
      } catch (error) {
        return error instanceof EnvelopeError && error.code === 'FORMAT';
      }
    };
    const kinds = new Map(recordSeed('5', 4000).scenario.strokes.map((one) => [one.kind, one]));
    for (const stroke of scenario.strokes) kinds.set(stroke.kind, stroke);
    for (const stroke of ALL_STROKES) kinds.set(stroke.kind, stroke);
    const { options } = scenario;
    for (const stroke of kinds.values()) {
      const machines = { options: { ...options, nodes: 7, spares: 0 } };
      expect(isRefused({ ...machines, strokes: [stroke] }), JSON.stringify(stroke)).toBe(false);
      for (const name of Object.keys(stroke)) {
        for (const junk of [undefined, null, 'x', -0.5, {}, [[0, 1]]])
          expect(isRefused({ ...machines, strokes: [{ ...stroke, [name]: junk }] }), `${name} ${junk}`).toBe(
            true,
          );
      }
    }
    for (const section of ['tuning', 'surroundings', 'faults', 'workload'] as const) {
      for (const name of Object.keys(options[section])) {
        for (const junk of ['x', -1, 0.5, [], true]) {
          const odd = { ...options, [section]: { ...options[section], [name]: junk } };
          expect(isRefused({ options: odd }), `${section}.${name} ${junk}`).toBe(true);
        }
      }
    }
    expect(isRefused({ options: { ...options, maybes: { 'low-probe': 'often' } } })).toBe(true);
    expect(isRefused({ options: { ...options, damage: 'some' } })).toBe(true);
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
