/**
 * The system ends a process that reads mapped bytes which the disk does not give. With `--read-tables pieces` a table
 * that cannot be read is damage like any other. A file that is cut stands for such a disk: it fails in the same way.
 */
import { readdirSync, truncateSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { fromUtf8 } from '../../src/codec/bytes.ts';
import { eventually, ProcessCluster } from './cluster.ts';

const KEYS = 300;

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

it('mends a table whose bytes the disk does not give any more, while the node runs', async () => {
  const running = await ProcessCluster.start(['--read-tables', 'pieces']);
  cluster = running;
  const leader = await running.leader();
  await running.allAnswer();
  const [port = 0] = running.ports.filter((other) => other !== leader);
  const client = await running.connect(port);
  await Promise.all(Array.from({ length: KEYS }, (_none, n) => client.set(`key${n}`, 'v'.repeat(200))));
  expect(await client.get('key0')).not.toBeNull();
  expect(await client.command('FLUSH')).toMatchObject({ type: 'simple', text: 'OK' });
  const tables = `${running.directory}/node-${port}/tables`;
  const cut = readdirSync(tables).filter((name) => name.startsWith('table-'));
  expect(cut.length).toBeGreaterThan(0);
  for (const name of cut) truncateSync(`${tables}/${name}`, 100);

  await eventually('a table that is mended', 20_000, async () => {
    const info = await running.info(port);
    return info?.get('mended_tables') !== '0' && info?.get('damaged_tables') === '0' ? true : null;
  });
  expect(running.log).toContain('table-damaged');
  for (let n = 0; n < KEYS; n++) {
    const value = await client.get(`key${n}`);
    expect(value === null ? null : fromUtf8(value)).toBe('v'.repeat(200));
  }
  client.close();
}, 120_000);
