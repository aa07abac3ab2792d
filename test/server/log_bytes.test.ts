/** The log takes a bounded place on the disk, whatever is written. */
import { describe, expect, it } from 'vitest';
import type { NodeOptions } from '../../src/server/node.ts';
import { ServerRig } from './rig.ts';

const SEGMENT_BYTES = 4096;
const LOG_BYTES_MAX = 40_000;
/** The segment that is written to, the next one, and one that is about to go; a batch may make one of them longer. */
const ALLOWED_BYTES = LOG_BYTES_MAX + 4 * SEGMENT_BYTES;

function options(memtableBytes: number, logTailEntries: number | null): Partial<NodeOptions> {
  return {
    log: { segmentBytes: SEGMENT_BYTES, cacheBytes: 4096 },
    store: { memtableBytes, blockBytes: 256 },
    snapshots: {
      logTailEntries,
      logBytesMax: LOG_BYTES_MAX,
      chunkBytes: 500,
      bytesPerSecondMax: 1_000_000,
    },
  };
}

/** What the files of each node's log take. */
function storedBytes(rig: ServerRig): number[] {
  return rig.machines.map(({ disk }) =>
    disk
      .files()
      .filter((path) => path.startsWith('/data/log/'))
      .reduce((sum, path) => sum + disk.sizeOf(path), 0),
  );
}

describe('the log of a node', () => {
  it('keeps a tail of so many bytes for those who lag, where entries would allow more', () => {
    const rig = new ServerRig(3, options(4096, 1_000_000));
    const client = rig.connect(rig.leader());
    let most = 0;
    for (let n = 0; n < 60; n++) {
      expect(client.ask(`SET k${n % 7} ${'x'.repeat(1500)}\r\n`.repeat(4), 60)).toBe('+OK\r\n'.repeat(4));
      most = Math.max(most, ...storedBytes(rig));
    }
    expect(most).toBeLessThan(ALLOWED_BYTES);
    // Who lags a little is not sent a snapshot: most of what is allowed is kept.
    for (const bytes of storedBytes(rig)) expect(bytes).toBeGreaterThan(LOG_BYTES_MAX / 2);
  });

  it('has the store flushed when entries that fill no memtable fill the log', () => {
    const rig = new ServerRig(3, options(1024 * 1024, 10));
    const client = rig.connect(rig.leader());
    expect(client.ask('SET k first\r\n')).toBe('+OK\r\n');
    let most = 0;
    for (let n = 0; n < 60; n++) {
      client.ask(`SETNX k ${'x'.repeat(1500)}\r\n`.repeat(4), 60);
      most = Math.max(most, ...storedBytes(rig));
    }
    expect(most).toBeLessThan(ALLOWED_BYTES);
    expect(client.ask('GET k\r\n')).toBe('$5\r\nfirst\r\n');
  });

  it('loses nothing with what it gives up, also when power fails', () => {
    const rig = new ServerRig(3, options(4096, 1_000_000));
    const client = rig.connect(rig.leader());
    for (let n = 0; n < 120; n++) client.ask(`SET key:${n} ${String(n).repeat(400)}\r\n`, 30);
    for (const { id } of rig.machines) rig.crash(id);
    for (const { id } of rig.machines) rig.boot(id);
    rig.run(3000);
    const again = rig.connect(rig.leader());
    for (let n = 0; n < 120; n++) {
      const value = String(n).repeat(400);
      expect(again.ask(`GET key:${n}\r\n`, 20)).toBe(`$${value.length}\r\n${value}\r\n`);
    }
  });

  it('is kept whole where that is asked for', () => {
    const rig = new ServerRig(1, options(4096, null));
    const client = rig.connect(rig.leader());
    for (let n = 0; n < 40; n++) client.ask(`SET k ${'x'.repeat(1500)}\r\n`, 30);
    expect(rig.machine(1).node?.groupLog.firstIndex).toBe(1);
  });
});
