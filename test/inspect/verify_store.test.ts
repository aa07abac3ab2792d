import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { open, type VerifyOptions, verifyStore } from '../../src/index.ts';

let root = '';

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'envelopedb-verify-'));
  const db = await open(`${root}/db`, { background: 'steps' });
  const bucket = db.bucket();
  await Promise.all(Array.from({ length: 5000 }, (_none, at) => bucket.put(`k${at}`, 'x'.repeat(100))));
  await db.flush();
  await db.close();
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

it('verifies a store from a program, tells how far it is, and can be ended', async () => {
  const told: { readonly bytes: number; readonly totalBytes: number }[] = [];
  const found = await verifyStore(`${root}/db`, { onProgress: (progress) => told.push({ ...progress }) });
  expect(found).toMatchObject({ damage: [], tables: 1, leftovers: [] });
  expect(told.length).toBeGreaterThan(50);
  expect(told.at(-1)?.bytes).toBe(found.bytes);
  expect(found.bytes).toBeLessThanOrEqual(told[0]?.totalBytes ?? 0);
  const controller = new AbortController();
  const reason = new Error('enough');
  const ended = verifyStore(`${root}/db`, {
    signal: controller.signal,
    onProgress: () => controller.abort(reason),
  });
  await expect(ended).rejects.toBe(reason);
  // And has let go of the directory.
  const db = await open(`${root}/db`);
  await expect(verifyStore(`${root}/db`)).rejects.toMatchObject({ code: 'LOCKED' });
  await db.close();
  await expect(verifyStore(root)).rejects.toMatchObject({ code: 'MISSING' });
});

it.each([
  [{ signal: 5 }, 'signal is an AbortSignal, not 5'],
  [{ onProgress: 'x' }, "onProgress is a function, not 'x'"],
  [{ abort: null }, "verifyStore has no 'abort': there are signal, onProgress"],
  [null, 'options are an object, not null'],
])('refuses options that there are not: %j', async (options, message) => {
  const refusal = { code: 'INVALID', message };
  await expect(verifyStore(`${root}/db`, options as VerifyOptions)).rejects.toMatchObject(refusal);
});

it('refuses a path that is none', async () => {
  await expect(verifyStore('')).rejects.toMatchObject({ code: 'INVALID' });
});

it('lists what is damaged', async () => {
  const [table = ''] = readdirSync(`${root}/db/tables`).filter((name) => name.startsWith('table-'));
  const path = `${root}/db/tables/${table}`;
  const bytes = readFileSync(path);
  bytes[10] ^= 1;
  writeFileSync(path, bytes);
  const { damage } = await verifyStore(`${root}/db`);
  expect(damage).toMatchObject([{ path, offset: 0, what: 'the checksum of a data block does not match' }]);
});
