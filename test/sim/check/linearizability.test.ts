import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Operation } from '../../../sim/check/history.ts';
import { checkLinearizability, formatOperations } from '../../../sim/check/linearizability.ts';
import { runs } from '../../long.ts';

/** `[client, kind, argument or result, invoked, returned]`; `null` as the time of return: unknown. */
type Row = readonly [number, Operation['kind'], string | null, number, number | null];

function history(rows: readonly Row[]): Operation[] {
  return rows.map(([client, kind, text, invokedAt, returnedAt], id) => ({
    id,
    client,
    key: 'k',
    kind,
    argument: kind === 'set' ? text : null,
    result: kind === 'get' || kind === 'exists' ? text : null,
    invokedAt,
    returnedAt,
  }));
}

const accepted: Readonly<Record<string, readonly Row[]>> = {
  'nothing at all': [],
  'a read of what was written': [
    [1, 'set', 'a', 0, 1],
    [2, 'get', 'a', 2, 3],
  ],
  'a read during a write sees either': [
    [1, 'set', 'a', 0, 10],
    [2, 'get', null, 1, 2],
    [3, 'get', 'a', 3, 4],
  ],
  'an unknown write that is seen much later': [
    [1, 'set', 'a', 0, null],
    [2, 'get', null, 5, 6],
    [2, 'get', 'a', 100, 101],
  ],
  'an unknown write that is never seen': [
    [1, 'set', 'a', 0, null],
    [2, 'get', null, 5, 6],
  ],
  'an unknown delete that explains a missing key, once': [
    [1, 'set', 'a', 0, 1],
    [1, 'delete', null, 2, null],
    [2, 'get', 'a', 3, 4],
    [2, 'get', null, 5, 6],
    [2, 'exists', '0', 7, 8],
  ],
  'an exists that only an unknown write explains': [
    [1, 'set', 'a', 0, null],
    [2, 'exists', '1', 3, 4],
  ],
  'operations that touch in time, which count as concurrent': [
    [1, 'set', 'a', 0, 5],
    [2, 'get', null, 5, 6],
  ],
};

const rejected: Readonly<Record<string, readonly Row[]>> = {
  'a stale read': [
    [1, 'set', 'a', 0, 1],
    [1, 'set', 'b', 2, 3],
    [2, 'get', 'a', 4, 5],
  ],
  'a lost write': [
    [1, 'set', 'a', 0, 1],
    [2, 'get', null, 2, 3],
  ],
  'a value from nowhere': [[1, 'get', 'a', 0, 1]],
  'a read that goes back in time': [
    [1, 'set', 'a', 0, 10],
    [2, 'get', 'a', 1, 2],
    [3, 'get', null, 3, 4],
  ],
  'an unknown write that is seen and then unseen': [
    [1, 'set', 'a', 0, null],
    [2, 'get', 'a', 5, 6],
    [2, 'get', null, 7, 8],
  ],
  'a write seen before it was asked for': [
    [2, 'get', 'a', 0, 1],
    [1, 'set', 'a', 2, null],
  ],
  'one unknown delete used twice': [
    [1, 'set', 'a', 0, 1],
    [1, 'delete', null, 2, null],
    [2, 'get', null, 3, 4],
    [1, 'set', 'b', 5, 6],
    [2, 'get', null, 7, 8],
  ],
};

