/** Bits of a node's log flip while it is stopped; it starts all the same, mends its log, and nothing is lost. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { fromUtf8 } from '../../src/codec/bytes.ts';
import { eventually, ProcessCluster } from './cluster.ts';

const KEYS = 400;
const FLIPS = 25;
const RECORD_HEADER_BYTES = 40;

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

function valueAt(n: number): string {
  return `value ${n} `.padEnd(200, '.');
}

/** Flips bits evenly over the log, up to the marker that a node in order leaves at the end. */
function flipBits(running: ProcessCluster, port: number): void {
  const directory = join(running.directory, `node-${port}`, 'log');
  const names = readdirSync(directory).filter((name) => name.endsWith('.log'));
  expect(names).toEqual(['000001.log']);
  const path = join(directory, '000001.log');
  const bytes = readFileSync(path);
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1 - RECORD_HEADER_BYTES;
  for (let n = 0; n < FLIPS; n++) {
    const at = Math.floor(((n + 0.5) * end) / FLIPS);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (n % 8));
  }
  writeFileSync(path, bytes);
}

async function isWhole(running: ProcessCluster, port: number, reference: number): Promise<true | null> {
  const info = await running.info(port);
  const others = await running.info(reference);
  if (info === null || others === null || info.get('damaged_entries') !== '0') return null;
  return info.get('durable_index') === others.get('durable_index') ? true : null;
}

it('mends as a follower what has rotted, and everything can be read through it', async () => {
  const running = await ProcessCluster.start();
  cluster = running;
  await running.leader();
  await running.allAnswer();
  const leader = await running.leader();
  const [rotten = 0, other = 0] = running.ports.filter((port) => port !== leader);
  const writer = await running.connect(leader);
  await Promise.all(Array.from({ length: KEYS }, (_none, n) => writer.set(`key${n}`, valueAt(n))));
  writer.close();
  await eventually('the follower holds it all', 20_000, () => isWhole(running, rotten, leader));
  expect(await running.end(rotten, 'SIGTERM')).toBe(0);
  flipBits(running, rotten);
  running.start(rotten);
  await eventually('a mended log', 20_000, () => isWhole(running, rotten, leader));
  expect(running.log).toContain('log-damaged');
  // The group now lives by what was mended.
  await running.end(leader, 'SIGKILL');
  await running.end(other, 'SIGTERM');
  running.start(other);
  await running.leader();
  const reader = await running.connect(rotten);
  for (let n = 0; n < KEYS; n++) {
    const value = await reader.get(`key${n}`);
    expect(value === null ? null : fromUtf8(value)).toBe(valueAt(n));
  }
  reader.close();
}, 60_000);
