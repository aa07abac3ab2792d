/** Which damage a run allows, and which failures of nodes it excuses. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Atlas, type AtlasMode, costOf } from '../../sim/atlas.ts';
import type { Injury, InjuryKind } from '../../sim/disk/injury.ts';
import { SimRandom } from '../../sim/random.ts';
import { CorruptionError, DiskError } from '../../src/base/errors.ts';

const SEGMENTS = ['/data/log/000001.log', '/data/log/000002.log', '/data/log/spare.tmp'];

function make(machines = 3, mode: AtlasMode = 'recoverable', seed = 'atlas'): Atlas {
  return new Atlas({ machines, mode, random: new SimRandom(seed), filesOf: () => SEGMENTS });
}

function injury(kind: InjuryKind, path: string, start = 0, end = start): Injury {
  return { kind, path, start, end };
}

describe('the atlas', () => {
  it('allows damage on a fixed minority alone, and what passes on every machine', () => {
    const kinds: InjuryKind[] = [
      'rot',
      'lost-write',
      'overwritten',
      'bad-sector',
      'lost-name',
      'wiped',
      'failed-sync',
    ];
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.string(),
        fc.constantFrom(...kinds),
        (machines, seed, kind) => {
          const atlas = make(machines, 'recoverable', seed);
          const all = Array.from({ length: machines }, (_none, at) => at + 1);
          const harmed = all.filter((machine) => atlas.allows(machine, kind));
          expect(harmed).toEqual(atlas.minority);
          expect(harmed.length * 2).toBeLessThan(machines);
          expect(make(machines, 'recoverable', seed).minority).toEqual(harmed);
          for (const passing of ['failed-read', 'failed-write', 'full'] as const) {
            expect(all.every((machine) => atlas.allows(machine, passing))).toBe(true);
          }
        },
      ),
    );
  });

  it('draws the minority from all machines', () => {
    const drawn = new Set<number>();
    for (let seed = 0; seed < 50; seed++)
      for (const one of make(3, 'recoverable', `${seed}`).minority) drawn.add(one);
    expect([...drawn].sort()).toEqual([1, 2, 3]);
  });

  it('allows everything everywhere when the run need not recover', () => {
    const atlas = make(3, 'unrecoverable');
    expect([1, 2, 3].every((machine) => atlas.allows(machine, 'rot'))).toBe(true);
  });

  it('finds waiting right from the loss of a majority on', () => {
    const atlas = make(3, 'unrecoverable');
    const lose = (machine: number): void => {
      atlas.book(machine, injury('rot', '/data/tables/manifest-1', 5, 6));
      const verdict = atlas.onStopped(machine, new CorruptionError('/data/tables/manifest-1', 0, 'damaged'));
      expect(verdict.right).toBe(true);
    };
    expect(atlas.isWaitingRight).toBe(false);
    lose(1);
    expect(atlas.isWaitingRight).toBe(false);
    lose(3);
    expect(atlas.isWaitingRight).toBe(true);
    expect([1, 2, 3].map((machine) => atlas.isDownForGood(machine))).toEqual([true, false, true]);
  });
});

describe('a machine that can be mended', () => {
  it('is one whose tables and log entries alone are harmed, in bytes that can be told to be wrong', () => {
    for (const [kind, path, is] of [
      ['rot', '/data/tables/table-1', true],
      ['lost-name', '/data/tables/table-1', true],
      ['failed-sync', '/data/tables/table-1', true],
      ['bad-sector', '/data/tables/table-1', true],
      ['rot', '/data/tables/manifest-1', false],
      ['rot', '/data/log/000001.log', true],
      ['bad-sector', '/data/log/000001.log', false],
    ] as const) {
      const atlas = make();
      atlas.book(1, injury('rot', '/data/tables/table-7', 1, 2));
      atlas.book(1, injury(kind, path, 1, 2));
      expect([kind, path, atlas.isMendable(1)]).toEqual([kind, path, is]);
    }
    const alone = make(1, 'unrecoverable');
    alone.book(1, injury('rot', '/data/tables/table-7', 1, 2));
    expect(alone.isMendable(1)).toBe(false);
  });
});

describe('corruption reported by a node', () => {
  it('is a failure of the run where nothing was damaged', () => {
    const atlas = make();
    expect(atlas.onStopped(1, new CorruptionError('/data/log/000001.log', 0, 'x')).right).toBe(false);
    atlas.book(2, injury('rot', '/data/log/000001.log', 1, 2));
    expect(atlas.onStopped(1, new CorruptionError('/data/log/000001.log', 0, 'x')).right).toBe(false);
    // What only passes harms nothing.
    for (const kind of ['failed-read', 'failed-write', 'full'] as const) {
      atlas.book(1, injury(kind, '/data/log/000001.log'));
    }
    expect(atlas.onStopped(1, new CorruptionError('/data/log/000001.log', 0, 'x')).right).toBe(false);
    expect(atlas.isDownForGood(1)).toBe(false);
  });

  it('is a failure of the run where entries of the log were damaged that others hold', () => {
    const atlas = make();
    atlas.book(1, injury('rot', '/data/log/000001.log', 1, 2));
    const error = new CorruptionError('/data/log/000001.log', 0, 'x');
    expect(atlas.onStopped(1, error).right).toBe(false);
    expect([atlas.isMendable(1), atlas.mayStart(1)]).toEqual([true, true]);
    // A start that does not know what stood there need not come about.
    atlas.book(1, injury('lost-name', '/data/log/000001.log', 0, 512));
    expect(atlas.isMendable(1)).toBe(false);
    expect(atlas.onStopped(1, error)).toMatchObject({ right: true, next: 'down for good' });
  });

  it('is right, and the end of the node, where it was damaged, in any other file of the same part', () => {
    for (const [harmed, reported, right] of [
      // The header of the newest segment says where the one before ends.
      ['/data/log/000002.log', '/data/log/000001.log', true],
      ['/data/log/000001.log', 'log', true],
      ['/data/tables/CURRENT', '/data/tables/manifest-3', true],
      ['/data/vote-a', '/data/vote-b', true],
      ['/data/vote-a', '/data', true],
      ['/data/tables/table-1', '/data/log/000001.log', false],
      ['/data/vote-a', '/data/tables/manifest-1', false],
      // Other replicas hold what is in it.
      ['/data/tables/table-1', '/data/tables/table-1', false],
    ] as const) {
      const atlas = make();
      atlas.book(1, injury('rot', harmed, 1, 2));
      const verdict = atlas.onStopped(1, new CorruptionError(reported, 0, 'x'));
      expect([harmed, reported, verdict.right]).toEqual([harmed, reported, right]);
      expect(atlas.isDownForGood(1)).toBe(right);
      expect(atlas.mayStart(1)).toBe(!right);
    }
  });
});

describe('a disk error reported by a node', () => {
  it('is right after a fault that gives this error, and a failure of the run otherwise', () => {
    const of = (errno: string, path = '/data/log/000001.log'): DiskError =>
      new DiskError('append', path, errno, 'x');
    const atlas = make();
    expect(atlas.verdictFor(1, of('EIO')).right).toBe(false);
    expect(atlas.verdictFor(1, of('ENOSPC')).right).toBe(false);
    atlas.book(1, injury('failed-write', '/data/log/000001.log'));
    expect(atlas.verdictFor(1, of('EIO'))).toMatchObject({ right: true, next: 'start again' });
    expect(atlas.verdictFor(1, of('EIO', '/data/tables/table-1')).right).toBe(false);
    expect(atlas.verdictFor(1, of('ENOSPC')).right).toBe(false);
    expect(atlas.verdictFor(1, of('EBADF')).right).toBe(false);
    expect(atlas.verdictFor(2, of('EIO')).right).toBe(false);
    atlas.book(1, injury('full', '/data/log/000001.log'));
    expect(atlas.verdictFor(1, of('ENOSPC'))).toMatchObject({ right: true, next: 'start again' });
    expect(atlas.mayStart(1)).toBe(true);
  });

  it('is a failure of the run where a table cannot be read that others hold', () => {
    const atlas = make();
    const path = '/data/tables/table-1';
    for (const kind of ['failed-read', 'bad-sector'] as const) atlas.book(1, injury(kind, path, 0, 512));
    expect(atlas.verdictFor(1, new DiskError('view', path, 'EIO', 'x')).right).toBe(false);
  });

  it('is the end of a node with a bad sector, or whose log was not synced', () => {
    for (const kind of ['bad-sector', 'failed-sync'] as const) {
      const atlas = make();
      atlas.book(2, injury(kind, '/data/log/000001.log', 0, 512));
      const verdict = atlas.onStopped(2, new DiskError('view', '/data/log/000001.log', 'EIO', 'x'));
      expect(verdict).toMatchObject({ right: true, next: 'down for good' });
      expect([atlas.mayStart(2), atlas.isDownForGood(2)]).toEqual([false, true]);
    }
  });

  it('never excuses an error that is not of the disk', () => {
    const atlas = make();
    atlas.book(1, injury('wiped', ''));
    expect(atlas.verdictFor(1, new TypeError('x')).right).toBe(false);
  });
});

describe('a machine that may have forgotten what it had made durable', () => {
  it('goes on while its process lives, and is never started again', () => {
    const atlas = make();
    atlas.book(1, injury('lost-write', '/data/log/000002.log', 100, 200));
    expect([atlas.mayStart(1), atlas.isDownForGood(1)]).toEqual([false, false]);
    atlas.onEnded(1);
    expect(atlas.isDownForGood(1)).toBe(true);
    atlas.onEnded(2);
    expect(atlas.isDownForGood(2)).toBe(false);
  });

  it('is one whose newest segment, votes or whole disk were hit; older segments attest each other', () => {
    for (const [kind, path, cost] of [
      ['rot', '/data/log/000002.log', 'amnesia'],
      ['rot', '/data/log/000001.log', 'damage'],
      ['overwritten', '/data/log/000002.log', 'amnesia'],
      ['lost-name', '/data/log/000003.log', 'amnesia'],
      ['lost-name', '/data/log/000001.log', 'damage'],
      ['bad-sector', '/data/log/000002.log', 'damage'],
      ['failed-sync', '/data/vote-a', 'amnesia'],
      ['failed-sync', '/data/log', 'amnesia'],
      ['failed-sync', '/data/tables/table-3', 'passing'],
      ['lost-write', '/data/tables/table-3', 'damage'],
      ['rot', '/data/vote-a', 'damage'],
      ['wiped', '', 'amnesia'],
      ['full', '/data/log/000002.log', 'passing'],
    ] as const) {
      expect([kind, path, costOf(injury(kind, path), SEGMENTS)]).toEqual([kind, path, cost]);
    }
  });

  it('counts the segments by their numbers, not by their names', () => {
    const files = ['/data/log/999999.log', '/data/log/1000000.log'];
    expect(costOf(injury('rot', files[0]), files)).toBe('damage');
    expect(costOf(injury('rot', files[1]), files)).toBe('amnesia');
  });
});
