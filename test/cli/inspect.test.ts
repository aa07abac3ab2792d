/** `envelopedb inspect` as a process: exit codes, and what it does when nobody reads on. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { open } from '../../src/index.ts';
import { type Finished, runCli, startCli } from './run_cli.ts';

/** Each starts several processes, which takes seconds where others are at work. */
vi.setConfig({ testTimeout: 120_000 });

let root = '';
let table = '';

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'envelopedb-inspect-'));
  const db = await open(`${root}/db`, { background: 'steps' });
  const users = db.bucket('users');
  const writes = Array.from({ length: 20_000 }, (_none, at) => {
    return users.put(`user-${at}`, `value ${at}`, { durability: 'buffered' });
  });
  await Promise.all(writes);
  await db.flush();
  await db.close();
  const name = readdirSync(`${root}/db/tables`).find((one) => one.startsWith('table-'));
  table = `${root}/db/tables/${name}`;
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('envelopedb inspect', () => {
  it('prints a file, exits with 0 when it is whole, and with 1 when it is damaged', async () => {
    const whole = await runCli(['inspect', table, '--limit', '2']);
    expect([whole.code, whole.stderr]).toEqual([0, '']);
    expect(whole.stdout).toMatch(/put sequence=1 key=users\/user-0 /);
    expect(whole.stdout).toMatch(/more follow \(--limit 2\)\n$/);
    const bytes = readFileSync(table);
    bytes[10] ^= 1;
    writeFileSync(`${root}/damaged`, bytes);
    const damaged = await runCli(['inspect', `${root}/damaged`, '--limit', '100']);
    expect(damaged.code).toBe(1);
    expect(damaged.stdout).toMatch(/^ {9}0 {2}DAMAGED the checksum of a data block does not match$/m);
  });

  it('says what is wrong with what it is given', async () => {
    const missing = await runCli(['inspect', `${root}/none`]);
    expect([missing.code, missing.stdout, missing.stderr]).toEqual([
      1,
      '',
      `envelopedb: there is no file ${root}/none\n`,
    ]);
    const directory = await runCli(['inspect', `${root}/db`]);
    expect([directory.code, directory.stderr]).toEqual([
      1,
      `envelopedb: ${root}/db is a directory: name a file in it, or see envelopedb verify\n`,
    ]);
  });

  it('ends quietly when nobody reads the output', async () => {
    const child = startCli(['inspect', table, '--values']);
    let stderr = '';
    child.stderr.on('data', (bytes: Buffer) => {
      stderr += bytes.toString();
    });
    // What `head` does: it reads a little and goes.
    child.stdout.once('data', () => child.stdout.destroy());
    const code = await new Promise<Finished['code']>((resolve) => child.on('close', resolve));
    expect([code, stderr]).toEqual([0, '']);
  });
});
