import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Trace } from '../../sim/trace.ts';
import { runs } from '../long.ts';

const event = fc.record({
  label: fc.constantFrom('send', 'deliver', 'sync'),
  a: fc.nat(3),
  b: fc.nat(3),
  bytes: fc.uint8Array({ maxLength: 3 }),
  us: fc.nat(3),
});

type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

function hashOf(events: readonly Event[]): string {
  const trace = new Trace();
  for (const { label, a, b, bytes, us } of events) {
    trace.setTime(us);
    trace.event(label, a, b, bytes);
  }
  return trace.hash();
}

describe('the trace', () => {
  it('has the same hash for the same events and another for any others', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 5 }), fc.array(event, { maxLength: 5 }), (left, right) => {
        expect(hashOf(left)).toMatch(/^[0-9a-f]{16}$/);
        expect(hashOf(left) === hashOf([...left])).toBe(true);
        expect(hashOf(left) === hashOf(right)).toBe(JSON.stringify(left) === JSON.stringify(right));
      }),
      { numRuns: runs(500) },
    );
  });

  it('tells small changes apart over many events', () => {
    const seen = new Set<string>();
    for (let n = 0; n < 20_000; n++) {
      const trace = new Trace();
      trace.event('a', n % 100, Math.floor(n / 100));
      trace.event('b', 7);
      seen.add(trace.hash());
    }
    expect(seen.size).toBe(20_000);
  });

  it('prints a line an event for whoever listens, which does not change the hash', () => {
    const lines: string[] = [];
    const silent = new Trace();
    const loud = new Trace();
    loud.onLine = (line) => lines.push(line);
    for (const trace of [silent, loud]) {
      trace.setTime(1500);
      trace.event('deliver a>b', 3, 2, Uint8Array.of(1, 2));
      trace.named('create', '/data/1', 4);
    }
    expect(lines).toEqual(['1.500 deliver a>b 3 2 b6cc4292', '1.500 create /data/1 4 0']);
    expect(loud.hash()).toBe(silent.hash());
    expect(loud.count).toBe(2);
  });
});
