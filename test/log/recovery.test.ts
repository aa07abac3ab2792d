import { describe, expect, it } from 'vitest';
import { CorruptionError } from '../../src/base/errors.ts';
import { crc32 } from '../../src/codec/crc32.ts';
import { placeSeed } from '../../src/log/record.ts';
import { RecordWriter } from '../../src/log/record_writer.ts';
import { DIRECTORY, describeEntry, dump, entry, Machine } from './harness.ts';

const SEGMENT_1 = `${DIRECTORY}/000001.log`;
const SEGMENT_2 = `${DIRECTORY}/000002.log`;
/** A record of 512 bytes, so that one is a sector's worth. */
const PAYLOAD = 472;

function big(index: number, term = 1) {
  return entry(index, term, new Uint8Array(PAYLOAD).fill(index * 16 + term));
}

/** A log of three records that one sync made durable, at offsets 32, 544 and 1056, and a marker at 1568. */
function threeRecords(): Machine {
  const machine = new Machine();
  const log = machine.open();
  for (let index = 1; index <= 3; index++) log.group(5).append(big(index));
  log.flush();
  machine.settle();
  machine.restart(machine.disk.kill());
  return machine;
}

function change(machine: Machine, path: string, edit: (bytes: Uint8Array) => void): void {
  const bytes = machine.disk.contents(path);
  edit(bytes);
  machine.disk.overwrite(path, bytes);
}

/** As a later version might write it: other bytes, under a right checksum. */
function forgeHeader(bytes: Uint8Array, offset: number, edit: (header: Uint8Array) => void): void {
  const header = bytes.subarray(offset, offset + 36);
  edit(header);
  new DataView(bytes.buffer).setUint32(offset + 36, crc32(header, placeSeed(1, offset)), true);
}

describe('a torn tail', () => {
  it('is cut silently where nothing attests it, however much behind it is intact', () => {
    const machine = threeRecords();
    change(machine, SEGMENT_1, (bytes) => {
      bytes[600] ^= 1;
      bytes.fill(0, 1568);
    });
    expect(dump(machine.open(), 5)).toEqual([describeEntry(big(1))]);
    expect(machine.events).toEqual([
      { level: 'info', event: 'log-torn-tail-cut', fields: { path: SEGMENT_1, offset: 544, bytes: 1024 } },
    ]);
    expect(
      machine.disk
        .contents(SEGMENT_1)
        .subarray(544)
        .every((byte) => byte === 0),
    ).toBe(true);
  });

  it('never comes back to life behind a new record of the same size', () => {
    const machine = threeRecords();
    change(machine, SEGMENT_1, (bytes) => bytes.fill(0, 544, 1056).fill(0, 1568));
    let log = machine.open();
    log.group(5).append(entry(2, 1, new Uint8Array(PAYLOAD - 40)));
    log.flush();
    machine.finish();
    machine.restart(machine.disk.crash(() => 0));
    log = machine.open();
    expect(log.group(5).lastIndex).toBe(2);
  });

  it('is gone for good before the log takes an entry, so that no crash brings it back', () => {
    const machine = threeRecords();
    change(machine, SEGMENT_1, (bytes) => bytes.fill(0, 544, 1056).fill(0, 1568));
    machine.open();
    machine.restart(machine.disk.crash(() => 0));
    expect(
      machine.disk
        .contents(SEGMENT_1)
        .subarray(544)
        .every((byte) => byte === 0),
    ).toBe(true);
  });

  it('may be the file cut in the middle of a record', () => {
    const machine = threeRecords();
    for (const size of [545, 600, 1055]) {
      machine.disk.overwrite(SEGMENT_1, machine.disk.contents(SEGMENT_1).slice(0, size));
      const log = machine.open();
      expect(dump(log, 5)).toEqual([describeEntry(big(1))]);
      log.group(5).append(big(2));
      log.flush();
      machine.close(log);
    }
  });

  it('includes a segment that was only begun', () => {
    const machine = new Machine({ segmentBytes: 512, preallocate: 'never' });
    const log = machine.open();
    log.group(5).append(big(1));
    log.flush();
    machine.finish();
    log.group(5).append(big(2));
    log.flush();
    machine.finish();
    machine.restart(machine.disk.kill());
    for (const edit of [
      (bytes: Uint8Array) => bytes.fill(0),
      (bytes: Uint8Array) => bytes.fill(0, 0, 32),
      (bytes: Uint8Array) => bytes.fill(0, 8, 9),
    ]) {
      change(machine, SEGMENT_2, edit);
      const again = machine.open();
      expect(dump(again, 5)).toEqual([describeEntry(big(1))]);
      again.group(5).append(big(2));
      again.flush();
      machine.finish();
      machine.restart(machine.disk.kill());
    }
    expect(dump(machine.open(), 5)).toEqual([big(1), big(2)].map(describeEntry));
  });
});

