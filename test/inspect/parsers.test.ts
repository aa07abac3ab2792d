/**
 * Whatever is in the files, those who read them answer with what they have read or with an error of ours: never with
 * another exception, never with none in a reasonable time. Bytes are changed under their checksums, and bytes are made for
 * which the checksums hold. Manifests and tables have a test of their own besides, in `test/lsm/damage_levels.test.ts`.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Target } from '../../src/backup/target.ts';
import { AssertionError, EnvelopeError } from '../../src/base/errors.ts';
import { concatBytes } from '../../src/codec/bytes.ts';
import { crc32 } from '../../src/codec/crc32.ts';
import { writeFrame } from '../../src/codec/frame.ts';
import { inspect } from '../../src/inspect/inspect.ts';
import { type Repair, repairStore } from '../../src/inspect/repair.ts';
import { salvageLog } from '../../src/inspect/salvage_log.ts';
import { verify } from '../../src/inspect/verify.ts';
import { BatchReader, checkEdits } from '../../src/kv/batch.ts';
import { decodeStored } from '../../src/kv/stored_value.ts';
import { decodeWrite, encodeWrite } from '../../src/kv/write_codec.ts';
import { RECORD_HEADER_BYTES, recordBytes } from '../../src/log/record.ts';
import { RecordWriter } from '../../src/log/record_writer.ts';
import { recoverLog } from '../../src/log/recovery.ts';
import { SEGMENT_HEADER_BYTES, writeSegmentHeader } from '../../src/log/segment_header.ts';
import { decodeEdit } from '../../src/lsm/manifest.ts';
import { damageInVotes, HardStateFile, readVotes } from '../../src/replica/hard_state_file.ts';
import { RecordUnpacker } from '../../src/replica/snapshot_codec.ts';
import { readSnapshotIdentity, SnapshotFileCursor } from '../../src/replica/snapshot_file.ts';
import { contentsIn, run } from '../backup/rig.ts';
import type { EngineRig } from '../embedded/rig.ts';
import { log as writes } from '../kv/arbitrary_writes.ts';
import { runs } from '../long.ts';
import { makeStore, replace } from './store_rig.ts';

/** What the parser returns, or null for an error of ours; anything else is thrown on. */
function answer<T>(parse: () => T): T | null {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof EnvelopeError) || error instanceof AssertionError) throw error;
    return null;
  }
}

function inProcess(rig: EngineRig, task: () => void): void {
  let failure: unknown = null;
  rig.process.run(() => {
    try {
      task();
    } catch (error) {
      failure = error;
    }
  });
  if (failure !== null) throw failure;
}

/** Real bytes with a few changes, cut short, grown longer, with zeros over a part, or anything. */
function mangled(real: Uint8Array): fc.Arbitrary<Uint8Array> {
  const place = fc.nat(Math.max(0, real.length - 1));
  return fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 8 }).map((changes) => {
      const bytes = real.slice();
      for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
      return bytes;
    }),
    place.map((length) => real.slice(0, length)),
    fc.uint8Array({ maxLength: 100 }).map((more) => concatBytes([real, more])),
    fc.tuple(place, place).map(([a, b]) => real.slice().fill(0, Math.min(a, b), Math.max(a, b))),
  );
}

describe('a store whose files hold anything', () => {
  it('is verified, inspected, opened and repaired with an answer or an error of ours', () => {
    const rig = makeStore('anything');
    const originals = rig.disk.files().map((path) => ({ path, bytes: rig.disk.readRaw(path) }));
    const changes = fc
      .constantFrom(...originals)
      .chain(({ path, bytes }) => fc.record({ path: fc.constant(path), bytes: mangled(bytes) }));
    let round = 0;
    let [opened, refused] = [0, 0];
    fc.assert(
      fc.property(fc.array(changes, { minLength: 1, maxLength: 3 }), (changed) => {
        for (const { path } of rig.disk.files().map((name) => ({ path: name }))) rig.disk.loseName(path);
        for (const { path, bytes } of originals) replace(rig, path, bytes);
        for (const { path, bytes } of changed) replace(rig, path, bytes);
        inProcess(rig, () => {
          const disk = rig.disk.attach(rig.process);
          answer(() => verify(disk, '/db'));
          for (const { path } of changed) answer(() => [...inspect(disk, path, { values: 'shown' })]);
        });
        const disk = rig.disk.attach(rig.process);
        const options = { clock: rig.clock, as: 'store', log: 'around', onProgress: () => {} } as const;
        const target = `/repaired-${round++}`;
        const repaired = run<Repair>(rig, () => repairStore(disk, '/db', new Target(disk, target), options));
        if (repaired?.ok === true) answer(() => expect(contentsIn(rig, target)).not.toBeInstanceOf(Error));
        else if (!(repaired?.error instanceof EnvelopeError)) throw repaired?.error ?? new Error('no answer');
        else expect(repaired.error).not.toBeInstanceOf(AssertionError);
        const found = answer(() => contentsIn(rig, '/db'));
        if (found instanceof Error) {
          refused++;
          expect(found).toBeInstanceOf(EnvelopeError);
          expect(found).not.toBeInstanceOf(AssertionError);
        } else opened++;
      }),
      { numRuns: runs(80) },
    );
    expect(opened).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
  }, 300_000);
});

