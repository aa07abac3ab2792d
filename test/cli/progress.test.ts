import { describe, expect, it } from 'vitest';
import { describeBytes, Progress } from '../../src/cli/progress.ts';

function shown(isTTY: boolean): {
  readonly written: string[];
  readonly progress: Progress;
  at: (ms: number) => void;
} {
  const written: string[] = [];
  let nowMs = 1000;
  const progress = new Progress({ isTTY, write: (text) => written.push(text) }, () => nowMs);
  const at = (ms: number): void => {
    nowMs = 1000 + ms;
  };
  return { written, progress, at };
}

const MIB = 1024 * 1024;

describe('progress', () => {
  it('is a bar on a terminal, drawn ten times a second at most, and taken away at the end', () => {
    const { written, progress, at } = shown(true);
    for (let ms = 0; ms <= 1000; ms += 10) {
      at(ms);
      progress.show('copying', ms * MIB, 2000 * MIB);
    }
    expect(written).toHaveLength(10);
    expect(written.at(-1)).toBe(
      '\r\x1b[Kcopying [############............] 50 %, 1000.0 MiB of 2.0 GiB, 1 s left',
    );
    progress.end();
    expect(written.at(-1)).toBe('\r\x1b[K');
    progress.end();
    expect(written).toHaveLength(11);
  });

  it('is a line from time to time where there is no terminal, and none for what is over at once', () => {
    const { written, progress, at } = shown(false);
    for (let ms = 0; ms <= 12_000; ms += 100) {
      at(ms);
      progress.show('checking', ms, 20_000);
    }
    progress.end();
    expect(written).toEqual([
      'checking: 25 %, 4.9 KiB of 19.5 KiB\n',
      'checking: 50 %, 9.8 KiB of 19.5 KiB\n',
    ]);
    at(20_000);
    progress.show('copying', 1, 10);
    expect(written).toHaveLength(2);
  });

  it('begins anew with another label, and takes nothing for the whole of nothing', () => {
    const { written, progress, at } = shown(true);
    progress.show('copying', 0, 10);
    at(5000);
    progress.show('checking', 0, 0);
    at(5200);
    progress.show('checking', 0, 0);
    expect(written).toEqual([
      '\r\x1b[Kchecking [########################] 100 %, 0 bytes of 0 bytes, 0 s left',
    ]);
    expect([0, 1023, 1024, 3 * MIB, 5 * 1024 ** 4].map(describeBytes)).toEqual([
      '0 bytes',
      '1023 bytes',
      '1.0 KiB',
      '3.0 MiB',
      '5.0 TiB',
    ]);
  });
});
