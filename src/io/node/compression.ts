/**
 * The compressions that Node brings along. `zstd` is there from Node 22.15 on; a store that was written with it opens only
 * where it is.
 *
 * Each call makes and drops a stream of zlib, which costs more than a small block does: the streams are as small as the
 * block allows.
 */
import zlib, {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  deflateRawSync,
  inflateRawSync,
} from 'node:zlib';
import type { Compression } from '../compression.ts';

/** Zstandard, as newer versions of Node have it. */
interface Zstd {
  zstdCompressSync?(bytes: Uint8Array, options?: { readonly chunkSize?: number }): Uint8Array;
  zstdDecompressSync?(
    bytes: Uint8Array,
    options?: { readonly chunkSize?: number; readonly maxOutputLength?: number },
  ): Uint8Array;
}

const DEFLATE_LEVEL = 6;
const BROTLI_QUALITY = 4;
/** The least that zlib takes. */
const CHUNK_BYTES_MIN = 64;
const SMALL_BLOCK_BYTES = 8192;

/** All that comes out in one piece. */
function chunkFor(bytes: number): number {
  return Math.max(CHUNK_BYTES_MIN, bytes + CHUNK_BYTES_MIN);
}

/** @throws RangeError when it is not of this length. */
function exactly(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length !== length) throw new RangeError(`${bytes.length} bytes come out of it, not ${length}`);
  return bytes;
}

const deflate: Compression = {
  id: 1,
  name: 'deflate',
  compress: (bytes) =>
    deflateRawSync(bytes, {
      level: DEFLATE_LEVEL,
      windowBits: bytes.length <= SMALL_BLOCK_BYTES ? 13 : 15,
      memLevel: bytes.length <= SMALL_BLOCK_BYTES ? 6 : 8,
      chunkSize: chunkFor(bytes.length),
    }),
  decompress: (bytes, length) =>
    exactly(
      inflateRawSync(bytes, { maxOutputLength: Math.max(1, length), chunkSize: chunkFor(length) }),
      length,
    ),
};

const brotli: Compression = {
  id: 2,
  name: 'brotli',
  compress: (bytes) =>
    brotliCompressSync(bytes, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
        [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
      },
      chunkSize: chunkFor(bytes.length),
    }),
  decompress: (bytes, length) =>
    exactly(
      brotliDecompressSync(bytes, { maxOutputLength: Math.max(1, length), chunkSize: chunkFor(length) }),
      length,
    ),
};

function zstdOf({ zstdCompressSync, zstdDecompressSync }: Zstd): Compression[] {
  if (zstdCompressSync === undefined || zstdDecompressSync === undefined) return [];
  return [
    {
      id: 3,
      name: 'zstd',
      compress: (bytes) => zstdCompressSync(bytes, { chunkSize: chunkFor(bytes.length) }),
      decompress: (bytes, length) =>
        exactly(
          zstdDecompressSync(bytes, { maxOutputLength: Math.max(1, length), chunkSize: chunkFor(length) }),
          length,
        ),
    },
  ];
}

export const nodeCompressions: readonly Compression[] = [deflate, brotli, ...zstdOf(zlib as Zstd)];
