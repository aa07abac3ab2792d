/** One log gives one digest on every replica; whatever a replica does otherwise gives another one, or none. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import { DEFAULT_JOURNAL_LIMITS } from '../../src/kv/journal.ts';
import { DIGEST_WINDOWS_MAX, StateDigest } from '../../src/kv/state_digest.ts';
import { StateMachine } from '../../src/kv/state_machine.ts';
import { encodeWrite } from '../../src/kv/write_codec.ts';
import type { Store } from '../../src/lsm/store.ts';
import { runs } from '../long.ts';
import { Rig, TINY } from '../lsm/rig.ts';
import { type LogEntry, log } from './arbitrary_writes.ts';

function machineOn(store: Store, windowEntries: number): { machine: StateMachine; digest: StateDigest } {
  const digest = new StateDigest(windowEntries);
  return { machine: new StateMachine(store, DEFAULT_JOURNAL_LIMITS, 'throw', digest), digest };
}

function apply(
  machine: StateMachine,
  entries: readonly LogEntry[],
  index: number,
  result: 'wanted' | 'not-wanted',
): void {
  const entry = entries[index - 1];
  if (entry !== undefined) machine.apply(index, encodeWrite(entry.write, entry.timeMs), result);
}

/** The digests of windows of three entries, each of which writes one key. */
function digestOf(write: (digest: StateDigest, index: number) => void): readonly number[] {
  const digest = new StateDigest(3);
  for (let index = 1; index <= 6; index++) {
    digest.beginEntry(index);
    write(digest, index);
  }
  digest.settle();
  expect(digest.windows.map((window) => window.index)).toEqual([3, 6]);
  return digest.windows.map((window) => window.digest);
}

const KEY = utf8('key');
const VALUE = utf8('value');
const USUAL = digestOf((digest) => digest.put(KEY, VALUE));

/** What another replica does at entry 2. */
const OTHERWISE: readonly (readonly [string, (digest: StateDigest) => void])[] = [
  ['writes nothing', () => {}],
  ['writes another value', (digest) => digest.put(KEY, utf8('valuf'))],
  ['writes another key', (digest) => digest.put(utf8('kez'), VALUE)],
  ['deletes the key', (digest) => digest.delete(KEY)],
  ['takes a byte of the value for one of the key', (digest) => digest.put(utf8('keyv'), utf8('alue'))],
  ['deletes a range of the same bytes', (digest) => digest.deleteRange(KEY, VALUE)],
  [
    'writes twice',
    (digest) => {
      digest.put(KEY, VALUE);
      digest.put(KEY, VALUE);
    },
  ],
];

