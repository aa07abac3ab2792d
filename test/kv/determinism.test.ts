/** Replicas differ in when they flush, merge, crash and want results. Their stores must not. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StateMachine } from '../../src/kv/state_machine.ts';
import { decodeWrite, encodeWrite } from '../../src/kv/write_codec.ts';
import type { Store } from '../../src/lsm/store.ts';
import { runs } from '../long.ts';
import { Rig, TINY } from '../lsm/rig.ts';
import { type LogEntry, log } from './arbitrary_writes.ts';

function contents(store: Store): string[] {
  const rows: string[] = [];
  const iterator = store.iterator();
  while (iterator.next()) {
    rows.push(
      `${Buffer.from(iterator.key()).toString('latin1')} = ${Buffer.from(iterator.value()).toString('latin1')}`,
    );
  }
  iterator.close();
  return rows;
}

function apply(
  machine: StateMachine,
  index: number,
  entry: LogEntry,
  result: 'wanted' | 'not-wanted',
): string {
  return JSON.stringify(
    machine.apply(index, encodeWrite(entry.write, entry.timeMs), result),
    (_key, value) => (typeof value === 'bigint' ? value.toString() : (value as unknown)),
  );
}

describe('one log', () => {
  it('gives the same bytes and the same answers on stores that flush and merge at other times', () => {
    fc.assert(
      fc.property(log, fc.nat({ max: 5 }), (entries, pace) => {
        const small = new Rig('small');
        const large = new Rig('large');
        const smallStore = small.open(TINY);
        const largeStore = large.open({ ...TINY, memtableBytes: 1024 * 1024 });
        const a = new StateMachine(smallStore);
        const b = new StateMachine(largeStore);
        for (const [at, entry] of entries.entries()) {
          const wanted = apply(a, at + 1, entry, 'wanted');
          const other = at % 3 === 0 ? 'not-wanted' : 'wanted';
          const answer = apply(b, at + 1, entry, other);
          if (other === 'wanted') expect(answer).toBe(wanted);
          small.steps(pace);
        }
        expect(contents(smallStore)).toEqual(contents(largeStore));
        expect(a.nowMs).toBe(b.nowMs);
      }),
      { numRuns: runs(60) },
    );
  });

  it('gives the same bytes and the same answers when a replica crashes and replays what its tables lack', () => {
    fc.assert(
      fc.property(log, fc.array(fc.nat({ max: 44 }), { minLength: 1, maxLength: 4 }), (entries, crashes) => {
        const calm = new Rig('calm');
        const crashing = new Rig('crashing');
        const calmStore = calm.open({ ...TINY, memtableBytes: 1024 * 1024 });
        let store = crashing.open(TINY);
        const a = new StateMachine(calmStore);
        let b = new StateMachine(store);
        const answers: string[] = [];
        for (const [at, entry] of entries.entries()) {
          answers.push(apply(a, at + 1, entry, 'wanted'));
          if (crashes.includes(at)) {
            crashing.crash();
            store = crashing.open(TINY);
            b = new StateMachine(store);
          }
          for (let index = store.appliedIndex + 1; index <= at + 1; index++) {
            const again = entries[index - 1];
            if (again !== undefined) expect(apply(b, index, again, 'wanted')).toBe(answers[index - 1]);
            // Mostly what is being flushed gets done, sometimes the crash comes between.
            if (index % 7 === 0) crashing.settle();
            else crashing.steps(2);
          }
        }
        expect(contents(store)).toEqual(contents(calmStore));
        expect(b.nowMs).toBe(a.nowMs);
      }),
      { numRuns: runs(60) },
    );
  });

  it('comes out of its entries as it went in', () => {
    fc.assert(
      fc.property(log, (entries) => {
        for (const { write, timeMs } of entries) {
          expect(decodeWrite(encodeWrite(write, timeMs))).toEqual({ write, timeMs });
        }
      }),
    );
  });
});