describe('the parser of the log', () => {
  const number = fc.oneof(fc.nat(12), fc.constantFrom(2 ** 32, Number.MAX_SAFE_INTEGER), fc.maxSafeNat());
  const record = fc.record({
    kind: fc.constantFrom('entry', 'entry', 'entry', 'marker', 'reset'),
    group: fc.constantFrom(1, 1, 1, 0, 2, 0xffffffff),
    index: number,
    term: fc.oneof(fc.constant(1), fc.nat(3), number),
    termBefore: fc.nat(3),
    entryKind: fc.constantFrom(0, 1, 2),
    payload: fc.uint8Array({ maxLength: 40 }),
  });

  /** A segment of records that make no sense together, each with checksums that hold. */
  function segmentOf(
    segment: number,
    previousEnd: number,
    records: readonly (typeof record extends fc.Arbitrary<infer R> ? R : never)[],
  ): Uint8Array {
    const size = records.reduce(
      (sum, { payload }) => sum + recordBytes(payload.length),
      SEGMENT_HEADER_BYTES,
    );
    const bytes = new Uint8Array(size);
    writeSegmentHeader(bytes, 0, { segment, previousEnd });
    const writer = new RecordWriter();
    let at = SEGMENT_HEADER_BYTES;
    for (const { kind, group, index, term, termBefore, entryKind, payload } of records) {
      if (kind === 'marker') writer.writeMarker(bytes, at, segment, index);
      else if (kind === 'reset') writer.writeReset(bytes, at, segment, at, { group, index, term });
      else {
        const entry = { index, term, kind: entryKind as 0 | 1 | 2, payload };
        writer.writeEntry(bytes, at, segment, at, group, entry, termBefore);
      }
      at += kind === 'entry' ? recordBytes(payload.length) : RECORD_HEADER_BYTES;
    }
    return bytes.subarray(0, at);
  }

  it('meets records of which all checksums hold, and which make no sense, with an answer or an error of ours', () => {
    const rig = makeStore('log');
    let [read, refused] = [0, 0];
    fc.assert(
      fc.property(
        fc.array(fc.array(record, { maxLength: 8 }), { minLength: 1, maxLength: 3 }),
        fc.constantFrom(1, 1, 7),
        (segments, first) => {
          for (const path of rig.disk.files()) if (path.startsWith('/db/log/')) rig.disk.loseName(path);
          let previousEnd = first === 1 ? 0 : 4096;
          for (const [at, records] of segments.entries()) {
            const bytes = segmentOf(first + at, previousEnd, records);
            replace(rig, `/db/log/${String(first + at).padStart(6, '0')}.log`, bytes);
            previousEnd = bytes.length;
          }
          inProcess(rig, () => {
            const disk = rig.disk.attach(rig.process);
            if (answer(() => recoverLog(disk, '/db/log')) === null) refused++;
            else read++;
            const salvaged = answer(() => salvageLog(disk, '/db/log', 1));
            const span = (salvaged?.lastIndex ?? 0) - (salvaged?.firstIndex ?? 0);
            for (let index = 0; index < Math.min(span, 20); index++) {
              salvaged?.entry((salvaged.firstIndex ?? 0) + index);
            }
          });
        },
      ),
      { numRuns: runs(300) },
    );
    expect(read).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
  });
});

