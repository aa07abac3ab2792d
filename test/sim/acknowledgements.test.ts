import { describe, expect, it } from 'vitest';
import { AcknowledgedWrites, refusedButCommitted } from '../../sim/acknowledgements.ts';
import { History, type Operation } from '../../sim/check/history.ts';

function set(value: string): Operation {
  return new History().invoke(1, '0/k', 'set', value, 0);
}

/** Values by the entry that holds them. */
function committed(entries: Record<string, number>) {
  return (bucket: string, key: string, value: string): number | null =>
    bucket === 'default' && key === 'k' ? (entries[value] ?? null) : null;
}

describe('acknowledged writes', () => {
  it('are committed by then', () => {
    const writes = new AcknowledgedWrites(committed({ a: 3 }));
    expect(writes.add(set('a'))).toBeNull();
    expect(writes.add(set('b'))).toContain('was acknowledged and is not committed');
  });

  it('of one connection stand in the log in the order in which they were asked', () => {
    const writes = new AcknowledgedWrites(committed({ a: 3, b: 2, c: 3 }));
    expect(writes.add(set('a'))).toBeNull();
    expect(writes.add(set('b'))).toContain('is entry 2, and what its client asked before is entry 3');
    expect(writes.add(set('c'))).toBeNull();
  });

  it('say nothing of operations that are not known by a value', () => {
    const history = new History();
    const writes = new AcknowledgedWrites(committed({}));
    expect(writes.add(history.invoke(1, '0/k', 'get', null, 0))).toBeNull();
    expect(writes.add(history.invoke(1, '0/n', 'increment', '5', 0))).toBeNull();
  });
});

describe('refused writes', () => {
  it('are never committed', () => {
    expect(refusedButCommitted([set('a')], committed({ b: 1 }))).toBeNull();
    expect(refusedButCommitted([set('b'), set('a')], committed({ a: 1 }))).toBe(
      'set 0/k was refused, and is entry 1',
    );
  });
});
