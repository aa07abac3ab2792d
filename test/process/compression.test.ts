/** A cluster whose tables are compressed. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { fromUtf8 } from '../../src/codec/bytes.ts';
import { runCli } from '../cli/run_cli.ts';
import { eventually, ProcessCluster } from './cluster.ts';

const VALUES = 500;
const VALUE_BYTES = 4000;
/** So little that what was written is soon in tables. */
const KEPT_LOG_BYTES = 1024 * 1024;

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

const valueAt = (n: number): string => `${n}:`.padEnd(VALUE_BYTES, '.');

it('holds what was written in tables that are a fraction of it, and reads it back from them', async () => {
  const options = ['--log-bytes', String(KEPT_LOG_BYTES), '--compression', 'deflate'];
  const running = await ProcessCluster.start(options);
  cluster = running;
  const leader = await running.leader();
  const client = await running.connect(leader);
  for (let n = 0; n < VALUES; n++) await client.set(`k${n}`, valueAt(n));
  const flushed = await eventually('tables', 20_000, async () => {
    const index = Number((await running.info(leader))?.get('flushed_index'));
    return index > 0 ? index : null;
  });
  client.close();
  expect(await running.end(leader, 'SIGTERM')).toBe(0);
  const directory = `${running.directory}/node-${leader}`;
  const tables = readdirSync(`${directory}/tables`).filter((name) => name.startsWith('table-'));
  expect(tables.length).toBeGreaterThan(0);
  const bytes = tables.reduce((sum, name) => sum + statSync(join(directory, 'tables', name)).size, 0);
  // Each value is an entry of its own, and few other entries stand before them.
  expect(bytes).toBeLessThan((flushed * VALUE_BYTES) / 8);
  const verified = await runCli(['verify', directory]);
  expect([verified.code, verified.stderr]).toEqual([0, '']);
  running.start(leader);
  await running.allAnswer();
  const again = await running.connect(leader);
  for (let n = 0; n < VALUES; n += 7) {
    const value = await again.get(`k${n}`);
    expect(value === null ? null : fromUtf8(value)).toBe(valueAt(n));
  }
  again.close();
});

it('is not started with a compression that there is none of', async () => {
  const { code, stderr } = await runCli(['node', '9001', '--compression', 'lzma']);
  expect(code).toBe(2);
  expect(stderr).toContain('--compression takes one of none, deflate, brotli');
});
