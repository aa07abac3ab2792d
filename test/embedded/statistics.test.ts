import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import { type Database, type OpenOptions, open } from '../../src/index.ts';
import { EngineRig } from './rig.ts';

const SMALL = { memtableBytes: 256 * 1024, tableBytes: 32 * 1024, levelBytes: 1024 * 1024, mergeAtTables: 8 };

let directory = '';
let db: Database;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'envelopedb-statistics-'));
});

afterEach(async () => {
  await db.close();
  rmSync(directory, { recursive: true });
});

async function opened(options: OpenOptions = {}): Promise<void> {
  db = await open(directory, { tuning: SMALL, ...options });
}

function nameOf(n: number): string {
  return `k${String(n).padStart(4, '0')}`;
}

/** Every second name, so that there are keys between those that are there. */
async function fill(value: string, count = 1000): Promise<void> {
  const bucket = db.bucket();
  const batch = db.batch();
  for (let n = 0; n < count; n++) batch.put(bucket, nameOf(2 * n), value);
  await batch.write();
  await db.flush();
}

function tableFiles(): string[] {
  return readdirSync(join(directory, 'tables')).filter((name) => name.startsWith('table-'));
}

describe('statistics', () => {
  it('count what filters save and what reads look into', async () => {
    // One table: of a key that lies between two no filter is asked.
    await opened({ tuning: { ...SMALL, tableBytes: 256 * 1024 } });
    await fill('x'.repeat(50));
    expect(db.stats()).toMatchObject({ readAmplification: null, filterEffectiveness: null });
    const bucket = db.bucket();
    for (let n = 0; n < 1000; n++) expect(bucket.has(nameOf(n))).toBe(n % 2 === 0);
    const { tableReads, filterNegatives, filterTruePositives, filterFalsePositives, ...rates } = db.stats();
    expect([tableReads, filterTruePositives]).toEqual([1000, 500]);
    // Ten bits a key: one in a hundred passes.
    expect(filterNegatives + filterFalsePositives).toBe(500);
    expect(filterFalsePositives).toBeLessThan(30);
    expect(rates.filterEffectiveness).toBe(filterNegatives / 500);
    expect(rates.readAmplification).toBe((500 + filterFalsePositives) / 1000);
    await bucket.put('k0000', 'in the memtable');
    bucket.get('k0000');
    expect(db.stats().tableReads).toBe(1000);
  });

  it('tell how much of the tables is live, between two bounds', async () => {
    await opened();
    await fill('x'.repeat(50));
    const one = db.stats();
    expect(one.liveBytes).toEqual({ min: one.tableBytes, max: one.tableBytes });
    expect(one.spaceAmplification).toBe(1);
    await fill('y'.repeat(50));
    const two = db.stats();
    expect(two.tableBytes).toBeGreaterThan(1.9 * one.tableBytes);
    expect(two.liveBytes).toEqual({ min: one.tableBytes, max: two.tableBytes });
    expect(two.spaceAmplification).toBeCloseTo(two.tableBytes / one.tableBytes);
    await db.compact();
    expect(db.stats().spaceAmplification).toBe(1);
    // What one record hides is dead at once, though nothing has been rewritten.
    await db.bucket().deleteRange({ gte: 'k0000', lt: 'l' });
    expect(db.stats().liveBytes).toEqual({ min: 0, max: 0 });
    await db.flush();
    expect(db.stats().liveBytes).toEqual({ min: 0, max: 0 });
    await db.compact();
    expect(db.stats()).toMatchObject({ tableBytes: 0, spaceAmplification: null });
  });

  it('add up what was written, to the log and to tables', async () => {
    await opened();
    expect(db.stats().writeAmplification).toBeNull();
    await fill('x'.repeat(50));
    const { writtenBytes, logWrittenBytes, flushedBytes, mergedBytes, writeAmplification, logSyncs } =
      db.stats();
    // With each go the name of its bucket, its revision, and some bytes of a record.
    expect(writtenBytes).toBeGreaterThan(1000 * 55);
    expect(logWrittenBytes).toBeGreaterThan(1000 * 55);
    expect(logSyncs).toBeGreaterThan(0);
    expect(mergedBytes).toBe(0);
    expect(writeAmplification).toBe((logWrittenBytes + flushedBytes) / writtenBytes);
  });

  it('tell how often the block cache has what is looked for', async () => {
    await opened({ tuning: { ...SMALL, blockCacheBytes: 1024 * 1024 } });
    await fill('x'.repeat(50), 10);
    expect(db.stats().blockCacheHitRate).toBeNull();
    for (let n = 0; n < 4; n++) db.bucket().get('k0000');
    expect(db.stats().blockCacheHitRate).toBe(0.75);
  });

  it('count the times that writes had to wait for the store, and how long', () => {
    const rig = new EngineRig('stalls', { store: { memtableBytes: 1024, immutableMemtablesMax: 1 } });
    const engine = rig.mustOpen();
    let written = 0;
    for (let n = 0; n < 50; n++) {
      const write = { type: 'set', bucket: 'b', key: utf8(`k${n}`), value: new Uint8Array(200) } as const;
      engine.write(write, 'buffered', () => written++);
    }
    const during = engine.statistics();
    expect(during).toMatchObject({ stalls: 1, waitingWrites: 50 - written });
    expect(during.waitingWrites).toBeGreaterThan(30);
    rig.pass(1_000_000);
    const after = engine.statistics();
    expect([written, after.waitingWrites]).toEqual([50, 0]);
    expect(after.stalls).toBeGreaterThan(1);
    expect(after.stalledMs).toBeGreaterThan(0);
    rig.pass(1_000_000);
    expect(engine.statistics().stalledMs).toBe(after.stalledMs);
  });
});

