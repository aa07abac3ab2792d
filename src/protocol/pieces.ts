import { concatBytes } from '../codec/bytes.ts';

/**
 * Keeps a list of byte pieces short: what trickles in byte by byte must not cost an object a byte. Neighbours at the end
 * are joined while the earlier is not much larger, so each byte is copied a logarithmic number of times.
 */
export function joinSmallPieces(pieces: Uint8Array[]): void {
  while (pieces.length > 1) {
    const last = pieces[pieces.length - 1];
    const before = pieces[pieces.length - 2];
    if (before.length > 2 * last.length) return;
    pieces.length -= 2;
    pieces.push(concatBytes([before, last]));
  }
}
