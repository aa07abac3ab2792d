/**
 * Client sessions: a numbered write of a session is carried out once, however often it comes, and every repetition gets
 * the first answer (Ongaro's thesis, section 6.3). So a client that lost its connection, or was told that the outcome is
 * unknown, asks again under the same number, at any node.
 *
 * A session is a stored value under its own key, with an expiry that each use moves on: it is gone when it has not been
 * used for its `idleMs`, by the time of the state machine, on every replica at the same entry. Answers are kept under
 * keys of their own, the last `WINDOW` numbers of each session. Within the window a number without an answer was never
 * carried out and may come late, so a pipeline of up to `WINDOW` writes can be repeated whole.
 */
import { Decoder, Encoder } from '@msgpack/msgpack';
import { VarintReader, writeVarint } from '../codec/varint.ts';
import { answerKey, sessionKey } from './key_space.ts';
import type { Cells, LiveKeys } from './live_keys.ts';
import { errorResult, type OnceWrite, type Result, TIME_MS_MAX } from './request.ts';
import { decodeResult, encodeResult } from './request_codec.ts';
import { decodeStored, encodeStored } from './stored_value.ts';

/** Writes of one session that may be under way at a time. */
export const WINDOW = 64;
const RECORD_BYTES_MAX = 16;

const encoder = new Encoder();
const decoder = new Decoder();

interface SessionRecord {
  readonly idleMs: number;
  /** The highest number carried out; 0: none. */
  readonly last: number;
}

/** The number of a session is the revision that opened it. */
export function openSession(keys: LiveKeys, idleMs: number): Result {
  store(keys, keys.revision, { idleMs, last: 0 });
  return { type: 'count', count: keys.revision };
}

/** Closing what is closed does nothing: it may be a repetition. */
export function closeSession(keys: LiveKeys, session: number): Result {
  forgetSession(keys.cells, session);
  return { type: 'ok' };
}

/** @param carryOut Is called at most once, before anything of the session is written. */
export function writeOnce(
  keys: LiveKeys,
  session: number,
  number: number,
  write: OnceWrite,
  carryOut: (write: OnceWrite) => Result,
): Result {
  const record = load(keys, session);
  if (record === null) {
    return errorResult('invalid', `session ${session} is not open: it was closed, or has expired`);
  }
  const known = keys.cells.get(answerKey(session, number));
  if (known !== null) {
    // A repetition is short, and what it is answered with may be long.
    keys.touchedBytes += known.length;
    store(keys, session, record);
    return decodeResult(decoder.decode(known.slice()) as unknown[]);
  }
  if (number <= record.last - WINDOW) {
    return errorResult(
      'invalid',
      `number ${number} of session ${session} is too old: answers are kept of the last ${WINDOW} (max session window)`,
    );
  }
  const result = carryOut(write);
  const last = Math.max(record.last, number);
  forgetAnswers(keys.cells, session, record.last - WINDOW + 1, Math.min(record.last, last - WINDOW));
  keys.cells.put(answerKey(session, number), encoder.encode(encodeResult(result)));
  store(keys, session, { idleMs: record.idleMs, last });
  return result;
}

/** Removes all that is kept of a session. */
export function forgetSession(cells: Cells, session: number): void {
  const bytes = cells.get(sessionKey(session));
  if (bytes === null) return;
  const { last } = decodeRecord(decodeStored(bytes).value);
  forgetAnswers(cells, session, last - WINDOW + 1, last);
  cells.delete(sessionKey(session));
}

/** Of numbers `from` to `to`, both included. */
function forgetAnswers(cells: Cells, session: number, from: number, to: number): void {
  for (let number = Math.max(1, from); number <= to; number++) {
    const key = answerKey(session, number);
    if (cells.get(key) !== null) cells.delete(key);
  }
}

function load(keys: LiveKeys, session: number): SessionRecord | null {
  const bytes = keys.cells.get(sessionKey(session));
  if (bytes === null) return null;
  const stored = decodeStored(bytes);
  return stored.expiresAtMs <= keys.state.nowMs ? null : decodeRecord(stored.value);
}

/** A session is looked at by the sweep when it could first have expired, and again as often as it has been used since. */
function store(keys: LiveKeys, session: number, record: SessionRecord): void {
  const key = sessionKey(session);
  const value = new Uint8Array(RECORD_BYTES_MAX);
  const end = writeVarint(value, writeVarint(value, 0, record.idleMs), record.last);
  const expiresAtMs = Math.min(keys.state.nowMs + record.idleMs, TIME_MS_MAX);
  keys.cells.put(key, encodeStored(value.subarray(0, end), keys.revision, expiresAtMs));
  if (record.last === 0) keys.remember(key, expiresAtMs);
}

function decodeRecord(bytes: Uint8Array): SessionRecord {
  const reader = new VarintReader(bytes);
  return { idleMs: reader.read(), last: reader.read() };
}
