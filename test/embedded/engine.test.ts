import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { setRareProbe } from '../../src/base/rare.ts';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { Engine } from '../../src/embedded/engine.ts';
import type { Clock } from '../../src/io/clock.ts';
import { storeKey } from '../../src/kv/key_space.ts';
import type { Write } from '../../src/kv/request.ts';
import { runs } from '../long.ts';
import { EngineRig } from './rig.ts';

const KEYS = ['a', 'b', 'c', 'd'];
const TUNING = {
  segmentBytes: 4096,
  store: { memtableBytes: 512, blockBytes: 128, tableBytes: 1024, levelBytes: 2048, mergeAtTables: 2 },
};

function read(engine: Engine, key: string): string | null {
  const found = engine.find(storeKey('b', utf8(key)), null);
  return found === null ? null : fromUtf8(found.value);
}

function set(key: string, text: string): Write {
  return { type: 'set', bucket: 'b', key: utf8(key), value: utf8(text) };
}

function setUntil(key: string, text: string, atMs: number): Write {
  return {
    type: 'set-if',
    bucket: 'b',
    key: utf8(key),
    value: utf8(text),
    condition: { type: 'always' },
    expiry: { type: 'at', ms: atMs },
    answer: 'status',
  };
}

/** A value, and when it expires. */
interface Kept {
  readonly text: string;
  readonly atMs: number;
}

/** What is there of a state at a time. */
function liveAt(state: ReadonlyMap<string, Kept>, timeMs: number): Map<string, string> {
  return new Map([...state].flatMap(([name, { text, atMs }]) => (atMs > timeMs ? [[name, text]] : [])));
}

type Step =
  | {
      readonly type: 'set';
      readonly key: string;
      readonly pad: number;
      /** Null: it stays; else it expires so many milliseconds after the trial's beginning. */
      readonly expiresMs: number | null;
      readonly durability: 'sync' | 'buffered';
    }
  | { readonly type: 'delete'; readonly key: string; readonly durability: 'sync' | 'buffered' }
  | { readonly type: 'pass'; readonly us: number }
  | { readonly type: 'flush' }
  | { readonly type: 'compact' }
  /** Of the merge that was asked for last. */
  | { readonly type: 'give-up' }
  | { readonly type: 'crash' };

const key = fc.constantFrom(...KEYS);
const durability = fc.constantFrom('sync' as const, 'buffered' as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('set' as const),
      key,
      pad: fc.nat(200),
      expiresMs: fc.option(fc.nat(100), { freq: 2 }),
      durability,
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), key, durability }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('pass' as const), us: fc.nat(8000) }) },
  { weight: 1, arbitrary: fc.constant({ type: 'flush' as const }) },
  { weight: 1, arbitrary: fc.constantFrom({ type: 'compact' as const }, { type: 'give-up' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'crash' as const }) },
);

