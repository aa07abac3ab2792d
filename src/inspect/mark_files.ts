/**
 * The files of a node's directory that are one frame of a few numbers: `identity-N`, which identity a member had when it
 * was met, and `odd`, who has another state. See `docs/formats.md`.
 */
import { FRAME_HEADER_BYTES, FrameError, FrameReader } from '../codec/frame.ts';
import { VarintReader } from '../codec/varint.ts';

export const BROKEN_IDENTITY = 'the identity of a member is not intact';
export const BROKEN_ODD = 'the mark of the odd one out is not intact: it counts, but not whom it names';

/** The identity in a file `identity-N` of the member N; null: it is not intact, or another member's. */
export function identityIn(bytes: Uint8Array, member: number): number | null {
  const [found, identity, ...more] = numbersIn(bytes) ?? [];
  return found === member && identity !== undefined && more.length === 0 ? identity : null;
}

/** The nodes that a file `odd` names, those whose states agree; null: it is not intact. */
export function agreeingIn(bytes: Uint8Array): readonly number[] | null {
  const [count, ...nodes] = numbersIn(bytes) ?? [];
  return count === nodes.length ? nodes : null;
}

/** Of the one frame that there is. */
function numbersIn(bytes: Uint8Array): number[] | null {
  const body = bodyIn(bytes);
  if (body === null) return null;
  const reader = new VarintReader(body);
  const numbers: number[] = [];
  while (reader.offset < body.length) {
    const number = reader.read();
    if (number < 0) return null;
    numbers.push(number);
  }
  return numbers;
}

function bodyIn(bytes: Uint8Array): Uint8Array | null {
  const frames = new FrameReader(bytes.length);
  frames.push(bytes);
  try {
    const body = frames.next();
    return body !== null && FRAME_HEADER_BYTES + body.length === bytes.length ? body : null;
  } catch (error) {
    if (error instanceof FrameError) return null;
    throw error;
  }
}
