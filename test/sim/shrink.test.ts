import { describe, expect, it } from 'vitest';
import type { RunResult } from '../../sim/result.ts';
import { eventCount, type Scenario } from '../../sim/scenario.ts';
import { Shrinker, withoutNode } from '../../sim/shrink.ts';
import type { OperatorCommand } from '../../sim/strokes.ts';
import { recordSeed } from '../../sim/world.ts';

const { scenario, result } = recordSeed('7', 3000);

/** Stands for a run: fails when the schedule has what the test says is the cause. */
function failingWhen(isCause: (scenario: Scenario) => boolean): (tried: Scenario) => RunResult {
  return (tried) => ({ ...result, failure: isCause(tried) ? { check: 'planted', message: '' } : null });
}

function shrink(run: (tried: Scenario) => RunResult, runsMax = 5000): Scenario | null {
  const options = { check: 'planted', runsMax, noises: 2, isOver: () => false, onProgress: () => {}, run };
  return new Shrinker(scenario, options).run()?.scenario ?? null;
}

describe('the shrinker', () => {
  it('leaves of a schedule only what the failure needs', () => {
    const stroke = scenario.strokes[scenario.strokes.length >> 1];
    const request = scenario.batches[scenario.batches.length >> 1].requests[0];
    const small = shrink(
      failingWhen(
        ({ strokes, batches }) =>
          strokes.some((one) => JSON.stringify(one) === JSON.stringify(stroke)) &&
          batches.some(({ requests }) => requests.includes(request)),
      ),
    );
    expect(small === null ? 0 : eventCount(small)).toBe(2);
  });

  it('keeps a noise under which a race is lost', () => {
    const small = shrink(failingWhen(({ noise }) => noise % 2 === 1));
    expect(small?.noise ?? 0).toBe(1);
    expect(small === null ? -1 : eventCount(small)).toBe(0);
  });

  it('says so when the schedule alone does not fail', () => {
    expect(shrink(failingWhen(() => false))).toBeNull();
  });

  it('stops when its runs are used up', () => {
    let runs = 0;
    const run = failingWhen(() => true);
    shrink((tried) => {
      runs++;
      return run(tried);
    }, 10);
    expect(runs).toBeLessThanOrEqual(10);
  });
});

describe('a scenario without a node', () => {
  it('transfers the leadership to the machines that it went to before, under their new numbers', () => {
    const command = (text: OperatorCommand) => ({ atUs: 5, kind: 'command', node: 3, text }) as const;
    const texts = ['MEMBER TRANSFER 1', 'MEMBER TRANSFER 2', 'MEMBER TRANSFER 3', 'MERGE'] as const;
    const { strokes } = withoutNode({ ...scenario, strokes: texts.map(command) }, 2);
    expect(strokes).toEqual(
      (['MEMBER TRANSFER 1', 'MEMBER TRANSFER 2', 'MERGE'] as const).map((text) => ({
        ...command(text),
        node: 2,
      })),
    );
  });
});
