import { describe, expect, it } from 'vitest';
import { describeCuts, PartitionLog } from '../../../sim/report/partitions.ts';

describe('describeCuts', () => {
  it('says once what is cut both ways', () => {
    expect(
      describeCuts([
        ['1', '2'],
        ['2', '1'],
      ]),
    ).toBe('1 ╳ 2');
  });

  it('names the sides of a partition', () => {
    const ways = ['1', '2'].flatMap((a) =>
      ['3', '4', '5'].flatMap(
        (b) =>
          [
            [a, b],
            [b, a],
          ] as const,
      ),
    );
    expect(describeCuts(ways)).toBe('1 2 ╳ 3 4 5');
  });

  it('shows the direction of a one-way cut', () => {
    expect(
      describeCuts([
        ['3', '1'],
        ['3', '2'],
      ]),
    ).toBe('3 ↛ 1 2');
  });

  it('lists what has no common side', () => {
    expect(
      describeCuts([
        ['1', '2'],
        ['2', '1'],
        ['3', '4'],
      ]),
    ).toBe('1 ╳ 2, 3 ↛ 4');
  });
});

describe('PartitionLog', () => {
  it('makes one span of what is cut and joined together', () => {
    const log = new PartitionLog(0);
    for (const [from, to] of [
      ['node1', 'node2'],
      ['node2', 'node1'],
      ['node1', 'node3'],
      ['node3', 'node1'],
    ]) {
      log.onBlock(10, from, to);
    }
    for (const [from, to] of [
      ['node1', 'node2'],
      ['node2', 'node1'],
      ['node1', 'node3'],
      ['node3', 'node1'],
    ]) {
      log.onUnblock(30, from, to);
    }
    expect(log.finish(50)).toEqual([
      { lane: 0, kind: 'partition', fromUs: 10, toUs: 30, term: 0, text: '1 ╳ 2 3' },
    ]);
  });

  it('lets what is still cut last until the end, and forgets what lasted no time', () => {
    const log = new PartitionLog(0);
    log.onBlock(10, 'node1', 'node2');
    log.onUnblock(10, 'node1', 'node2');
    log.onBlock(20, 'node3', 'node2');
    expect(log.finish(50).map(({ fromUs, toUs, text }) => [fromUs, toUs, text])).toEqual([[20, 50, '3 ↛ 2']]);
  });
});
