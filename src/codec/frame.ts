/**
 * Frames between nodes: `u32 length | u32 crc32 of the body | body`, little-endian. The body is MessagePack.
 *
 * The checksum is ours because TCP's is weak; a frame that fails it means that the stream can't be trusted any more.
 */
import { EnvelopeError } from '../base/errors.ts';
import { concatBytes } from './bytes.ts';
import { crc32 } from './crc32.ts';

export const FRAME_HEADER_BYTES = 8;

export class FrameError extends EnvelopeError {
  constructor(message: string) {
    super('FRAME', message);
  }
}

export function writeFrame(body: Uint8Array): Uint8Array {
  const frame = new Uint8Array(FRAME_HEADER_BYTES + body.length);
  writeUint32(frame, 0, body.length);
  writeUint32(frame, 4, crc32(body));
  frame.set(body, FRAME_HEADER_BYTES);
  return frame;
}

/** Cuts a byte stream back into frame bodies. Holds at most one unfinished frame of `bodyBytesMax`. */
export class FrameReader {
  readonly #bodyBytesMax: number;
  /** Chunks not consumed yet; `#offset` bytes of the first are. */
  #chunks: Uint8Array[] = [];
  #offset = 0;
  #bytes = 0;

  constructor(bodyBytesMax: number) {
    this.#bodyBytesMax = bodyBytesMax;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes);
    this.#bytes += bytes.length;
  }

  /**
   * The next body, null when more bytes are needed. It is a view of what was pushed, or a copy where a frame came in
   * pieces; either way the caller's to keep.
   * @throws FrameError when the stream is broken; the reader must not be used further.
   */
  next(): Uint8Array | null {
    if (this.#bytes < FRAME_HEADER_BYTES) return null;
    this.#gather(FRAME_HEADER_BYTES);
    const length = readUint32(this.#chunks[0], this.#offset);
    if (length > this.#bodyBytesMax) {
      throw new FrameError(`a frame of ${length} bytes was announced, the limit is ${this.#bodyBytesMax}`);
    }
    const total = FRAME_HEADER_BYTES + length;
    if (this.#bytes < total) return null;
    this.#gather(total);
    const chunk = this.#chunks[0];
    const start = this.#offset;
    const expected = readUint32(chunk, start + 4);
    const body = chunk.subarray(start + FRAME_HEADER_BYTES, start + total);
    this.#consume(total);
    const found = crc32(body);
    if (found !== expected) throw new FrameError(`a frame's checksum is ${found}, expected ${expected}`);
    return body;
  }

  /** Makes the first chunk hold `length` unconsumed bytes. Only called when that many have arrived. */
  #gather(length: number): void {
    if (this.#chunks[0].length - this.#offset >= length) return;
    // Everything at once: a frame in many pieces is put together a single time.
    const first = this.#chunks[0].subarray(this.#offset);
    this.#chunks = [concatBytes([first, ...this.#chunks.slice(1)])];
    this.#offset = 0;
  }

  #consume(length: number): void {
    this.#offset += length;
    this.#bytes -= length;
    if (this.#offset === this.#chunks[0].length) {
      this.#chunks.shift();
      this.#offset = 0;
    }
  }
}

function writeUint32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value;
  target[offset + 1] = value >>> 8;
  target[offset + 2] = value >>> 16;
  target[offset + 3] = value >>> 24;
}

function readUint32(source: Uint8Array, offset: number): number {
  return (
    (source[offset] | (source[offset + 1] << 8) | (source[offset + 2] << 16) | (source[offset + 3] << 24)) >>>
    0
  );
}
