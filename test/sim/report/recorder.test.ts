import { describe, expect, it } from 'vitest';
import type { RunRecord } from '../../../sim/report/record.ts';
import { type RecordedRun, recordRun } from '../../../sim/report/record_run.ts';
import { recordSeed, runScenario, runSeed } from '../../../sim/world.ts';

const STORM_MS = 4000;
const SEEDS = ['1', '7', '12', 'a talk'];
const RECORDING = { stormMs: STORM_MS, replay: 'npm run sim -- --seed S', commit: null };

const recorded = new Map<string, RecordedRun>();

function runOf(seed: string): RecordedRun {
  const run = recorded.get(seed) ?? recordRun(seed, RECORDING);
  recorded.set(seed, run);
  return run;
}

function recordOf(seed: string): RunRecord {
  return runOf(seed).record;
}

describe('Recorder', () => {
  it('leaves the run as it is: the same hash and figures with and without', () => {
    for (const seed of ['7', 'a talk']) {
      expect(runOf(seed).result).toEqual(runSeed(seed, { stormMs: STORM_MS }));
    }
  }, 60_000);

  it('leaves a scenario that is played as it is', () => {
    const { scenario } = recordSeed('12', 1500);
    expect(recordRun(scenario, RECORDING).result).toEqual(runScenario(scenario));
  });

  it('makes the same record of the same seed', () => {
    expect(JSON.stringify(recordRun('7', RECORDING).record)).toBe(JSON.stringify(recordOf('7')));
  });

  it('is plain JSON', () => {
    const record = recordOf('12');
    expect(JSON.parse(JSON.stringify(record))).toEqual(record);
  });

  it('puts everything into the run and into a lane', () => {
    for (const seed of SEEDS) {
      const { lanes, header, messages, spans, marks, operations } = recordOf(seed);
      const times = [
        ...messages.map(({ from, sentUs, endUs }) => [from, sentUs, endUs]),
        ...messages.map(({ to, sentUs, endUs }) => [to, sentUs, endUs]),
        ...spans.map(({ lane, fromUs, toUs }) => [lane, fromUs, toUs]),
        ...marks.map(({ lane, atUs }) => [lane, atUs, atUs]),
        ...operations.map(({ lane, invokedUs, endUs }) => [lane, invokedUs, endUs]),
      ];
      for (const [lane, from, to] of times) {
        expect(lanes[lane]).toBeDefined();
        expect(0 <= from && from <= to && to <= header.endUs).toBe(true);
      }
    }
  });

  it('gives a node one role at a time, and none while it is down', () => {
    for (const seed of SEEDS) {
      const { lanes, spans } = recordOf(seed);
      lanes.forEach((_lane, lane) => {
        const states = spans.filter(
          (span) => span.lane === lane && ['follower', 'candidate', 'leader', 'down'].includes(span.kind),
        );
        for (let at = 1; at < states.length; at++) {
          expect(states[at].fromUs).toBeGreaterThanOrEqual(states[at - 1].toUs);
        }
      });
    }
  });

  it('shows every election that the invariants have counted, one a term', () => {
    let elections = 0;
    for (const seed of SEEDS) {
      const { result, record } = runOf(seed);
      const elected = record.marks.filter(({ kind }) => kind === 'elected').map(({ text }) => text);
      expect(elected.length).toBe(result.elections);
      expect(new Set(elected).size).toBe(elected.length);
      elections += elected.length;
    }
    expect(elections).toBeGreaterThan(0);
  });

  it('counts the crashes that the world has counted', () => {
    for (const seed of SEEDS) {
      const { result, record } = runOf(seed);
      const crashes = record.marks.filter(({ kind, text }) => kind === 'crash' && text !== 'ends in order');
      expect(crashes.length).toBe(result.crashes);
    }
  });

  it('says of each answered operation which node was asked', () => {
    const answered = SEEDS.flatMap((seed) => {
      const { operations, lanes } = recordOf(seed);
      return operations.filter(({ outcome }) => outcome === 'ok').map(({ node }) => ({ node, lanes }));
    });
    expect(answered.length).toBeGreaterThan(0);
    for (const { node, lanes } of answered) expect(node === null ? null : lanes[node].kind).toBe('node');
  });

  it('understands every message between nodes when no bits flip', () => {
    const undisturbed = [...SEEDS, '2', '3', '4', '5', '6'].find((seed) => {
      const { nodes, surroundings } = recordOf(seed).header.options;
      return nodes > 1 && surroundings.bitFlipPerMillion === 0;
    });
    const { messages } = recordOf(undisturbed ?? '1');
    expect(messages.filter(({ kind }) => kind === 'append').length).toBeGreaterThan(0);
    expect(messages.filter(({ kind }) => kind === 'damaged')).toEqual([]);
  });
});
