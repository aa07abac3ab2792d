/** Checkpoints and backups of an embedded store, on the real disk. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BackupProgress, CorruptionError, type Database, open } from '../../src/index.ts';

let root = '';
let db: Database;

/** Small tables, many of them, and a log behind. */
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'envelopedb-checkpoint-'));
  const tuning = { memtableBytes: 64 * 1024, tableBytes: 32 * 1024, mergeAtTables: 100 };
  db = await open(`${root}/db`, { background: 'steps', tuning });
  const bucket = db.bucket();
  const writes = Array.from({ length: 3000 }, (_none, at) =>
    bucket.put(`k${at}`, `value ${at} ${'x'.repeat(50)}`, { durability: 'buffered' }),
  );
  await Promise.all(writes);
  await db.flush();
  await bucket.put('k1', 'from the log');
});

afterEach(async () => {
  await db.close();
  rmSync(root, { recursive: true, force: true });
});

async function valuesIn(directory: string): Promise<string[]> {
  const copy = await open(directory);
  try {
    return [...copy.bucket().entries()].map(([key, value]) => `${key} ${value}`);
  } finally {
    await copy.close();
  }
}

describe('a checkpoint', () => {
  it('is a store of its own with the state of now, whose tables are links', async () => {
    const bucket = db.bucket();
    const expected = [...bucket.entries()].map(([key, value]) => `${key} ${value}`);
    const writing = bucket.put('k2', 'behind it');
    const copying = db.checkpoint(`${root}/deep/copy`);
    const late = bucket.put('k2', 'too late');
    const made = await copying;
    await Promise.all([writing, late]);
    expect(made).toMatchObject({ revision: 3002, whyCopied: null, linked: made.tables });
    expect(made.tables).toBeGreaterThan(2);
    const [table = ''] = readdirSync(`${root}/deep/copy/tables`).filter((name) => name.startsWith('table-'));
    expect(statSync(`${root}/deep/copy/tables/${table}`).nlink).toBe(2);
    expect(readdirSync(`${root}/deep`)).toEqual(['copy']);
    expect(readdirSync(`${root}/deep/copy`).sort()).toEqual(['log', 'tables']);
    const found = await valuesIn(`${root}/deep/copy`);
    expect(found).toEqual(expected.map((line) => (line.startsWith('k2 ') ? 'k2 behind it' : line)));
    // The copy has merged, dropped and written on; the original does not mind, and the other way round.
    await db.compact();
    expect(bucket.get('k2')).toBe('too late');
    expect(await valuesIn(`${root}/deep/copy`)).toEqual(found);
  });

  it('is refused where something is, and on a store that is closed', async () => {
    mkdirSync(`${root}/taken`);
    writeFileSync(`${root}/taken/file`, 'x');
    await expect(db.checkpoint(`${root}/taken`)).rejects.toMatchObject({ code: 'EXISTS' });
    mkdirSync(`${root}/empty`);
    await db.checkpoint(`${root}/empty/`);
    const [first, second] = [db.checkpoint(`${root}/twice`), db.checkpoint(`${root}/twice`)];
    await expect(second).rejects.toMatchObject({ code: 'LOCKED' });
    await first;
    await db.close();
    await expect(db.checkpoint(`${root}/late`)).rejects.toMatchObject({ code: 'CLOSED' });
    expect(readdirSync(root).sort()).toEqual(['db', 'empty', 'taken', 'twice']);
  });

  it.each([
    ['the directory itself', 'db'],
    ['a part of it', 'db/tables/copy'],
    ['a name in it, that is not there yet', 'db/new/copy'],
    ['a way around it', 'other/../db/copy'],
    ['a link to it', 'link/copy'],
  ])('is refused within the directory that it is of: %s', async (_what, path) => {
    mkdirSync(`${root}/other`);
    symlinkSync(`${root}/db`, `${root}/link`);
    const before = readdirSync(`${root}/db`, { recursive: true }).sort();
    const refusal = {
      code: 'INVALID',
      message: `${root}/${path.replace('other/../', '')} lies in ${root}/db, which is copied: name a directory outside of it`,
    };
    await expect(db.checkpoint(`${root}/${path}`)).rejects.toMatchObject(refusal);
    await expect(db.backup(`${root}/${path}`)).rejects.toMatchObject(refusal);
    expect(readdirSync(`${root}/db`, { recursive: true }).sort()).toEqual(before);
    // A name that begins as the store's does is another one.
    expect((await db.checkpoint(`${root}/db2`)).tables).toBeGreaterThan(2);
  });

  it('copies what cannot be linked, as to another file system, and says so', async (test) => {
    // A file system in memory, as most Linux machines have one.
    const other = '/dev/shm';
    if (!existsSync(other) || statSync(other).dev === statSync(root).dev) {
      return test.skip('there is no other file system here');
    }
    const directory = mkdtempSync(join(other, 'envelopedb-checkpoint-'));
    try {
      const made = await db.checkpoint(`${directory}/copy`);
      expect(made.linked).toBe(0);
      expect(made.whyCopied).toMatch(/EXDEV/);
      expect(await valuesIn(`${directory}/copy`)).toHaveLength(3000);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('a backup', () => {
  it('copies and checks every byte, and tells how far it is', async () => {
    const told: BackupProgress[] = [];
    const made = await db.backup(`${root}/copy`, { onProgress: (progress) => told.push(progress) });
    expect(made.revision).toBe(3001);
    const { totalBytes } = told[0] ?? { totalBytes: 0 };
    expect(totalBytes).toBeGreaterThan(100_000);
    expect(told.at(-1)).toEqual({ totalBytes, copiedBytes: totalBytes, checkedBytes: totalBytes });
    expect(readdirSync(`${root}/copy`).sort()).toEqual(['BACKUP', 'log', 'tables']);
    const [table = ''] = readdirSync(`${root}/copy/tables`).filter((name) => name.startsWith('table-'));
    expect(statSync(`${root}/copy/tables/${table}`).nlink).toBe(1);
    expect((await valuesIn(`${root}/copy`)).filter((line) => line === 'k1 from the log')).toHaveLength(1);
  });

  it('ends with the reason of its signal, or of the closing of the store, and leaves nothing', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const ended = db.backup(`${root}/copy`, {
      signal: controller.signal,
      onProgress: () => controller.abort(reason),
    });
    await expect(ended).rejects.toBe(reason);
    expect(readdirSync(root)).toEqual(['db']);
    await expect(db.backup(`${root}/copy`, { signal: controller.signal })).rejects.toBe(reason);
    const closed = db.backup(`${root}/copy`);
    await Promise.all([expect(closed).rejects.toMatchObject({ code: 'CLOSED' }), db.close()]);
    expect(readdirSync(root)).toEqual(['db']);
  });

  it('names the table that is damaged, and is not made', async () => {
    const [table = ''] = readdirSync(`${root}/db/tables`).filter((name) => name.startsWith('table-'));
    const path = `${root}/db/tables/${table}`;
    const bytes = readFileSync(path);
    bytes[100] ^= 1;
    writeFileSync(path, bytes);
    const failed = await db.backup(`${root}/copy`).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(CorruptionError);
    expect((failed as CorruptionError).path).toBe(path);
    expect(readdirSync(root)).toEqual(['db']);
  });
});
