/**
 * Copies of writes that have to wait: their callers may do what they like with their own bytes once the call that made the
 * write has returned.
 */
import type { Write } from '../kv/request.ts';
import { decodeWrite, encodeWrite } from '../kv/write_codec.ts';
import { copyBytes } from './copies.ts';

export function ownedWrite(write: Write): Write {
  switch (write.type) {
    case 'set':
      return { ...write, key: copyBytes(write.key), value: copyBytes(write.value) };
    case 'delete':
      return { ...write, keys: write.keys.map(copyBytes) };
    case 'batch':
      // Put together for this write, and nobody else's.
      return write;
    default:
      return decodeWrite(encodeWrite(write, 0)).write;
  }
}
