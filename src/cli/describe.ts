/** Keys and values of the store as people read them. */
import { fromUtf8 } from '../codec/bytes.ts';
import { isUserKey, userKeyOf } from '../kv/key_space.ts';

/** `bucket/key`, what is not printable as in JSON. */
export function describeKey(name: Uint8Array): string {
  if (!isUserKey(name)) return `(internal ${Buffer.from(name).toString('hex')})`;
  const { bucket, key } = userKeyOf(name);
  return `${escaped(bucket)}/${describeText(key)}`;
}

/** Printable UTF-8 as it is, controls as in JSON; bytes that are no UTF-8 as `\xNN`, and backslashes and quotes behind a backslash. */
export function describeText(bytes: Uint8Array): string {
  const text = fromUtf8(bytes);
  if (!text.includes('\ufffd')) return escaped(text);
  let shown = '';
  for (const byte of bytes) {
    if (byte === 0x5c || byte === 0x22) shown += `\\${String.fromCharCode(byte)}`;
    else if (byte >= 0x20 && byte < 0x7f) shown += String.fromCharCode(byte);
    else shown += `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return shown;
}

/** As in JSON, and whatever else a terminal might obey. */
function escaped(text: string): string {
  return JSON.stringify(text)
    .slice(1, -1)
    .replace(/[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) => {
      return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
    });
}
