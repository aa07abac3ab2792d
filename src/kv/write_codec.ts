/**
 * Writes as payloads of log entries. One byte says what it is, then varint lengths and bytes:
 * `01 bucket key value` (set; the value runs to the end), `02 bucket count key...` (delete).
 */
import { EnvelopeError } from '../base/errors.ts';
import { fromUtf8, utf8 } from '../codec/bytes.ts';
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from '../codec/varint.ts';
import { BUCKET_BYTES_MAX, type Write } from './request.ts';

const OpCode = { Set: 1, Delete: 2 } as const;

export function encodeWrite(write: Write): Uint8Array {
  const bucket = utf8(write.bucket);
  switch (write.type) {
    case 'set': {
      const { key, value } = write;
      const bytes = new Uint8Array(1 + 2 * VARINT_BYTES_MAX + bucket.length + key.length + value.length);
      bytes[0] = OpCode.Set;
      const at = writeBytes(bytes, writeBytes(bytes, 1, bucket), key);
      bytes.set(value, at);
      return bytes.subarray(0, at + value.length);
    }
    case 'delete': {
      let size = 1 + 2 * VARINT_BYTES_MAX + bucket.length;
      for (const key of write.keys) size += VARINT_BYTES_MAX + key.length;
      const bytes = new Uint8Array(size);
      bytes[0] = OpCode.Delete;
      let at = writeVarint(bytes, writeBytes(bytes, 1, bucket), write.keys.length);
      for (const key of write.keys) at = writeBytes(bytes, at, key);
      return bytes.subarray(0, at);
    }
  }
}

/**
 * Keys and values are views of `bytes`.
 * @throws EnvelopeError `FORMAT` when the bytes are not a write.
 */
export function decodeWrite(bytes: Uint8Array): Write {
  const reader = new VarintReader(bytes, 1);
  const bucket = fromUtf8(readBytes(bytes, reader, BUCKET_BYTES_MAX));
  switch (bytes[0]) {
    case OpCode.Set: {
      const key = readBytes(bytes, reader, bytes.length);
      return { type: 'set', bucket, key, value: bytes.subarray(reader.offset) };
    }
    case OpCode.Delete: {
      const count = reader.read();
      if (count < 0 || count > bytes.length) throw malformed(`a delete of ${count} keys`);
      const keys: Uint8Array[] = [];
      for (let i = 0; i < count; i++) keys.push(readBytes(bytes, reader, bytes.length));
      if (reader.offset !== bytes.length) throw malformed('bytes behind the last key');
      return { type: 'delete', bucket, keys };
    }
    default:
      throw malformed(`unknown operation ${bytes[0]}`);
  }
}

function writeBytes(target: Uint8Array, offset: number, bytes: Uint8Array): number {
  const at = writeVarint(target, offset, bytes.length);
  target.set(bytes, at);
  return at + bytes.length;
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
