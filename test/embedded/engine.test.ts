import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { Engine } from '../../src/embedded/engine.ts';
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

type Step =
  | {
      readonly type: 'set';
      readonly key: string;
      readonly pad: number;
      readonly durability: 'sync' | 'buffered';
    }
  | { readonly type: 'delete'; readonly key: string; readonly durability: 'sync' | 'buffered' }
  | { readonly type: 'pass'; readonly us: number }
  | { readonly type: 'flush' }
  | { readonly type: 'compact' }
  | { readonly type: 'crash' };

const key = fc.constantFrom(...KEYS);
const durability = fc.constantFrom('sync' as const, 'buffered' as const);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ type: fc.constant('set' as const), key, pad: fc.nat(200), durability }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), key, durability }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('pass' as const), us: fc.nat(8000) }) },
  { weight: 1, arbitrary: fc.constantFrom({ type: 'flush' as const }, { type: 'compact' as const }) },
  { weight: 1, arbitrary: fc.constant({ type: 'crash' as const }) },
);

describe('the embedded engine', () => {
  it('loses nothing that it has acknowledged, and recovers a beginning of what was written, whatever crashes', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer(), (steps, seed) => {
        const rig = new EngineRig(`${seed}`, TUNING);
        let engine = rig.mustOpen();
        /** What each write has left, oldest first; the first is the state of the last start. */
        let states: Map<string, string>[] = [new Map()];
        /** How many of them are known to last. */
        let durable = 1;
        let words = 0;
        for (const one of [...steps, { type: 'crash' } as const]) {
          if (one.type === 'pass') rig.pass(one.us);
          else if (one.type === 'flush') rig.process.run(() => engine.flush(() => {}));
          else if (one.type === 'compact') rig.process.run(() => engine.compact(() => {}));
          else if (one.type === 'crash') {
            rig.crash();
            engine = rig.mustOpen();
            const found = new Map(
              KEYS.flatMap((name) => {
                const value = read(engine, name);
                return value === null ? [] : [[name, value] as const];
              }),
            );
            const possible = states.slice(durable - 1).map((state) => JSON.stringify([...state].sort()));
            expect(possible).toContain(JSON.stringify([...found].sort()));
            states = [found];
            durable = 1;
          } else {
            const next = new Map(states.at(-1));
            const text = `${++words}`.padEnd(one.type === 'set' ? one.pad : 0, '.');
            const write: Write =
              one.type === 'set'
                ? set(one.key, text)
                : { type: 'delete', bucket: 'b', keys: [utf8(one.key)] };
            const lives = states;
            rig.process.run(() =>
              engine.write(write, one.durability, (outcome) => {
                if (!outcome.ok) throw outcome.error;
                if (one.durability === 'sync' && states === lives) durable = Math.max(durable, place + 1);
              }),
            );
            if (one.type === 'set') next.set(one.key, text);
            else next.delete(one.key);
            const place = states.push(next) - 1;
            // Writes that wait for room in memory are not there yet.
            if (engine.store.writable) {
              for (const name of KEYS) expect(read(engine, name)).toBe(next.get(name) ?? null);
            } else rig.pass(200_000);
          }
        }
      }),
      { numRuns: runs(60) },
    );
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
});
