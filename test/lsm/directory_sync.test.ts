import { describe, expect, it } from 'vitest';
import { DiskError } from '../../src/base/errors.ts';
import type { Disk } from '../../src/io/disk.ts';
import { DirectorySync } from '../../src/lsm/directory_sync.ts';

type Done = (error: DiskError | null) => void;

/** Answers a sync when the test says so. */
class Device {
  readonly pending: Done[] = [];
  readonly told: string[] = [];
  readonly names = new DirectorySync(
    { syncDirectory: (_path: string, done: Done) => this.pending.push(done) } as unknown as Disk,
    '/tables',
  );

  ask(name: string): void {
    this.names.sync((error) => this.told.push(`${name} ${error === null ? 'durable' : error.errno}`));
  }

  answer(error: DiskError | null): void {
    this.pending.shift()?.(error);
  }
}

const EIO = new DiskError('syncDirectory', '/tables', 'EIO', 'the sync has failed');

describe('the sync of names', () => {
  it('tells each by a sync that was started after it asked', () => {
    const device = new Device();
    device.ask('a');
    device.ask('b');
    device.ask('c');
    expect(device.pending.length).toBe(1);
    device.answer(null);
    expect(device.told).toEqual(['a durable']);
    expect(device.pending.length).toBe(1);
    device.answer(null);
    expect(device.told).toEqual(['a durable', 'b durable', 'c durable']);
    expect(device.pending.length).toBe(0);
  });

  it('fails for all who wait when one fails, and for all who come later', () => {
    const device = new Device();
    device.ask('a');
    device.ask('b');
    device.answer(EIO);
    expect(device.told).toEqual(['a EIO', 'b EIO']);
    expect(device.pending.length).toBe(0);
    device.ask('c');
    device.answer(null);
    expect(device.told).toEqual(['a EIO', 'b EIO', 'c EIO']);
  });

  it('lets who is told ask again', () => {
    const device = new Device();
    device.names.sync(() => device.ask('again'));
    device.answer(null);
    device.answer(null);
    expect(device.told).toEqual(['again durable']);
  });
});
