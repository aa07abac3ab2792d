import { describe, expect, it } from 'vitest';
import { firstLineAt, firstView, lastFinding } from '../../../../sim/report/page/findings.js';
import { buildItems } from '../../../../sim/report/page/items.js';
import type { RunRecord } from '../../../../sim/report/record.ts';
import { READ, SAMPLE, WRITE } from '../sample.ts';

function viewOf(record: RunRecord): { fromUs: number; toUs: number } {
  return firstView(record, buildItems(record));
}

describe('where a report begins', () => {
  it('shows the operations that contradict a check', () => {
    const { fromUs, toUs } = viewOf(SAMPLE);
    expect(fromUs).toBeLessThan(READ.invokedUs);
    expect(toUs).toBeGreaterThan(READ.endUs);
    expect(fromUs).toBeGreaterThan(WRITE.endUs);
  });

  it('shows the latest of them when they are spread over a long run', () => {
    const endUs = 60_000_000;
    const operations = Array.from({ length: 40 }, (_none, at) => ({
      ...READ,
      invokedUs: at * 1_000_000,
      endUs: at * 1_000_000 + 500,
    }));
    const record = { ...SAMPLE, header: { ...SAMPLE.header, endUs }, operations };
    const { fromUs, toUs } = viewOf(record);
    expect(toUs).toBeGreaterThan(39_000_500);
    expect(fromUs).toBeGreaterThan(34_000_000);
    expect(lastFinding(buildItems(record))?.fromUs).toBe(39_000_000);
  });

  it('shows the end of a run that failed without such operations', () => {
    const endUs = 60_000_000;
    const header = { ...SAMPLE.header, endUs, check: 'invariant' };
    const { fromUs, toUs } = viewOf({ ...SAMPLE, header, operations: [WRITE] });
    expect(fromUs).toBeGreaterThan(endUs - 1_000_000);
    expect(toUs).toBeGreaterThanOrEqual(endUs);
  });

  it('shows the whole of a run that held', () => {
    const header = { ...SAMPLE.header, check: null };
    const { fromUs, toUs } = viewOf({ ...SAMPLE, header, operations: [WRITE] });
    expect(fromUs).toBeLessThanOrEqual(0);
    expect(toUs).toBeGreaterThanOrEqual(header.endUs);
  });

  it('never takes an operation without an answer for the last', () => {
    const unknown = { ...READ, outcome: 'unknown' as const, endUs: 9990 };
    const items = buildItems({ ...SAMPLE, operations: [READ, unknown] });
    expect(lastFinding(items)?.record).toBe(READ);
  });
});

describe('firstLineAt', () => {
  it('finds the first line that is not before', () => {
    const lines = [0, 5, 5, 9].map((atUs) => ({ atUs }));
    expect([-1, 0, 5, 6, 9, 10].map((us) => firstLineAt(lines, us))).toEqual([0, 0, 1, 3, 3, 4]);
  });
});
