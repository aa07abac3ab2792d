import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EnvelopeError } from '../../src/base/errors.ts';
import { utf8 } from '../../src/codec/bytes.ts';
import { BatchReader, BatchWriter, checkEdits, EditKind, expires } from '../../src/kv/batch.ts';

interface Edit {
  readonly bucket: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  readonly ttlMs: number;
}

const edit: fc.Arbitrary<Edit> = fc.record({
  bucket: fc.constantFrom('a', 'b', 'ünï', 'x'.repeat(255)),
  key: fc.uint8Array({ maxLength: 300 }),
  value: fc.option(fc.uint8Array({ maxLength: 300 }), { nil: null }),
  ttlMs: fc.constantFrom(0, 1, 127, 128, 1e14),
});

function written(edits: readonly Edit[]): Uint8Array {
  const writer = new BatchWriter();
  // What a cleared batch held leaves no trace.
  writer.put('before', utf8('k'), utf8('v'), 5);
  writer.clear();
  for (const { bucket, key, value, ttlMs } of edits) {
    if (value === null) writer.delete(bucket, key);
    else writer.put(bucket, key, value, ttlMs);
  }
  expect(writer.size).toBe(edits.length);
  expect(writer.sizeBytes).toBe(writer.edits.length);
  return writer.edits.slice();
}

describe('the edits of a batch', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(fc.array(edit, { maxLength: 20 }), (edits) => {
        const bytes = written(edits);
        checkEdits(bytes);
        expect(expires(bytes)).toBe(edits.some(({ value, ttlMs }) => value !== null && ttlMs > 0));
        const reader = new BatchReader(bytes);
        for (const { bucket, key, value, ttlMs } of edits) {
          expect(reader.next()).toBe(true);
          expect(reader.bucket).toBe(bucket);
          expect(reader.key).toEqual(key);
          if (value === null) expect(reader.kind).toBe(EditKind.Delete);
          else {
            expect(reader.kind).toBe(ttlMs === 0 ? EditKind.Put : EditKind.PutForTime);
            expect(reader.value).toEqual(value);
            expect(reader.ttlMs).toBe(ttlMs);
          }
        }
        expect(reader.next()).toBe(false);
      }),
    );
  });

  it('are refused, or are edits, whatever the bytes', () => {
    fc.assert(
      fc.property(
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        fc.nat(),
        fc.nat({ max: 255 }),
        fc.nat({ max: 5 }),
        (edits, at, byte, cut) => {
          const bytes = written(edits);
          bytes[at % bytes.length] = byte;
          const damaged = bytes.subarray(0, bytes.length - Math.min(cut, bytes.length));
          try {
            checkEdits(damaged);
          } catch (error) {
            expect(error).toBeInstanceOf(EnvelopeError);
            return;
          }
          // What is accepted can be gone through, and reads nothing from outside.
          const reader = new BatchReader(damaged);
          let bytesRead = 0;
          while (reader.next()) bytesRead += reader.key.length;
          expect(bytesRead).toBeLessThanOrEqual(damaged.length);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('are cut short nowhere without a refusal', () => {
    const bytes = written([{ bucket: 'b', key: utf8('key'), value: utf8('value'), ttlMs: 0 }]);
    for (let length = 0; length < bytes.length; length++) {
      // One byte alone says that there are no edits.
      if (length !== 1) expect(() => checkEdits(bytes.subarray(0, length))).toThrow('a batch is malformed');
    }
  });
});
