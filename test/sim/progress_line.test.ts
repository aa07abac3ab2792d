/** How long work of the simulator says how far it is. */
import { describe, expect, it } from 'vitest';
import { ProgressLine } from '../../sim/progress_line.ts';

function shown(isTTY: boolean, untilMs: number, everyMs: number): { written: string[]; line: ProgressLine } {
  const written: string[] = [];
  let nowMs = 5000;
  const line = new ProgressLine({ isTTY, write: (text) => written.push(text) }, () => nowMs);
  for (let ms = 0; ms <= untilMs; ms += everyMs) {
    nowMs = 5000 + ms;
    line.show(() => `at ${ms}`);
  }
  return { written, line };
}

describe('the progress line', () => {
  it('is drawn over itself on a terminal, twice a second at most, and taken away', () => {
    const { written, line } = shown(true, 1700, 100);
    expect(written).toEqual(['\r\x1b[Kat 500', '\r\x1b[Kat 1000', '\r\x1b[Kat 1500']);
    line.end();
    line.end();
    expect(written.slice(3)).toEqual(['\r\x1b[K']);
  });

  it('is a line a minute elsewhere, and nothing is taken away', () => {
    const { written, line } = shown(false, 130_000, 1000);
    expect(written).toEqual(['at 60000\n', 'at 120000\n']);
    line.end();
    expect(written).toHaveLength(2);
  });

  it('says nothing of what is over at once', () => {
    expect(shown(true, 400, 100).written).toEqual([]);
  });
});
