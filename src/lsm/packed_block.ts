/**
 * Data blocks of tables with compression: each says for itself whether it is compressed, for what compression makes hardly
 * smaller stays as it is.
 *
 *   packed: varint length of the contents | compressed contents | 1 | CRC
 *   plain:  contents | 0 | CRC
 *
 * The contents are a block as without compression, but for its CRC (see `block_writer.ts`). The CRC here is over all bytes
 * before it, so damage is noticed before anything is decompressed.
 */
import { CorruptionError, EnvelopeError } from '../base/errors.ts';
import { crc32 } from '../codec/crc32.ts';
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from '../codec/varint.ts';
import type { Compression } from '../io/compression.ts';
import { type BlockPlace, verifyBlock } from './block_reader.ts';
import { writeUint32 } from './bytes.ts';
import { CRC_BYTES } from './table_format.ts';

const Form = { Plain: 0, Packed: 1 } as const;
/** Larger contents stay plain: a length that says more is none, whatever a checksum says. */
export const CONTENTS_BYTES_MAX: number = 64 * 1024 * 1024;
/** A block that keeps more than seven parts of eight is not worth the time that reading it would take. */
const WORTH = 7 / 8;

/** `contents` as a block for the place with this seed. */
export function packBlock(contents: Uint8Array, compression: Compression, seed: number): Uint8Array {
  const packed = contents.length <= CONTENTS_BYTES_MAX ? compression.compress(contents) : contents;
  const isPacked = packed.length <= contents.length * WORTH;
  const body = isPacked ? packed : contents;
  const block = new Uint8Array(VARINT_BYTES_MAX + body.length + 1 + CRC_BYTES);
  let at = isPacked ? writeVarint(block, 0, contents.length) : 0;
  block.set(body, at);
  at += body.length;
  block[at++] = isPacked ? Form.Packed : Form.Plain;
  writeUint32(block, at, crc32(block.subarray(0, at), seed));
  return block.subarray(0, at + CRC_BYTES);
}

/**
 * The contents of a block, checked, in memory of their own, with room behind them where a block without compression has
 * its CRC: what reads one reads the other.
 *
 * @param compression As the table names it; null: it is not known here.
 * @throws CorruptionError; EnvelopeError `UNSUPPORTED` when the compression is not known.
 */
export function unpackBlock(
  block: Uint8Array,
  compression: Compression | null,
  place: BlockPlace,
): Uint8Array {
  verifyBlock(block, place);
  const formAt = block.length - CRC_BYTES - 1;
  const form = block[formAt];
  if (form === Form.Plain) return withRoom(block.subarray(0, formAt));
  if (form !== Form.Packed) corrupt(place, `unknown form of block ${form}`);
  const reader = new VarintReader(block, 0, formAt);
  const length = reader.read();
  if (length < 0 || length > CONTENTS_BYTES_MAX) corrupt(place, 'a block tells no length that can be');
  if (compression === null) throw unknownCompression(place.path);
  try {
    const contents = compression.decompress(block.subarray(reader.offset, formAt), length);
    if (contents.length !== length) throw new RangeError(`${contents.length} bytes, not ${length}`);
    return withRoom(contents);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return corrupt(place, `a block cannot be decompressed: ${why}`);
  }
}

export function unknownCompression(path: string): EnvelopeError {
  return new EnvelopeError(
    'UNSUPPORTED',
    `${path} is compressed in a way that is not known here: open it as it was written, or with the same version of Node`,
  );
}

function withRoom(contents: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(contents.length + CRC_BYTES);
  bytes.set(contents);
  return bytes;
}

function corrupt(place: BlockPlace, what: string): never {
  throw new CorruptionError(place.path, place.offset, what);
}
