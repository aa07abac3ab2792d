/**
 * A compression for the simulator: runs of one byte are written once (PackBits). Like every other it makes some blocks
 * smaller, leaves others, and refuses what it never wrote; unlike those of Node it gives the same bytes everywhere.
 *
 * A byte below 128 begins so many literal bytes and one more; another one, less 125, says how often the next is repeated.
 */
import type { Compression } from '../src/io/compression.ts';

const LITERAL_MAX = 128;
const RUN_MIN = 3;
const RUN_MAX = 130;

export const runLength: Compression = {
  id: 200,
  name: 'run-length',
  compress: (bytes) => {
    const out: number[] = [];
    let at = 0;
    let literal = 0;
    const flush = (end: number): void => {
      while (literal < end) {
        const count = Math.min(LITERAL_MAX, end - literal);
        out.push(count - 1, ...bytes.subarray(literal, literal + count));
        literal += count;
      }
    };
    while (at < bytes.length) {
      let run = 1;
      while (run < RUN_MAX && at + run < bytes.length && bytes[at + run] === bytes[at]) run++;
      if (run >= RUN_MIN) {
        flush(at);
        out.push(run + 125, bytes[at] ?? 0);
        literal = at + run;
      }
      at += run;
    }
    flush(bytes.length);
    return new Uint8Array(out);
  },
  decompress: (bytes, length) => {
    const out = new Uint8Array(length);
    let end = 0;
    let at = 0;
    while (at < bytes.length) {
      const control = bytes[at++] ?? 0;
      const count = control < LITERAL_MAX ? control + 1 : control - 125;
      const taken = control < LITERAL_MAX ? count : 1;
      if (end + count > length || at + taken > bytes.length)
        throw new RangeError('it is cut short or too long');
      if (control < LITERAL_MAX) out.set(bytes.subarray(at, at + count), end);
      else out.fill(bytes[at] ?? 0, end, end + count);
      at += taken;
      end += count;
    }
    if (end !== length) throw new RangeError(`${end} bytes come out of it, not ${length}`);
    return out;
  },
};
