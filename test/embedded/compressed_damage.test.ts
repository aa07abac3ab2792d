/** A record that has changed before its block was compressed: the block's checksum holds, the record's does not. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { utf8 } from '../../src/codec/bytes.ts';
import { Engine } from '../../src/embedded/engine.ts';
import { open, verifyStore } from '../../src/index.ts';
import type { Compression } from '../../src/io/compression.ts';
import { NodeClock } from '../../src/io/node/clock.ts';
import { nodeCompressions } from '../../src/io/node/compression.ts';
import { NodeDisk } from '../../src/io/node/disk.ts';
import { runCli } from '../cli/run_cli.ts';

/** Some start processes, which takes seconds where others are at work. */
vi.setConfig({ testTimeout: 120_000 });

const WHAT = 'the checksum of a record does not match';
let root = '';

/** The memory in which the first value of each block lies fails before the block is compressed. */
function failing(compression: Compression): Compression {
  return {
    ...compression,
    compress: (bytes) => {
      const changed = bytes.slice();
      const at = Buffer.from(changed.buffer, changed.byteOffset, changed.length).indexOf('xxx');
      if (at >= 0) changed[at] ^= 1;
      return compression.compress(changed);
    },
  };
}

function made(directory: string, compression: Compression): Promise<void> {
  mkdirSync(directory);
  const options = {
    disk: new NodeDisk({ reads: 'pread' }),
    directory,
    clock: new NodeClock(),
    logger: { log: () => {} },
    bufferedMs: 100,
    compressions: [failing(compression)],
    store: { compression: compression.name },
  };
  return new Promise((resolve, reject) => {
    const done = (error: Error | null): void => (error === null ? resolve() : reject(error));
    Engine.open(options, (outcome) => {
      if (!outcome.ok) return reject(outcome.error);
      const engine = outcome.value;
      for (let at = 0; at < 20; at++) {
        const value = utf8('x'.repeat(100));
        engine.write({ type: 'set', bucket: 'b', key: utf8(`k${at}`), value }, 'buffered', () => {});
      }
      engine.flush((error) => (error === null ? engine.close(done) : reject(error)));
    });
  });
}

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'envelopedb-compressed-'));
  for (const compression of nodeCompressions) await made(`${root}/${compression.name}`, compression);
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

describe.each(nodeCompressions.map(({ name }) => name))('a table compressed by %s', (name) => {
  it('has a record that verifyStore finds', async () => {
    const { damage } = await verifyStore(`${root}/${name}`);
    expect(damage).toMatchObject([{ offset: 0, what: expect.stringContaining(WHAT) as string }]);
  });

  it('has a record that a backup of the open store finds, and there is none then', async () => {
    await using db = await open(`${root}/${name}`, { background: 'steps' });
    const path = expect.stringContaining(`${root}/${name}/tables/table-`) as string;
    await expect(db.backup(`${root}/backup`)).rejects.toMatchObject({ code: 'CORRUPTION', path });
    expect(existsSync(`${root}/backup`)).toBe(false);
  });
});

describe('the command line', () => {
  it('finds such a record', async () => {
    const verified = await runCli(['verify', `${root}/deflate`]);
    expect([verified.code, verified.stdout]).toEqual([1, expect.stringContaining(WHAT)]);
    const copied = await runCli(['backup', `${root}/deflate`, `${root}/copy`]);
    expect([copied.code, copied.stderr]).toEqual([1, expect.stringContaining(WHAT)]);
    expect(existsSync(`${root}/copy`)).toBe(false);
  });
});