describe('digests of what is applied', () => {
  it('are the same on stores that flush and merge at other times, and where no answer is wanted', () => {
    let compared = 0;
    fc.assert(
      fc.property(log, fc.nat({ max: 5 }), fc.integer({ min: 1, max: 5 }), (entries, pace, windowEntries) => {
        const small = new Rig('small');
        const a = machineOn(small.open(TINY), windowEntries);
        const b = machineOn(new Rig('large').open({ ...TINY, memtableBytes: 1024 * 1024 }), windowEntries);
        for (let index = 1; index <= entries.length; index++) {
          apply(a.machine, entries, index, 'wanted');
          apply(b.machine, entries, index, index % 3 === 0 ? 'not-wanted' : 'wanted');
          small.steps(pace);
        }
        a.digest.settle();
        b.digest.settle();
        const whole = Math.floor(entries.length / windowEntries);
        expect(a.digest.windows).toHaveLength(Math.min(whole, DIGEST_WINDOWS_MAX));
        expect(a.digest.windows).toEqual(b.digest.windows);
        compared += whole;
      }),
      { numRuns: runs(60) },
    );
    expect(compared).toBeGreaterThan(100);
  });

  it('are the same where a replica crashes and replays, of the windows that it replays whole', () => {
    let compared = 0;
    fc.assert(
      fc.property(
        log,
        fc.nat({ max: 44 }),
        fc.integer({ min: 1, max: 5 }),
        (entries, crash, windowEntries) => {
          const crashing = new Rig('crashing');
          const a = machineOn(new Rig('calm').open({ ...TINY, memtableBytes: 1024 * 1024 }), windowEntries);
          let store = crashing.open(TINY);
          let b = machineOn(store, windowEntries);
          let base = 0;
          for (let index = 1; index <= entries.length; index++) {
            apply(a.machine, entries, index, 'wanted');
            if (index === crash + 1) {
              crashing.crash();
              store = crashing.open(TINY);
              b = machineOn(store, windowEntries);
              base = store.appliedIndex;
            }
            for (let again = store.appliedIndex + 1; again <= index; again++) {
              apply(b.machine, entries, again, 'wanted');
              crashing.steps(2);
            }
          }
          a.digest.settle();
          b.digest.settle();
          for (const window of b.digest.windows) {
            expect(window.index - windowEntries).toBeGreaterThanOrEqual(base);
            expect(a.digest.windows).toContainEqual(window);
            compared++;
          }
        },
      ),
      { numRuns: runs(60) },
    );
    expect(compared).toBeGreaterThan(50);
  });

  it.each(OTHERWISE)('differ where a replica %s', (_what, otherwise) => {
    const [first, second] = digestOf((digest, index) => {
      if (index === 2) otherwise(digest);
      else digest.put(KEY, VALUE);
    });
    expect(first).not.toBe(USUAL[0]);
    // Each window is one of its own.
    expect(second).toBe(USUAL[1]);
  });

  it('differ where two writes change places, or belong to another entry', () => {
    const twice = digestOf((digest, index) => {
      if (index !== 2) return;
      digest.put(KEY, VALUE);
      digest.delete(KEY);
    });
    const swapped = digestOf((digest, index) => {
      if (index !== 2) return;
      digest.delete(KEY);
      digest.put(KEY, VALUE);
    });
    const later = digestOf((digest, index) => {
      if (index === 2) digest.put(KEY, VALUE);
      if (index === 3) digest.delete(KEY);
    });
    expect(new Set([twice[0], swapped[0], later[0]]).size).toBe(3);
  });

  it('are kept of the latest windows only', () => {
    const digest = new StateDigest(1);
    for (let index = 1; index <= 200; index++) digest.beginEntry(index);
    digest.settle();
    const ends = digest.windows.map((window) => window.index);
    expect(ends).toEqual(
      Array.from({ length: DIGEST_WINDOWS_MAX }, (_none, at) => 201 - DIGEST_WINDOWS_MAX + at),
    );
  });
});

/** Applies entries of one key each and returns where windows of three of them ended. */
function endsAfter(steps: (digest: StateDigest) => void): readonly number[] {
  const digest = new StateDigest(3);
  steps(digest);
  digest.settle();
  return digest.windows.map((window) => window.index);
}

function enter(digest: StateDigest, from: number, to: number): void {
  for (let index = from; index <= to; index++) {
    digest.beginEntry(index);
    digest.put(KEY, VALUE);
  }
}

describe('a window that was not applied whole has no digest', () => {
  it('where a process begins in its middle', () => {
    expect(endsAfter((digest) => enter(digest, 2, 7))).toEqual([6]);
    expect(endsAfter((digest) => enter(digest, 4, 7))).toEqual([6]);
  });

  it('where a snapshot skips entries', () => {
    const ends = endsAfter((digest) => {
      enter(digest, 1, 4);
      enter(digest, 6, 9);
    });
    expect(ends).toEqual([3, 9]);
  });

  it('where the state is replaced without going on, and those before it are forgotten', () => {
    const ends = endsAfter((digest) => {
      enter(digest, 1, 4);
      digest.clear();
      enter(digest, 5, 9);
    });
    expect(ends).toEqual([9]);
  });

  it('where an entry was taken back and applied again', () => {
    const ends = endsAfter((digest) => {
      enter(digest, 1, 5);
      digest.abandonEntry();
      enter(digest, 5, 9);
    });
    expect(ends).toEqual([3, 9]);
  });

  it('but the one that an entry taken back has begun is begun anew with it', () => {
    const digest = new StateDigest(3);
    enter(digest, 1, 4);
    digest.put(KEY, utf8('half of it'));
    digest.abandonEntry();
    enter(digest, 4, 6);
    digest.settle();
    expect(digest.windows.map((window) => window.digest)).toEqual(USUAL);
  });

  it('where nobody was there to compare with', () => {
    const ends = endsAfter((digest) => {
      digest.setActive(false);
      enter(digest, 1, 4);
      digest.setActive(true);
      enter(digest, 5, 9);
    });
    expect(ends).toEqual([9]);
  });
});
