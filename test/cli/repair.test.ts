/** `envelopedb repair` as a process, and what comes of it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Client, open } from '../../src/index.ts';
import { NodeDisk } from '../../src/io/node/disk.ts';
import { HardStateFile } from '../../src/replica/hard_state_file.ts';
import { freePorts } from '../process/ports.ts';
import { runCli, startCli } from './run_cli.ts';

/** Each starts several processes, which takes seconds where others are at work. */
vi.setConfig({ testTimeout: 120_000 });

let root = '';

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'envelopedb-repair-'));
  const db = await open(`${root}/db`, { background: 'steps', tuning: { blockBytes: 256 } });
  const users = db.bucket('users');
  const writes = Array.from({ length: 100 }, (_none, at) => users.put(`user-${100 + at}`, `value ${at}`));
  await Promise.all(writes);
  await db.flush();
  await users.put('user-100', 'from the log');
  await db.close();
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

function damage(part: string, offset: number): string {
  const name = readdirSync(`${root}/db`, { recursive: true, encoding: 'utf8' }).find((one) =>
    one.includes(part),
  );
  const path = `${root}/db/${name}`;
  const bytes = readFileSync(path);
  bytes[offset] ^= 1;
  writeFileSync(path, bytes);
  return path;
}

/** Lets the directory be that of a node: it has a term and a vote. */
async function makeNode(): Promise<void> {
  const disk = new NodeDisk({ reads: 'pread' });
  await new Promise<void>((resolve, reject) => {
    HardStateFile.open({ disk, directory: `${root}/db`, group: 1, node: 1 }, (opened) => {
      if (!opened.ok) return reject(opened.error);
      opened.value.close();
      resolve();
    });
  });
}

/** Tries until the server takes connections; the test's own limit ends it. */
async function whenListening(port: number): Promise<Client> {
  for (;;) {
    try {
      return await Client.connect({ host: '127.0.0.1', port });
    } catch {
      await setTimeout(50);
    }
  }
}

describe('envelopedb repair', () => {
  it('makes a new store, and exits with 0 when nothing is lost', async () => {
    const { code, stdout, stderr } = await runCli(['repair', `${root}/db`]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe(
      `${root}/db.repaired: nothing is lost (100 keys of 1 tables, and 1 entries of the log behind them); ${root}/db is as it was\n`,
    );
    expect(readdirSync(root).sort()).toEqual(['db', 'db.repaired']);
    const within = await runCli(['repair', `${root}/db`, '--to', `${root}/db/log/new`]);
    expect([within.code, within.stderr]).toEqual([
      1,
      `envelopedb: ${root}/db/log/new lies in ${root}/db, which is copied: name a directory outside of it\n`,
    ]);
    const db = await open(`${root}/db.repaired`);
    expect(db.bucket('users').get('user-100')).toBe('from the log');
    expect(db.bucket('users').get('user-199')).toBe('value 99');
    await db.close();
  });

  it('says which keys are concerned, and exits with 1', async () => {
    const path = damage('table-', 300);
    const { code, stdout } = await runCli(['repair', `${root}/db`, '--to', `${root}/new`]);
    expect(code).toBe(1);
    const [loss, verdict] = stdout.split('\n');
    expect(loss).toMatch(
      /: offset \d+: the checksum of a data block does not match; .*; keys users\/user-1\d\d to users\/user-1\d\d$/,
    );
    expect(loss?.startsWith(path)).toBe(true);
    expect(verdict).toMatch(/\/new: something is lost, or may be, in 1 place \(\d\d keys of 1 tables/);
    const db = await open(`${root}/new`);
    expect(await db.bucket('users').count()).toBeGreaterThan(80);
    await db.close();
  });

  it('refuses the directory of a node, and says what to do instead', async () => {
    await makeNode();
    const { code, stderr } = await runCli(['repair', `${root}/db`]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/is that of a node: it has a term and a vote/);
    expect(stderr).toMatch(/replace the node \(docs\/operations\.md/);
    expect(readdirSync(root)).toEqual(['db']);
    const made = await runCli(['repair', `${root}/db`, '--as', 'store']);
    expect([made.code, made.stdout.split('\n')[0]]).toEqual([
      0,
      'the last writes of a node may never have been committed: they are in it all the same',
    ]);
    expect(readdirSync(`${root}/db.repaired`).sort()).toEqual(['log', 'tables']);
  });

  it('makes the directory of a standalone server, which starts with it', async () => {
    await makeNode();
    damage('CURRENT', 3);
    const made = await runCli(['repair', `${root}/db`, '--as', 'server']);
    expect(made.code).toBe(1);
    expect(made.stdout).toMatch(/term and vote were written anew/);
    const [port = 0] = await freePorts(1);
    const server = startCli(['server', '--port', String(port), '--data', `${root}/db.repaired`]);
    try {
      const client = await whenListening(port);
      await client.command('USE', 'users');
      expect(await client.command('GET', 'user-100')).toMatchObject({ value: Buffer.from('from the log') });
      expect(await client.command('SET', 'new', 'value')).toEqual({ type: 'simple', text: 'OK' });
      client.close();
    } finally {
      server.kill();
      await new Promise((resolve) => server.on('close', resolve));
    }
  });
});