describe('linearizability', () => {
  for (const [name, rows] of Object.entries(accepted)) {
    it(`accepts ${name}`, () => expect(checkLinearizability(history(rows)).ok).toBe(true));
  }
  for (const [name, rows] of Object.entries(rejected)) {
    it(`rejects ${name}`, () => expect(checkLinearizability(history(rows)).ok).toBe(false));
  }

  it('agrees with trying every order, on any small history', () => {
    const row = fc.tuple(
      fc.integer({ min: 1, max: 3 }),
      fc.constantFrom('set' as const, 'get' as const, 'delete' as const, 'exists' as const),
      fc.constantFrom('a', 'b', null),
      fc.nat(12),
      fc.option(fc.nat(8), { freq: 4 }),
    );
    let refuted = 0;
    let confirmed = 0;
    fc.assert(
      fc.property(fc.array(row, { maxLength: 6 }), (rows) => {
        const operations = history(
          rows.map(([client, kind, text, invokedAt, takes]) => {
            const value =
              kind === 'set' ? (text ?? 'c') : kind === 'exists' ? (text === null ? '0' : '1') : text;
            return [client, kind, value, invokedAt, takes === null ? null : invokedAt + takes];
          }),
        );
        const expected = someOrderExplains(operations, null, new Set());
        if (expected) confirmed++;
        else refuted++;
        expect(checkLinearizability(operations).ok).toBe(expected);
      }),
      { numRuns: runs(3000) },
    );
    // The property says something about both answers.
    expect(Math.min(refuted, confirmed)).toBeGreaterThan(300);
  });

  it('accepts whatever an atomic register with delays produces, and notices one changed answer', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { minLength: 60, maxLength: 200 }), (draws) => {
        const { operations, values } = atomicRun(draws);
        expect(checkLinearizability(operations).ok).toBe(true);
        const reads = operations.filter(({ kind, returnedAt }) => kind === 'get' && returnedAt !== null);
        const victim = reads[reads.length - 1];
        if (victim === undefined) return;
        // Overwritten, and its overwriting acknowledged, before the read was asked for.
        const dead = values.find(
          ({ overwrittenBy }) => overwrittenBy !== null && overwrittenBy < victim.invokedAt,
        );
        if (dead === undefined) return;
        victim.result = dead.value;
        expect(checkLinearizability(operations).ok).toBe(false);
      }),
      { numRuns: runs(60) },
    );
  });

  it('shows the smallest beginning that contradicts itself', () => {
    const rows: Row[] = [
      [1, 'set', 'a', 0, 1],
      [1, 'set', 'b', 2, 3],
      [2, 'get', 'a', 4, 5],
      [1, 'set', 'c', 6, 7],
      [2, 'get', 'c', 8, 9],
    ];
    const verdict = checkLinearizability(history(rows));
    if (verdict.ok !== false) throw new Error('it is not linearizable');
    expect(verdict.operations.map(({ id }) => id)).toEqual([0, 1, 2]);
    expect(formatOperations(verdict.operations)).toMatchInlineSnapshot(`
      "invoked  returned  client    operation  answer
      0        1         client 1  set a
      2        3         client 1  set b
      4        5         client 2  get        -> a"
    `);
  });

  it('says so when it gives up', () => {
    const rows = accepted['a read during a write sees either'] ?? [];
    expect(checkLinearizability(history(rows), { statesMax: 0 }).ok).toBeNull();
  });

  it('checks 10,000 operations of 8 clients on 20 keys quickly, unknown outcomes among them', () => {
    const operations: Operation[] = [];
    for (let key = 0; key < 20; key++) {
      const draws = Array.from({ length: 500 }, (_none, n) => (n * 7919 + key * 104_729) % 1000);
      for (const one of atomicRun(draws).operations) operations.push({ ...one, key: `k${key}` });
    }
    const startedAt = performance.now();
    expect(checkLinearizability(operations).ok).toBe(true);
    expect(performance.now() - startedAt).toBeLessThan(2000);
  });
});

/** Tries every order and every subset of the unknown writes. */
function someOrderExplains(
  operations: readonly Operation[],
  value: string | null,
  done: Set<number>,
): boolean {
  const open = operations.filter(({ id }) => !done.has(id));
  if (open.every(({ returnedAt }) => returnedAt === null)) return true;
  const deadline = Math.min(...open.map(({ returnedAt }) => returnedAt ?? Number.POSITIVE_INFINITY));
  for (const { id, client, kind, argument, result, invokedAt, returnedAt } of open) {
    if (invokedAt > deadline) continue;
    if (returnedAt === null && (kind === 'get' || kind === 'exists')) continue;
    const isBehind = (other: Operation): boolean =>
      other.client === client &&
      other.returnedAt !== null &&
      (other.invokedAt < invokedAt || (other.invokedAt === invokedAt && other.id < id));
    // A client's operations take effect in its order.
    if (returnedAt !== null && open.some(isBehind)) continue;
    if (kind === 'get' && result !== value) continue;
    if (kind === 'exists' && result !== (value === null ? '0' : '1')) continue;
    const after = kind === 'set' ? argument : kind === 'delete' ? null : value;
    if (someOrderExplains(operations, after, new Set([...done, id]))) return true;
  }
  return false;
}

/** Eight clients on one register: each operation takes effect at a moment between its invocation and its return. */
function atomicRun(draws: readonly number[]): { operations: Operation[]; values: Written[] } {
  const operations: Operation[] = [];
  const freeAt = Array.from({ length: 8 }, () => 0);
  const effects: { at: number; operation: Operation }[] = [];
  for (const [id, draw] of draws.entries()) {
    const client = id % 8;
    const invokedAt = (freeAt[client] ?? 0) + (draw % 13);
    const at = invokedAt + (draw % 17);
    const returnedAt = at + (draw % 11);
    const kind = draw % 3 === 0 ? 'set' : draw % 20 === 1 ? 'delete' : 'get';
    const argument = kind === 'set' ? `v${id}` : null;
    const isUnknown = draw % 19 === 0;
    freeAt[client] = returnedAt + 1;
    const operation: Operation = {
      id,
      client,
      key: 'k',
      kind,
      argument,
      invokedAt,
      returnedAt: isUnknown ? null : returnedAt,
      result: null,
    };
    operations.push(operation);
    if (!isUnknown || draw % 2 === 0) effects.push({ at, operation });
  }
  effects.sort((a, b) => a.at - b.at);
  const values: Written[] = [];
  let value: string | null = null;
  for (const { operation } of effects) {
    if (operation.kind === 'get') operation.result = value;
    else {
      const last = values[values.length - 1];
      // Only where the two did not overlap: else their order could have been the other.
      if (last !== undefined && operation.returnedAt !== null && operation.invokedAt > last.settledAt) {
        last.overwrittenBy ??= operation.returnedAt;
      }
      value = operation.argument;
      const settledAt = operation.returnedAt ?? Number.POSITIVE_INFINITY;
      if (value !== null) values.push({ value, settledAt, overwrittenBy: null });
    }
  }
  return { operations, values };
}

interface Written {
  readonly value: string;
  readonly settledAt: number;
  /** When a later write that certainly came behind it had returned. */
  overwrittenBy: number | null;
}