describe('the end of a full segment', () => {
  it('is durable before the next one is begun, the marker of a log at rest included', () => {
    for (const preallocate of ['ahead', 'never'] as const) {
      const machine = new Machine({ segmentBytes: 512, preallocate });
      const log = machine.open();
      log.group(5).append(big(1));
      log.flush();
      machine.settle();
      log.group(5).append(big(2));
      log.flush();
      machine.finish();
      expect(log.statistics().segments).toBe(2);
      machine.restart(machine.disk.crash(() => 0));
      expect(dump(machine.open(), 5)).toEqual([big(1), big(2)].map(describeEntry));
    }
  });
});

describe('damage', () => {
  it('of a payload names the entry', () => {
    const machine = threeRecords();
    change(machine, SEGMENT_1, (bytes) => {
      bytes[700] ^= 1;
    });
    expect(machine.tryOpen()).toMatchObject({
      ok: false,
      error: {
        path: SEGMENT_1,
        offset: 544,
        message: expect.stringContaining('the payload of group 5 index 2 term 1'),
      },
    });
  });

  it('of a header names the entries around it', () => {
    const machine = threeRecords();
    change(machine, SEGMENT_1, (bytes) => {
      bytes[550] ^= 1;
    });
    const around = 'before it is group 5 index 1 term 1, behind it group 5 index 3 term 1 at offset 1056';
    expect(machine.tryOpen()).toMatchObject({
      ok: false,
      error: { path: SEGMENT_1, offset: 544, message: expect.stringContaining(around) },
    });
  });

  it('of the last record is told from a torn tail by the marker that a log at rest leaves', () => {
    const machine = threeRecords();
    change(machine, SEGMENT_1, (bytes) => {
      bytes[1100] ^= 1;
    });
    expect(machine.tryOpen()).toMatchObject({ ok: false, error: { code: 'CORRUPTION', offset: 1056 } });
  });

  it('is a lost write under records that were durable', () => {
    const machine = threeRecords();
    change(machine, SEGMENT_1, (bytes) => bytes.fill(0, 32, 1568));
    expect(machine.tryOpen()).toMatchObject({ ok: false, error: { code: 'CORRUPTION', offset: 32 } });
  });

  it('is a record in the place of another, although it could stand there', () => {
    const machine = threeRecords();
    change(machine, SEGMENT_1, (bytes) => bytes.copyWithin(1056, 544, 1056));
    expect(machine.tryOpen()).toMatchObject({ ok: false, error: { code: 'CORRUPTION', offset: 1056 } });
  });

  it('is an index that does not follow, under whatever checksum', () => {
    const machine = threeRecords();
    change(machine, SEGMENT_1, (bytes) =>
      forgeHeader(bytes, 544, (header) => {
        header[16] = 3;
      }),
    );
    expect(machine.tryOpen()).toMatchObject({ ok: false, error: { code: 'CORRUPTION', offset: 544 } });
  });

  it('is known by the next batch where the log has not been at rest', () => {
    const machine = new Machine();
    const log = machine.open();
    for (let index = 1; index <= 2; index++) {
      log.group(5).append(big(index));
      log.flush();
      machine.finish();
    }
    machine.restart(machine.disk.kill());
    change(machine, SEGMENT_1, (bytes) => {
      bytes[100] ^= 1;
    });
    expect(machine.tryOpen()).toMatchObject({ ok: false, error: { code: 'CORRUPTION', offset: 32 } });
  });

  it('is a missing segment, or one cut short', () => {
    const machine = new Machine({ segmentBytes: 256 });
    const log = machine.open();
    for (let index = 1; index <= 3; index++) {
      log.group(5).append(big(index));
      log.flush();
      machine.finish();
    }
    machine.close(log);
    const segment = machine.disk.contents(SEGMENT_2);
    machine.disk.overwrite(SEGMENT_2, segment.slice(0, 500));
    expect(machine.tryOpen()).toMatchObject({
      ok: false,
      error: { code: 'CORRUPTION', path: SEGMENT_2, offset: 32 },
    });
    machine.disk.remove(SEGMENT_2);
    expect(machine.tryOpen()).toMatchObject({ ok: false, error: { code: 'CORRUPTION', path: SEGMENT_2 } });
  });

  it('that comes while the log is open is found when the entry is read', () => {
    const machine = new Machine({ cacheBytes: 0 });
    const log = machine.open();
    for (let index = 1; index <= 30; index++) {
      log.group(5).append(big(index));
      log.flush();
      machine.finish();
    }
    const rotten = 32 + 512 + 552;
    expect(describeEntry(log.group(5).entry(3))).toBe(describeEntry(big(3)));
    machine.disk.flipBit(SEGMENT_1, rotten + 100);
    expect(() => log.group(5).entry(3)).toThrow(CorruptionError);
    expect(() => log.group(5).entry(3)).toThrow('group 5 index 3 term 1');
    expect(describeEntry(log.group(5).entry(4))).toBe(describeEntry(big(4)));
  });
});

