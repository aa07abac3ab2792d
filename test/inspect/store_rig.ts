/** A small store with everything in it, for tests of what looks into its files. */
import { utf8 } from '../../src/codec/bytes.ts';
import type { Engine, EngineOptions } from '../../src/embedded/engine.ts';
import { BatchWriter } from '../../src/kv/batch.ts';
import type { Write } from '../../src/kv/request.ts';
import { EngineRig } from '../embedded/rig.ts';

export const TUNING = {
  segmentBytes: 4096,
  store: { memtableBytes: 1 << 20, blockBytes: 256, tableBytes: 1024, mergeAtTables: 100 },
};

export function keyOf(at: number): Uint8Array {
  return utf8(`k${String(at).padStart(3, '0')}`);
}

export function putOf(at: number, value = `value ${at} `.repeat(3)): Write {
  return { type: 'set', bucket: 'b', key: keyOf(at), value: utf8(value) };
}

export function writeAll(rig: EngineRig, engine: Engine, writes: readonly Write[]): void {
  rig.process.run(() => {
    for (const write of writes) engine.write(write, 'sync', () => {});
  });
  rig.pass(200_000);
}

export function flush(rig: EngineRig, engine: Engine): void {
  rig.process.run(() => engine.flush(() => {}));
  rig.pass(200_000);
}

export function close(rig: EngineRig, engine: Engine): void {
  rig.process.run(() => engine.close(() => {}));
  rig.pass(200_000);
}

/**
 * Two flushes (the second with deletes, a range delete, a value that expires) and a log behind them, in a segment that
 * is not the first: sets, a batch, a conditional write, an increment.
 * @param padding Behind most values: something that can be compressed.
 */
export function makeStore(
  seed = 'inspect',
  tuning: Partial<EngineOptions> = TUNING,
  padding = '',
): EngineRig {
  const rig = new EngineRig(seed, tuning);
  const engine = rig.mustOpen();
  writeAll(
    rig,
    engine,
    Array.from({ length: 40 }, (_none, at) => putOf(at, `${`value ${at} `.repeat(3)}${padding}`)),
  );
  flush(rig, engine);
  writeAll(rig, engine, [
    { type: 'delete', bucket: 'b', keys: [keyOf(1), keyOf(2)] },
    { type: 'delete-range', bucket: 'b', from: keyOf(10), to: keyOf(20) },
    ...Array.from({ length: 10 }, (_none, at) => putOf(30 + at, `newer ${at}${padding}`)),
    {
      type: 'set-if',
      bucket: 'b',
      key: utf8('expires'),
      value: utf8('soon'),
      condition: { type: 'always' },
      expiry: { type: 'after', ms: 1_000_000_000 },
      answer: 'status',
    },
  ]);
  flush(rig, engine);
  const batch = new BatchWriter();
  batch.put('b', keyOf(90), utf8('of a batch'), 0);
  batch.delete('b', keyOf(3));
  writeAll(rig, engine, [
    ...Array.from({ length: 5 }, (_none, at) => putOf(50 + at)),
    { type: 'batch', edits: batch.edits.slice() },
    { type: 'set', bucket: 'b', key: utf8('counter'), value: utf8('41') },
    { type: 'add', bucket: 'b', key: utf8('counter'), by: 1n },
  ]);
  close(rig, engine);
  return rig;
}

/** Twice is as never. */
export function flip(rig: EngineRig, path: string, offset: number): void {
  const bytes = rig.disk.readRaw(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x40;
  replace(rig, path, bytes);
}

/** A file with other bytes in its place. */
export function replace(rig: EngineRig, path: string, bytes: Uint8Array): void {
  rig.process.run(() => {
    const disk = rig.disk.attach(rig.process);
    if (disk.exists(path)) disk.remove(path);
    const file = disk.create(path);
    file.append(bytes);
    file.close();
  });
}
