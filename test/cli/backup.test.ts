/** `envelopedb backup` and `restore` as processes. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { open } from '../../src/index.ts';
import { runCli } from './run_cli.ts';

/** Each starts several processes, which takes seconds where others are at work. */
vi.setConfig({ testTimeout: 120_000 });

let root = '';

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'envelopedb-backup-'));
  const db = await open(`${root}/db`, { background: 'steps' });
  await db.bucket().put('key', 'in a table');
  await db.flush();
  await db.bucket().put('other', 'in the log');
  await db.close();
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('envelopedb backup and restore', () => {
  it('carry a store over, and leave nothing else behind', async () => {
    const made = await runCli(['backup', `${root}/db/`, `${root}/copy`]);
    expect([made.code, made.stderr]).toEqual([0, '']);
    expect(made.stdout).toMatch(
      /\/copy: complete, every checksum holds \(4 files, 16\.0 MiB, 1 tables, \d+ records of the log\)\n$/,
    );
    expect(readdirSync(`${root}/copy`).sort()).toEqual(['BACKUP', 'log', 'tables']);
    const restored = await runCli(['restore', `${root}/copy`, `${root}/new/db`]);
    expect([restored.code, restored.stderr]).toEqual([0, '']);
    expect(readdirSync(`${root}/new`)).toEqual(['db']);
    expect(readdirSync(`${root}/new/db`).sort()).toEqual(['log', 'tables']);
    const db = await open(`${root}/new/db`);
    expect([...db.bucket().values()]).toEqual(['in a table', 'in the log']);
    await db.close();
  });

  it('refuse a store that is open, a target that is not empty, and what is no store', async () => {
    const db = await open(`${root}/db`);
    const locked = await runCli(['backup', `${root}/db`, `${root}/none`]);
    await db.close();
    expect([locked.code, locked.stderr]).toEqual([
      1,
      `envelopedb: ${root}/db is in use by process ${process.pid} (see ${root}/db/LOCK)\n`,
    ]);
    mkdirSync(`${root}/full`);
    writeFileSync(`${root}/full/file`, 'x');
    const full = await runCli(['restore', `${root}/db`, `${root}/full`]);
    expect([full.code, full.stderr]).toEqual([
      1,
      `envelopedb: ${root}/full is not empty: file is in it; name a new directory\n`,
    ]);
    const nothing = await runCli(['backup', `${root}/full`, `${root}/none`]);
    expect([nothing.code, nothing.stderr]).toEqual([1, `envelopedb: ${root}/full holds no store\n`]);
    expect(readdirSync(root)).not.toContain('none');
    const within = await runCli(['backup', `${root}/db`, `${root}/db/tables/copy`]);
    expect([within.code, within.stderr]).toEqual([
      1,
      `envelopedb: ${root}/db/tables/copy lies in ${root}/db, which is copied: name a directory outside of it\n`,
    ]);
    expect(readdirSync(`${root}/db/tables`)).not.toContain('copy.partial');
  });

  it('say which byte of a store is damaged, and what was not copied', async () => {
    const [table = ''] = readdirSync(`${root}/db/tables`).filter((name) => name.startsWith('table-'));
    const path = `${root}/db/tables/${table}`;
    const whole = readFileSync(path);
    writeFileSync(
      path,
      whole.map((byte, at) => (at === 5 ? byte ^ 1 : byte)),
    );
    const damaged = await runCli(['backup', `${root}/db`, `${root}/none`]);
    expect([damaged.code, damaged.stderr]).toEqual([
      1,
      `envelopedb: corruption in ${path} at offset 0: the checksum of a data block does not match\n`,
    ]);
    writeFileSync(path, whole);
    writeFileSync(`${root}/db/notes.txt`, 'x');
    const made = await runCli(['backup', `${root}/db`, `${root}/with-notes`]);
    expect([made.code, made.stdout.split('\n')[0]]).toEqual([
      0,
      'notes.txt: does not belong to a store, and was not copied',
    ]);
    const restored = await runCli(['restore', `${root}/db`, `${root}/from-a-copy`]);
    expect(restored.stdout).toMatch(/no list of files came with it/);
  });
});
