import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes } from '../../src/codec/bytes.ts';
import { FRAME_HEADER_BYTES, FrameError, FrameReader, writeFrame } from '../../src/codec/frame.ts';

const LIMIT = 1000;

function readAll(chunks: readonly Uint8Array[]): Uint8Array[] {
  const reader = new FrameReader(LIMIT);
  const bodies: Uint8Array[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let body = reader.next(); body !== null; body = reader.next()) bodies.push(body.slice());
  }
  return bodies;
}

function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = sizes.length === 0 ? bytes.length : (sizes[i % sizes.length] ?? 1);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

describe('frames', () => {
  it('come out as they went in, however the stream is cut', () => {
    const bodies = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });
    const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 8 });
    fc.assert(
      fc.property(bodies, sizes, (written, cuts) => {
        const stream = concatBytes(written.map((body) => writeFrame(body)));
        expect(readAll(cut(stream, cuts))).toEqual(written.map((body) => new Uint8Array(body)));
      }),
    );
  });

  it('are refused when any bit of them is flipped', () => {
    const frame = writeFrame(new Uint8Array([1, 2, 3, 4, 5]));
    for (let bit = 0; bit < frame.length * 8; bit++) {
      const bad = frame.slice();
      const at = bit >> 3;
      bad[at] = (bad[at] ?? 0) ^ (1 << (bit & 7));
      const reader = new FrameReader(LIMIT);
      reader.push(bad);
      let body: Uint8Array | null = null;
      let refused = false;
      try {
        body = reader.next();
      } catch (error) {
        refused = error instanceof FrameError;
      }
      // A larger length still waits for bytes; nothing is ever handed out.
      expect(body).toBeNull();
      expect(refused || at < 4).toBe(true);
    }
  });

  it('are refused by their announced length before anything is stored', () => {
    const reader = new FrameReader(LIMIT);
    reader.push(writeFrame(new Uint8Array(LIMIT + 1)).subarray(0, FRAME_HEADER_BYTES));
    expect(() => reader.next()).toThrow(FrameError);
  });
});
