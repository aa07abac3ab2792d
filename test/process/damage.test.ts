/** Bytes of one node's tables change, while it runs and while it does not: it mends them, and never answers wrongly. */
import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { fromUtf8 } from '../../src/codec/bytes.ts';
import { eventually, ProcessCluster } from './cluster.ts';

const KEYS = 300;
const VALUE_BYTES = 2000;

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

function textFor(n: number): string {
  return `${n}:`.padEnd(VALUE_BYTES, '.');
}

/** Flips a bit in every so many bytes of the tables in a directory, from their first block on; how many. */
function flipBits(directory: string, everyBytes: number): number {
  let flipped = 0;
  for (const name of readdirSync(directory).filter((one) => one.startsWith('table-'))) {
    const path = `${directory}/${name}`;
    const file = openSync(path, 'r+');
    const byte = new Uint8Array(1);
    for (let at = 100; at < statSync(path).size; at += everyBytes) {
      readSync(file, byte, 0, 1, at);
      byte[0] ^= 0x10;
      writeSync(file, byte, 0, 1, at);
      flipped++;
    }
    closeSync(file);
  }
  return flipped;
}

/** All keys, asked of one node; from its own tables alone when `stale`. */
async function checkAll(running: ProcessCluster, port: number, consistency: 'linearizable' | 'stale') {
  const client = await running.connect(port);
  for (let n = 0; n < KEYS; n += 50) {
    const terms = consistency === 'stale' ? ({ consistency, maxAgeMs: 5000 } as const) : undefined;
    const numbers = Array.from({ length: 50 }, (_none, at) => n + at);
    const values = await Promise.all(numbers.map((number) => client.get(`key${number}`, terms)));
    expect(values.map((value) => (value === null ? null : fromUtf8(value)))).toEqual(numbers.map(textFor));
  }
  client.close();
}

async function mended(running: ProcessCluster, port: number): Promise<void> {
  await eventually('tables that are whole', 30_000, async () => {
    const info = await running.info(port);
    const repairs = Number(info?.get('mended_tables')) + Number(info?.get('rebuilt'));
    return repairs > 0 && info?.get('damaged_tables') === '0' && info.get('mending') === 'idle' ? true : null;
  });
}

it('are mended from another node, and all reads are right meanwhile', async () => {
  const running = await ProcessCluster.start();
  cluster = running;
  await running.leader();
  await running.allAnswer();
  const leader = await running.leader();
  const [harmed = 0] = running.ports.filter((port) => port !== leader);
  const tables = `${running.directory}/node-${harmed}/tables`;
  const client = await running.connect(harmed);
  await Promise.all(Array.from({ length: KEYS }, (_none, n) => client.set(`key${n}`, textFor(n))));
  await client.command('FLUSH');

  expect(flipBits(tables, 5000)).toBeGreaterThan(50);
  await checkAll(running, harmed, 'linearizable');
  await mended(running, harmed);
  await checkAll(running, harmed, 'stale');

  // And while it does not run.
  expect(await running.end(harmed, 'SIGKILL')).toBe('SIGKILL');
  expect(flipBits(tables, 3000)).toBeGreaterThan(50);
  running.start(harmed);
  await eventually('the node', 20_000, async () => ((await running.info(harmed)) === null ? null : true));
  await checkAll(running, harmed, 'linearizable');
  await mended(running, harmed);
  await checkAll(running, harmed, 'stale');
  expect(running.log).not.toContain('cannot go on');
}, 120_000);