describe('the embedded engine', () => {
  it('loses nothing that it has acknowledged, and recovers a beginning of what was written, whatever crashes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer(), (steps, seed) => {
        const rig = new EngineRig(`${seed}`, TUNING);
        let engine = rig.mustOpen();
        /** What each write has left, oldest first; the first is the state of the last start. */
        let states: Map<string, Kept>[] = [new Map()];
        const startMs = engine.timeMs;
        /** How many of them are known to last. */
        let durable = 1;
        let words = 0;
        let giveUp: (error: Error) => void = () => {};
        /** What a flush or a merge says when it has ended well: all that was called before it lasts. */
        const lastsWhenDone = (): ((error: Error | null) => void) => {
          const [lives, called] = [states, states.length];
          return (error) => {
            if (error === null && states === lives) durable = Math.max(durable, called);
          };
        };
        for (const one of [...steps, { type: 'crash' } as const]) {
          if (one.type === 'pass') rig.pass(one.us);
          else if (one.type === 'flush') rig.process.run(() => engine.flush(lastsWhenDone()));
          else if (one.type === 'compact') {
            let isOver = false;
            const lasts = lastsWhenDone();
            rig.process.run(() => {
              giveUp = engine.compact((error) => {
                expect(isOver).toBe(false);
                isOver = true;
                lasts(error);
              });
            });
          } else if (one.type === 'give-up') rig.process.run(() => giveUp(new Error('enough')));
          else if (one.type === 'crash') {
            rig.crash();
            giveUp = () => {};
            engine = rig.mustOpen();
            const found = new Map(
              KEYS.flatMap((name) => {
                const value = read(engine, name);
                return value === null ? [] : [[name, value] as const];
              }),
            );
            const { timeMs } = engine;
            const possible = states.slice(durable - 1);
            const seen = JSON.stringify([...found].sort());
            const survived = possible.find(
              (state) => JSON.stringify([...liveAt(state, timeMs)].sort()) === seen,
            );
            expect(possible.map((state) => JSON.stringify([...liveAt(state, timeMs)].sort()))).toContain(
              seen,
            );
            states = [survived ?? new Map()];
            durable = 1;
          } else {
            const next = new Map(states.at(-1));
            const text = `${++words}`.padEnd(one.type === 'set' ? one.pad : 0, '.');
            const until = one.type === 'set' ? one.expiresMs : null;
            const atMs = until === null ? Number.POSITIVE_INFINITY : startMs + until;
            const write: Write =
              one.type === 'delete'
                ? { type: 'delete', bucket: 'b', keys: [utf8(one.key)] }
                : until === null
                  ? set(one.key, text)
                  : setUntil(one.key, text, atMs);
            const lives = states;
            rig.process.run(() =>
              engine.write(write, one.durability, (outcome) => {
                if (!outcome.ok) throw outcome.error;
                if (one.durability === 'sync' && states === lives) durable = Math.max(durable, place + 1);
              }),
            );
            if (one.type === 'set') next.set(one.key, { text, atMs });
            else next.delete(one.key);
            const place = states.push(next) - 1;
            // Writes that wait for room in memory are not there yet, nor are those behind them.
            if (engine.statistics().waitingWrites === 0) {
              const live = liveAt(next, engine.timeMs);
              for (const name of KEYS) expect(read(engine, name)).toBe(live.get(name) ?? null);
            }
          }
        }
      }),
      { numRuns: runs(60) },
    );
  });

  it('drops what has expired, and the index of it, when tables are merged', () => {
    const rig = new EngineRig('expired', { ...TUNING, store: { ...TUNING.store, mergeAtTables: 100 } });
    const engine = rig.mustOpen();
    const write = (one: Write): void => rig.process.run(() => engine.write(one, 'buffered', () => {}));
    const startMs = engine.timeMs;
    for (let n = 0; n < 40; n++) {
      write(setUntil(`k${n}`, 'gone soon', startMs + 100 + n));
      rig.pass(1000);
    }
    write(setUntil('later', 'stays', startMs + 60_000));
    write(set('b', 'stays'));
    rig.pass(1_000_000);
    // Nothing is written in between: the time of the merge itself counts.
    let outcome: Error | null | undefined;
    rig.process.run(() => {
      engine.compact((error) => {
        outcome = error;
      });
    });
    rig.pass(2_000_000);
    expect(outcome).toBeNull();
    // Two keys, the entry of one in the index of expiries, and the time.
    expect(engine.store.statistics()).toMatchObject({ entries: 4, tombstones: 0 });
    expect(read(engine, 'later')).toBe('stays');
    expect(read(engine, 'b')).toBe('stays');
    expect(read(engine, 'k3')).toBe(null);
    rig.crash();
    const again = rig.mustOpen();
    expect(read(again, 'later')).toBe('stays');
    expect(read(again, 'k3')).toBe(null);
  });

  it.each(['flush', 'compact'] as const)('has made all durable that was called before a %s', (call) => {
    const rig = new EngineRig(call);
    const engine = rig.mustOpen();
    const keys = Array.from({ length: 30 }, (_none, n) => `k${n}`);
    let isDone = false;
    rig.process.run(() => {
      // More than one turn of the event loop carries out.
      for (const name of keys) engine.write(set(name, 'x'.repeat(1000)), 'buffered', () => {});
      engine[call]((error) => {
        expect(error).toBeNull();
        isDone = true;
      });
    });
    const endUs = rig.scheduler.nowUs + 60_000_000;
    while (!isDone && rig.scheduler.stepUntil(endUs)) {
      // At once when it is told.
    }
    rig.crash();
    const again = rig.mustOpen();
    expect(isDone).toBe(true);
    expect(keys.filter((name) => read(again, name) === null)).toEqual([]);
  });

  it('makes a buffered write durable within the time that was said', () => {
    const rig = new EngineRig('buffered', { ...TUNING, bufferedMs: 50 });
    const engine = rig.mustOpen();
    let told = false;
    rig.process.run(() =>
      engine.write(set('a', '1'), 'buffered', () => {
        told = true;
      }),
    );
    expect(told).toBe(true);
    rig.pass(60_000);
    rig.crash();
    expect(read(rig.mustOpen(), 'a')).toBe('1');
  });

  it('accepts no write after a failed sync, says why, and goes on reading', () => {
    const rig = new EngineRig('poisoned', TUNING);
    const engine = rig.mustOpen();
    rig.disk.failSync({ kind: 'log', after: 1, seen: 'at-crash' });
    const told: string[] = [];
    const write = (text: string): void =>
      rig.process.run(() =>
        engine.write(set('a', text), 'sync', (outcome) =>
          told.push(outcome.ok ? 'ok' : outcome.error.message),
        ),
      );
    write('1');
    rig.pass(20_000);
    write('2');
    expect(told).toHaveLength(2);
    expect(told[0]).toContain('EIO');
    expect(told[1]).toContain('accepts no writes until it is opened again');
    expect(engine.failure?.message).toContain('EIO');
    expect(read(engine, 'a')).toBe('1');
  });

  describe('between a failed write of its log and the news of it', () => {
    /** Tasks for later wait until they are let go, as while Node goes through what its turn has brought. */
    function failing(): {
      rig: EngineRig;
      engine: Engine;
      told: string[];
      letGo: () => void;
      fail: () => void;
    } {
      const tuning: { clock?: Clock } = {};
      const rig = new EngineRig('window', tuning);
      let held: (() => void)[] | null = null;
      const { clock } = rig;
      tuning.clock = {
        monotonicMs: () => clock.monotonicMs(),
        wallMs: () => clock.wallMs(),
        after: (ms, task) => clock.after(ms, task),
        later: (task) => (held === null ? clock.later(task) : void held.push(task)),
      };
      const engine = rig.mustOpen();
      rig.pass(50_000);
      const told: string[] = [];
      const letGo = (): void => {
        const tasks = held ?? [];
        held = [];
        rig.process.run(() => {
          for (const task of tasks) task();
        });
      };
      /** A sync ends, and the batch that was gathered meanwhile cannot be written. */
      const fail = (): void => {
        rig.disk.failWrite({ kind: 'log', after: 1 });
        rig.pass(10_000);
      };
      held = [];
      return { rig, engine, told, letGo, fail };
    }

    function write(
      { rig, engine, told }: ReturnType<typeof failing>,
      name: string,
      how: 'sync' | 'buffered',
    ): void {
      rig.process.run(() =>
        engine.write(set(name, name), how, (outcome) => {
          told.push(`${name}: ${outcome.ok ? 'ok' : outcome.error.message.replace(/.*(EIO).*/, '$1')}`);
        }),
      );
    }

    it('goes on to the answer of every write, and throws at nobody', () => {
      const at = failing();
      write(at, 'a', 'sync');
      at.letGo();
      write(at, 'b', 'sync');
      at.letGo();
      write(at, 'c', 'sync');
      at.fail();
      expect(at.told).toEqual(['a: ok']);
      at.letGo();
      at.letGo();
      expect(at.told).toEqual(['a: ok', 'b: EIO', 'c: EIO']);
    });

    it.each(['sync', 'buffered'] as const)('accepts no %s write', (how) => {
      const at = failing();
      write(at, 'a', 'sync');
      at.letGo();
      write(at, 'b', 'sync');
      at.letGo();
      at.fail();
      write(at, 'c', how);
      at.letGo();
      expect(at.told).toEqual(['a: ok', 'b: EIO', 'c: EIO']);
    });

    it('is closed', () => {
      const at = failing();
      write(at, 'a', 'sync');
      at.letGo();
      write(at, 'b', 'sync');
      at.letGo();
      at.fail();
      at.rig.process.run(() => at.engine.close((error) => at.told.push(`closed: ${error !== null}`)));
      for (let turn = 0; turn < 10; turn++) {
        at.rig.pass(10_000);
        at.letGo();
      }
      expect(at.told).toEqual(['a: ok', 'b: EIO', 'closed: true']);
    });
  });

  it('lets what has expired stay away when the wall clock goes back', () => {
    const rig = new EngineRig('time', TUNING);
    const engine = rig.mustOpen();
    const write: Write = {
      type: 'set-if',
      bucket: 'b',
      key: utf8('a'),
      value: utf8('1'),
      condition: { type: 'always' },
      expiry: { type: 'after', ms: 1000 },
      answer: 'status',
    };
    rig.process.run(() => engine.write(write, 'buffered', () => {}));
    expect(read(engine, 'a')).toBe('1');
    rig.pass(1_000_000);
    expect(read(engine, 'a')).toBeNull();
    rig.clock.jumpWallMs(-3_600_000);
    expect(read(engine, 'a')).toBeNull();
  });

  it('tells those who wait, when it is closed, what became of their writes', () => {
    const rig = new EngineRig('closing', TUNING);
    const engine = rig.mustOpen();
    const told: string[] = [];
    rig.process.run(() => {
      engine.write(set('a', '1'), 'sync', (outcome) => told.push(outcome.ok ? 'ok' : outcome.error.message));
      engine.close((error) => told.push(error === null ? 'closed' : error.message));
      engine.write(set('a', '2'), 'sync', (outcome) => told.push(outcome.ok ? 'ok' : outcome.error.message));
    });
    rig.pass(100_000);
    expect(told).toEqual(['the store is closed', 'ok', 'closed']);
    expect(read(rig.mustOpen(), 'a')).toBe('1');
  });

  it('slows writes while compaction falls behind, and no longer', () => {
    // A step of a merge handles a record: it takes a while. Three runs are above the soft limit, none above the hard one.
    const store = {
      ...TUNING.store,
      memtableBytes: 8192,
      immutableMemtablesMax: 1000,
      stepBytes: 1,
      slowAtRuns: 0,
      stopAtRuns: 1000,
    };
    const rig = new EngineRig('slow', { segmentBytes: 1024 * 1024, store });
    const engine = rig.mustOpen();
    /** How long it takes, in microseconds, to carry out 64 KiB of writes that were called in one go. */
    const burstUs = (): { readonly us: number; readonly slow: number } => {
      const beganUs = rig.scheduler.nowUs;
      let left = 64;
      let slow = 0;
      rig.process.run(() => {
        for (let n = 0; n < 64; n++) {
          engine.write(set(`k${n}`, 'x'.repeat(1000)), 'buffered', ({ ok }) => {
            expect(ok).toBe(true);
            left--;
          });
        }
      });
      while (left > 0) {
        expect(engine.store.pressure).not.toBe('stop');
        if (engine.store.pressure === 'slow') slow++;
        rig.pass(100);
      }
      return { us: rig.scheduler.nowUs - beganUs, slow };
    };
    expect(burstUs()).toEqual({ us: 100, slow: 0 });
    while (engine.store.pressure !== 'slow') rig.pass(100);
    const slowed = burstUs();
    // Eight turns of 8 KiB, most of them a millisecond apart.
    expect(slowed.slow).toBeGreaterThan(0);
    expect(slowed.us).toBeGreaterThan(3000);
    while (engine.statistics().backgroundJobs > 0) rig.pass(1000);
    expect(burstUs()).toEqual({ us: 100, slow: 0 });
  });

  it('lets go of the memory that it keeps for fast writes when they rest', () => {
    const marks = new Set<string>();
    const letGo = 'a memtable that was kept is let go';
    const rig = new EngineRig('rest', { store: { memtableBytes: 64 * 1024 } });
    const engine = rig.mustOpen();
    const isHalfFull = (): boolean => engine.statistics().memtableBytes > 32 * 1024;
    setRareProbe({ sometimes: (name) => marks.add(name), maybe: () => false });
    try {
      const write = (): void => {
        for (let n = 0; n < 8; n++) engine.write(set(KEYS[n % 4] ?? '', 'x'.repeat(500)), 'sync', () => {});
      };
      // Until one is in tables when the next is half full: it is kept for the one after that.
      while (engine.statistics().flushes < 3 || engine.statistics().isFlushing || !isHalfFull()) {
        rig.process.run(write);
        rig.pass(500);
      }
      expect(marks).not.toContain(letGo);
      rig.pass(1_000_000);
      expect(marks).toContain(letGo);
    } finally {
      setRareProbe(null);
    }
  });
});