describe('a merge of all tables', () => {
  it('tells how far it is, is given up when it is told to, and leaves nothing behind', async () => {
    await opened({ background: 'steps', tuning: { ...SMALL, stepBytes: 256 } });
    await fill('x'.repeat(50));
    await fill('y'.repeat(50));
    const before = tableFiles().sort();
    const controller = new AbortController();
    const told: { inputBytes: number; doneBytes: number }[] = [];
    const onProgress = (progress: { inputBytes: number; doneBytes: number }): void => {
      told.push(progress);
      expect(db.stats().compaction).toMatchObject({ isOfAll: true });
      controller.abort(new Error('enough'));
    };
    await expect(db.compact({ signal: controller.signal, onProgress })).rejects.toThrow('enough');
    expect(told).toHaveLength(1);
    expect(told[0].inputBytes).toBe(db.stats().tableBytes);
    expect(told[0].doneBytes).toBeGreaterThan(0);
    expect(told[0].doneBytes).toBeLessThan(told[0].inputBytes);
    expect(db.stats()).toMatchObject({ compaction: null, merges: 0 });
    expect(tableFiles().sort()).toEqual(before);
    await expect(db.compact({ signal: controller.signal })).rejects.toThrow('enough');
    await db.compact();
    expect(db.stats()).toMatchObject({ merges: 1, spaceAmplification: 1 });
    expect(db.bucket().get('k0000')).toBe('y'.repeat(50));
  });

  it('goes on for another who waits for it', async () => {
    await opened();
    await fill('x'.repeat(50));
    await fill('y'.repeat(50));
    const controller = new AbortController();
    const given = db.compact({ signal: controller.signal });
    const other = db.compact();
    controller.abort();
    await expect(given).rejects.toMatchObject({ name: 'AbortError' });
    await other;
    expect(db.stats().spaceAmplification).toBe(1);
    const late = new AbortController();
    await db.compact({ signal: late.signal });
    late.abort();
    expect(db.bucket().get('k0000')).toBe('y'.repeat(50));
  });
});
