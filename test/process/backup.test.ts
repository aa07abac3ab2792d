/** Backup and restore as docs/operations.md says: all directories, whole, of nodes that do not run. */
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { runBackup, runRestore } from '../../src/cli/backup.ts';
import { fromUtf8 } from '../../src/codec/bytes.ts';
import { ProcessCluster } from './cluster.ts';

const KEYS = 200;

let cluster: ProcessCluster | null = null;
let backup = '';

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
  rmSync(backup, { recursive: true, force: true });
});

async function write(running: ProcessCluster, through: number, text: string): Promise<void> {
  const client = await running.connect(through);
  await Promise.all(Array.from({ length: KEYS }, (_none, n) => client.set(`key:${n}`, `${text} ${n}`)));
  client.close();
}

async function read(running: ProcessCluster, through: number): Promise<string[]> {
  const client = await running.connect(through);
  const values = await Promise.all(Array.from({ length: KEYS }, (_none, n) => client.get(`key:${n}`)));
  client.close();
  return values.map((value) => (value === null ? 'nothing' : fromUtf8(value)));
}

async function stopAll(running: ProcessCluster): Promise<void> {
  const ends = await Promise.all(running.ports.map((port) => running.end(port, 'SIGTERM')));
  expect(ends).toEqual([0, 0, 0]);
}

async function startAll(running: ProcessCluster): Promise<void> {
  for (const port of running.ports) running.start(port);
  await running.leader();
  await running.allAnswer();
}

it('brings back what was there when the nodes were stopped, in place and under other addresses', async () => {
  backup = mkdtempSync(join(tmpdir(), 'envelopedb-backup-'));
  const running = await ProcessCluster.start();
  cluster = running;
  await running.leader();
  await running.allAnswer();
  const [first = 0] = running.ports;
  await write(running, first, 'kept');
  await stopAll(running);
  for (const port of running.ports) {
    const told = await runBackup(join(running.directory, `node-${port}`), join(backup, `node-${port}`));
    expect(told).toMatch(/^this is a node's directory: .*\n.*: complete, every checksum holds \(.*\)\n$/);
  }
  await startAll(running);
  await write(running, first, 'lost');
  await stopAll(running);
  for (const port of running.ports) {
    const directory = join(running.directory, `node-${port}`);
    rmSync(directory, { recursive: true });
    expect(await runRestore(join(backup, `node-${port}`), directory)).toContain('complete');
  }
  await startAll(running);
  const kept = Array.from({ length: KEYS }, (_none, n) => `kept ${n}`);
  for (const port of running.ports) expect(await read(running, port)).toEqual(kept);
  await write(running, first, 'later');
  await running.stop();

  const elsewhere = await ProcessCluster.prepare();
  cluster = elsewhere;
  for (const [at, port] of running.ports.entries()) {
    renameSync(join(backup, `node-${port}`), join(elsewhere.directory, `node-${elsewhere.ports[at]}`));
  }
  await startAll(elsewhere);
  for (const port of elsewhere.ports) expect(await read(elsewhere, port)).toEqual(kept);
}, 120_000);