describe('the parser of term and vote', () => {
  it('meets any bytes with an answer or an error of ours', () => {
    const rig = makeStore('votes');
    inProcess(rig, () => {
      HardStateFile.open(
        { disk: rig.disk.attach(rig.process), directory: '/db', group: 1, node: 2 },
        (opened) => {
          if (opened.ok) opened.value.save({ term: 3, vote: 1 }, () => {});
        },
      );
    });
    rig.pass(1_000_000);
    const real = rig.disk.readRaw('/db/vote-a');
    const sealed = fc.uint8Array({ minLength: 44, maxLength: 44 }).map((fields) => {
      const bytes = new Uint8Array(48);
      bytes.set(fields);
      bytes.set([0x45, 0x48, 0x53, 0x54]);
      new DataView(bytes.buffer).setUint32(44, crc32(bytes.subarray(0, 44)), true);
      return bytes;
    });
    const copies = fc.oneof(mangled(real), sealed);
    fc.assert(
      fc.property(copies, copies, (a, b) => {
        replace(rig, '/db/vote-a', a);
        replace(rig, '/db/vote-b', b);
        inProcess(rig, () => {
          const disk = rig.disk.attach(rig.process);
          answer(() => damageInVotes(disk, '/db'));
          answer(() => [...readVotes(a, '/db/vote-a')]);
        });
        let outcome: unknown = null;
        inProcess(rig, () => {
          const options = { disk: rig.disk.attach(rig.process), directory: '/db', group: 1, node: 2 };
          HardStateFile.open(options, (opened) => {
            outcome = opened.ok ? opened.value.close() : opened.error;
          });
        });
        rig.pass(1_000_000);
        if (outcome instanceof Error) {
          expect(outcome).toBeInstanceOf(EnvelopeError);
          expect(outcome).not.toBeInstanceOf(AssertionError);
        } else expect(outcome).toBeUndefined();
      }),
      { numRuns: runs(200) },
    );
  });
});

describe('the parser of a fetched snapshot', () => {
  const body = fc
    .tuple(fc.constantFrom(1, 2, 2, 3, 9), fc.uint8Array({ maxLength: 30 }))
    .map(([kind, content]) => Uint8Array.of(kind, ...content));

  it('meets frames of which all checksums hold, and any bytes, with an answer or an error of ours', () => {
    const rig = makeStore('snapshot');
    const frames = fc.array(body, { maxLength: 6 }).map((bodies) => concatBytes(bodies.map(writeFrame)));
    /** With the end that says that nothing is missing. */
    const ended = fc.array(body, { maxLength: 6 }).map((bodies) => {
      const checksum = bodies.reduce((sum, one) => crc32(one, sum), 0);
      const end = new Uint8Array(5);
      end[0] = 3;
      new DataView(end.buffer).setUint32(1, checksum, true);
      return concatBytes([...bodies, end].map(writeFrame));
    });
    fc.assert(
      fc.property(fc.oneof(frames, ended, fc.uint8Array({ maxLength: 100 })), (bytes) => {
        replace(rig, '/db/snapshot', bytes);
        inProcess(rig, () => {
          const disk = rig.disk.attach(rig.process);
          answer(() => readSnapshotIdentity(disk, '/db/snapshot'));
          answer(() => {
            const cursor = new SnapshotFileCursor(disk, '/db/snapshot');
            for (cursor.seekToFirst(); cursor.isValid; cursor.next()) cursor.key.slice();
            cursor.close();
          });
        });
      }),
      { numRuns: runs(400) },
    );
  });

  it('meets any records with an answer or an error of ours', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        answer(() => {
          const records = new RecordUnpacker(bytes);
          while (records.next()) expect(records.key.length + records.value.length).toBeLessThan(60);
        });
      }),
      { numRuns: runs(500) },
    );
  });
});

describe('the parsers of what a log entry, an edit and a value hold', () => {
  it('meet any bytes with an answer or an error of ours', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.constantFrom(1, 2, 3, 4), (bytes, operation) => {
        answer(() => decodeWrite(bytes));
        // As an operation that there is, so that its fields are looked at.
        answer(() => decodeWrite(Uint8Array.of(operation, 0, ...bytes)));
        answer(() => decodeEdit(bytes, 'manifest-1', 0));
        answer(() => decodeStored(bytes).value);
        const isBatch = answer(() => checkEdits(bytes) ?? true) === true;
        const reader = new BatchReader(bytes);
        // What has been checked is read without an error.
        if (isBatch) while (reader.next()) reader.key.slice();
      }),
      { numRuns: runs(2000) },
    );
  });

  it('meet a write with a few bytes changed, or cut short, with an answer or an error of ours', () => {
    fc.assert(
      fc.property(
        writes
          .map((entries) => entries.map(({ write, timeMs }) => encodeWrite(write, timeMs).slice()))
          .chain((payloads) => fc.tuple(...payloads.slice(0, 8).map(mangled))),
        (payloads) => {
          for (const bytes of payloads) answer(() => decodeWrite(bytes));
        },
      ),
      { numRuns: runs(200) },
    );
  });
});
