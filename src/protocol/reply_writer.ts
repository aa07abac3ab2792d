/**
 * Replies as bytes. Both dialects use RESP2's forms; they differ in what `answer` chooses, not in how it is written.
 * Line breaks inside a simple or error text would break the framing: they become spaces.
 */
import { concatBytes, utf8 } from '../codec/bytes.ts';
import { OK, PONG, type Reply } from './reply.ts';

const CRLF = utf8('\r\n');
const OK_BYTES = utf8('+OK\r\n');
const PONG_BYTES = utf8('+PONG\r\n');
const NONE_BYTES = utf8('$-1\r\n');
const NO_ARRAY_BYTES = utf8('*-1\r\n');
const DOLLAR = 0x24;
const CR = 0x0d;
const LF = 0x0a;
const ZERO = 0x30;

/** The bytes may be shared between replies: nobody may change them. */
export function writeReply(reply: Reply): Uint8Array {
  switch (reply.type) {
    case 'simple':
      if (reply === OK) return OK_BYTES;
      if (reply === PONG) return PONG_BYTES;
      return utf8(`+${oneLine(reply.text)}\r\n`);
    case 'error':
      return utf8(`-${oneLine(reply.text)}\r\n`);
    case 'integer':
      return utf8(`:${reply.value}\r\n`);
    case 'bulk':
      return reply.value === null ? NONE_BYTES : writeBulk(reply.value);
    case 'no-array':
      return NO_ARRAY_BYTES;
    case 'array':
      return concatBytes([utf8(`*${reply.items.length}`), CRLF, ...reply.items.map(writeReply)]);
  }
}

/** One allocation and one copy of the value: the most frequent large reply. */
function writeBulk(value: Uint8Array): Uint8Array {
  const { length } = value;
  let digits = 1;
  for (let rest = length; rest >= 10; rest = Math.floor(rest / 10)) digits++;
  const bytes = new Uint8Array(1 + digits + 2 + length + 2);
  bytes[0] = DOLLAR;
  let rest = length;
  for (let at = digits; at >= 1; at--) {
    bytes[at] = ZERO + (rest % 10);
    rest = Math.floor(rest / 10);
  }
  bytes[1 + digits] = CR;
  bytes[2 + digits] = LF;
  bytes.set(value, 3 + digits);
  bytes[3 + digits + length] = CR;
  bytes[4 + digits + length] = LF;
  return bytes;
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, ' ');
}
