/**
 * Writes as payloads of log entries. One byte says what it is, then the leader's wall time when it took the write, in
 * milliseconds, as a varint, then varint lengths and bytes:
 *
 * - `01 time bucket key value` (SET; the value runs to the end);
 * - `02 time bucket count key...` (DEL);
 * - `03 time request`: any other, as the MessagePack array that nodes forward;
 * - `04 time edits` (a batch, see `batch.ts`; the edits run to the end).
 */
import { Decoder, Encoder } from '@msgpack/msgpack';
import { EnvelopeError } from '../base/errors.ts';
import { copyRange, fromUtf8 } from '../codec/bytes.ts';
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from '../codec/varint.ts';
import { checkEdits } from './batch.ts';
import { bucketName } from './key_space.ts';
import { BUCKET_BYTES_MAX, isAdministration, isWrite, TIME_MS_MAX, type Write } from './request.ts';
import { decodeRequest, encodeRequest } from './request_codec.ts';

const OpCode = { Set: 1, Delete: 2, Other: 3, Batch: 4 } as const;

/** A write as it travels: what replicas know of time is what the leader wrote into the entry. */
export interface TimedWrite {
  readonly timeMs: number;
  readonly write: Write;
}

const encoder = new Encoder();
const decoder = new Decoder();

/** @param timeMs Clamped to whole milliseconds from 0 on: a clock may show anything. */
export function encodeWrite(write: Write, timeMs: number): Uint8Array {
  return encode(write, timeMs, makeBytes);
}

/** As `encodeWrite`, in memory that the next call of this function writes over: for who copies it at once. */
export function lendEncodedWrite(write: Write, timeMs: number): Uint8Array {
  return encode(write, timeMs, lendBytes);
}

/** What most writes fit into, those of batches included. */
const SCRATCH_BYTES = 128 * 1024;
let scratch: Uint8Array | null = null;

function makeBytes(length: number): Uint8Array {
  return new Uint8Array(length);
}

function lendBytes(length: number): Uint8Array {
  if (length > SCRATCH_BYTES) return new Uint8Array(length);
  scratch ??= new Uint8Array(SCRATCH_BYTES);
  return scratch;
}

/** @param allocate Gives memory of so many bytes or more, whatever is in it. */
function encode(write: Write, timeMs: number, allocate: (bytes: number) => Uint8Array): Uint8Array {
  const time = Math.min(Math.max(0, Math.floor(timeMs)), TIME_MS_MAX);
  switch (write.type) {
    case 'set': {
      const bucket = bucketName(write.bucket);
      const { key, value } = write;
      const bytes = allocate(1 + 3 * VARINT_BYTES_MAX + bucket.length + key.length + value.length);
      bytes[0] = OpCode.Set;
      const at = writeBytes(bytes, writeBytes(bytes, writeVarint(bytes, 1, time), bucket), key);
      return bytes.subarray(0, copyRange(bytes, at, value, 0, value.length));
    }
    case 'delete': {
      const bucket = bucketName(write.bucket);
      let size = 1 + 3 * VARINT_BYTES_MAX + bucket.length;
      for (const key of write.keys) size += VARINT_BYTES_MAX + key.length;
      const bytes = allocate(size);
      bytes[0] = OpCode.Delete;
      let at = writeBytes(bytes, writeVarint(bytes, 1, time), bucket);
      at = writeVarint(bytes, at, write.keys.length);
      for (const key of write.keys) at = writeBytes(bytes, at, key);
      return bytes.subarray(0, at);
    }
    case 'batch': {
      const { edits } = write;
      const bytes = allocate(1 + VARINT_BYTES_MAX + edits.length);
      bytes[0] = OpCode.Batch;
      const at = writeVarint(bytes, 1, time);
      bytes.set(edits, at);
      return bytes.subarray(0, at + edits.length);
    }
    default: {
      const packed = encoder.encodeSharedRef(encodeRequest(write));
      const bytes = allocate(1 + VARINT_BYTES_MAX + packed.length);
      bytes[0] = OpCode.Other;
      const at = writeVarint(bytes, 1, time);
      bytes.set(packed, at);
      return bytes.subarray(0, at + packed.length);
    }
  }
}

/**
 * Keys and values are views of `bytes`.
 * @throws EnvelopeError `FORMAT` when the bytes are not a write.
 */
export function decodeWrite(bytes: Uint8Array): TimedWrite {
  const reader = new VarintReader(bytes, 1);
  const timeMs = reader.read();
  if (timeMs < 0 || timeMs > TIME_MS_MAX) throw malformed('its time is not one');
  switch (bytes[0]) {
    case OpCode.Set: {
      const bucket = fromUtf8(readBytes(bytes, reader, BUCKET_BYTES_MAX));
      const key = readBytes(bytes, reader, bytes.length);
      return { timeMs, write: { type: 'set', bucket, key, value: bytes.subarray(reader.offset) } };
    }
    case OpCode.Delete: {
      const bucket = fromUtf8(readBytes(bytes, reader, BUCKET_BYTES_MAX));
      const count = reader.read();
      if (count < 0 || count > bytes.length) throw malformed(`a delete of ${count} keys`);
      const keys: Uint8Array[] = [];
      for (let i = 0; i < count; i++) keys.push(readBytes(bytes, reader, bytes.length));
      if (reader.offset !== bytes.length) throw malformed('bytes behind the last key');
      return { timeMs, write: { type: 'delete', bucket, keys } };
    }
    case OpCode.Batch: {
      const edits = bytes.subarray(reader.offset);
      checkEdits(edits);
      return { timeMs, write: { type: 'batch', edits } };
    }
    case OpCode.Other: {
      const request = decodeRequest(unpack(bytes.subarray(reader.offset)));
      if (!isWrite(request) || isAdministration(request)) throw malformed(`'${request.type}' is no write`);
      if (request.type === 'batch') throw malformed('a batch has a form of its own');
      return { timeMs, write: request };
    }
    default:
      throw malformed(`unknown operation ${bytes[0]}`);
  }
}

function unpack(bytes: Uint8Array): readonly unknown[] {
  let value: unknown;
  try {
    value = decoder.decode(bytes);
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : String(error));
  }
  if (!Array.isArray(value)) throw malformed('it is not a list');
  return value;
}

function writeBytes(target: Uint8Array, offset: number, bytes: Uint8Array): number {
  return copyRange(target, writeVarint(target, offset, bytes.length), bytes, 0, bytes.length);
}

function readBytes(bytes: Uint8Array, reader: VarintReader, bytesMax: number): Uint8Array {
  const length = reader.read();
  const start = reader.offset;
  if (length < 0 || length > bytesMax || start + length > bytes.length)
    throw malformed('a field is cut short');
  reader.offset = start + length;
  return bytes.subarray(start, start + length);
}

function malformed(what: string): EnvelopeError {
  return new EnvelopeError('FORMAT', `a write is malformed: ${what}`);
}