describe('a log that a new leader has replaced from early on', () => {
  // Of the first leader's four entries the last stands in the second segment, before those that replace them.
  for (const damage of ['refuse', 'name'] as const) {
    for (const from of [1, 2, 3, 4]) {
      for (const compactedTo of [0, 1, 2, 3, 5]) {
        it(`is what it was: from entry ${from} on, compacted to ${compactedTo}, damage: ${damage}`, () => {
          const machine = new Machine({ segmentBytes: 400, cacheBytes: 0, damage });
          const log = machine.open();
          const put = (index: number, term: number): void => {
            log.group(0).append(entry(index, term, new Uint8Array(80).fill(16 * term + index)));
            log.flush();
            machine.finish();
          };
          for (let index = 1; index <= 4; index++) put(index, 1);
          for (let index = from; index <= 6; index++) put(index, 2);
          if (compactedTo > 0) log.group(0).compact(compactedTo);
          machine.settle();
          const before = dump(log, 0);
          const { firstIndex } = log.group(0);
          machine.close(log);
          const group = machine.open().group(0);
          // What was compacted may be seen again.
          expect(group.firstIndex).toBeLessThanOrEqual(firstIndex);
          expect(group.lastIndex).toBe(6);
          expect(group.entries(firstIndex, 7, Number.POSITIVE_INFINITY).map(describeEntry)).toEqual(before);
        });
      }
    }
  }
});

describe('what a later version wrote', () => {
  it.each([
    ['version 2', 3, 2],
    ['kind 9', 4, 9],
    ['entry kind 77', 5, 77],
  ])('is refused by name: %s', (what, at, value) => {
    const machine = threeRecords();
    change(machine, SEGMENT_1, (bytes) =>
      forgeHeader(bytes, 544, (header) => {
        header[at] = value;
      }),
    );
    expect(machine.tryOpen()).toMatchObject({
      ok: false,
      error: { code: 'LOG_FORMAT', message: expect.stringContaining(what) },
    });
  });
});

describe('a payload that holds bytes of a log', () => {
  it('is not taken for part of this one', () => {
    const other = new Machine();
    const long = other.open();
    for (let index = 1; index <= 10; index++) long.group(5).append(big(index));
    long.flush();
    other.settle();
    const stored = other.disk.contents(SEGMENT_1).slice(0, 10_000);

    const machine = threeRecords();
    let log = machine.open();
    log.group(5).append(entry(4, 1, stored));
    log.flush();
    machine.finish();
    machine.restart(machine.disk.kill());
    // The header of its record is torn: now everything in the payload is looked at.
    change(machine, SEGMENT_1, (bytes) => {
      bytes[1608] ^= 1;
    });
    log = machine.open();
    expect(log.group(5).lastIndex).toBe(3);
  });

  it('is not searched for attestations, even where a marker is made up for its place', () => {
    const machine = threeRecords();
    let log = machine.open();
    const payload = new Uint8Array(PAYLOAD);
    new RecordWriter().writeMarker(payload, 0, 1, 1608 + 512 + 40);
    log.group(5).append(big(4));
    log.group(5).append(entry(5, 1, payload));
    log.flush();
    machine.finish();
    machine.restart(machine.disk.kill());
    change(machine, SEGMENT_1, (bytes) => bytes.fill(0, 1608, 1608 + 512));
    log = machine.open();
    expect(log.group(5).lastIndex).toBe(3);
  });
});
