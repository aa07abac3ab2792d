/** What the clients of a long run saw is checked while it goes on, and forgotten. */
import { describe, expect, it } from 'vitest';
import { History } from '../../sim/check/history.ts';
import { HistoryWatch } from '../../sim/history_watch.ts';
import { Invariants } from '../../sim/invariants.ts';
import { World } from '../../sim/world.ts';

const { workload } = new World('3', null, null).options;
const US_PER_S = 1_000_000;

interface Held {
  readonly operations: number;
  readonly heldMax: number;
  /** Objects that the history holds at most, looked at often. */
  readonly objectsMax: number;
}

function run(seed: string, stormMs: number): Held {
  const world = new World(seed, null, null);
  let objectsMax = 0;
  const { afterEach } = world.scheduler;
  let events = 0;
  world.scheduler.afterEach = () => {
    afterEach?.();
    if (++events % 1000 === 0) objectsMax = Math.max(objectsMax, world.history.operations().length);
  };
  const result = world.run(stormMs, 'none');
  expect(result.failure).toBeNull();
  return { operations: result.operations, heldMax: result.operationsHeldMax, objectsMax };
}

describe('the history of a long run', () => {
  it('takes no more memory after three minutes than after one', () => {
    const short = run('3', 61_000);
    const long = run('3', 200_000);
    expect(long.operations).toBeGreaterThan(2 * short.operations);
    expect(long.operations).toBeGreaterThan(2000);
    for (const of of ['heldMax', 'objectsMax'] as const) {
      expect(long[of]).toBeLessThan(long.operations / 10);
      expect(long[of]).toBeLessThan(400);
    }
  }, 120_000);

  it('is kept in a short one, for reports', () => {
    const { operations, heldMax, objectsMax } = run('3', 20_000);
    expect(objectsMax).toBeGreaterThan(heldMax);
    expect(objectsMax).toBeGreaterThan(0.9 * operations);
  });
});

describe('the watch', () => {
  function watched(): { readonly history: History; readonly watch: HistoryWatch } {
    const history = new History();
    history.isKept = false;
    return { history, watch: new HistoryWatch({ history, invariants: new Invariants(1), workload }) };
  }

  function fill(history: History, from: number, count: number): void {
    for (let at = from; at < from + count; at++) {
      const value = `v${at}`;
      history.ok(history.invoke(1, '0/k', 'set', value, 10 * at), null, 10 * at + 1);
      history.ok(history.invoke(2, '0/k', 'get', null, 10 * at + 2), value, 10 * at + 3);
    }
  }

  it('finds a read of the past after its write was forgotten', () => {
    const { history, watch } = watched();
    fill(history, 1, 100);
    expect(watch.look(US_PER_S)).toBeNull();
    expect(history.operations().length).toBeLessThan(60);
    history.ok(history.invoke(3, '0/k', 'get', null, US_PER_S + 1), 'v7', US_PER_S + 2);
    expect(watch.finish(2 * US_PER_S, () => null).type).toBe('not linearizable');
  });

  it('holds what is seen of a write that was never answered against what became of it', () => {
    for (const [fate, seen, verdict] of [
      [null, 'lost', 'linearizable'],
      [null, 'v100', 'linearizable'],
      ['never', 'lost', 'not linearizable'],
      ['never', 'v100', 'linearizable'],
      [US_PER_S + 5, 'lost', 'linearizable'],
      [US_PER_S + 5, 'v100', 'not linearizable'],
    ] as const) {
      const { history, watch } = watched();
      fill(history, 1, 100);
      history.unknown(history.invoke(3, '0/k', 'set', 'lost', 2000));
      watch.look(US_PER_S);
      history.ok(history.invoke(2, '0/k', 'get', null, US_PER_S + 10), seen, US_PER_S + 11);
      expect([fate, seen, watch.finish(2 * US_PER_S, () => fate).type]).toEqual([fate, seen, verdict]);
    }
  });

  it('forgets what was given up long ago, in whatever state it may be', () => {
    const { history, watch } = watched();
    fill(history, 1, 100);
    for (let lost = 0; lost < 50; lost++) {
      history.unknown(history.invoke(3, '0/k', 'set', `lost${lost}`, 2000 + lost));
      history.unknown(history.invoke(3, '0/k', 'delete', null, 2000 + lost));
    }
    const before = watch.size;
    for (let second = 1; second < 60; second++) {
      fill(history, second * 100_000, 30);
      expect(watch.look(second * US_PER_S + US_PER_S / 2)).toBeNull();
    }
    expect(before).toBeGreaterThan(100);
    expect(watch.size).toBeLessThan(60);
    expect(watch.finish(60 * US_PER_S, () => 'never').type).toBe('linearizable');
  });

  it('says so when a value is told after its time', () => {
    const { history, watch } = watched();
    const expiry = { earliestAt: 100, latestAfter: 1000 };
    history.ok(history.invoke(1, '0/k', 'set', 'short', 0, { expiry }), null, 10);
    history.ok(history.invoke(1, '0/k', 'get', null, 900), 'short', 910);
    expect(watch.overdue).toBeNull();
    history.ok(history.invoke(1, '0/k', 'get', null, 1011), 'short', 1020);
    expect(watch.overdue?.[0].argument).toBe('short');
  });
});
