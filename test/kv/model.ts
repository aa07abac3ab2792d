/**
 * What the commands promise, over plain maps: a value with a revision and an expiry for each key that is there. Expired
 * keys are taken out as soon as time moves; there is no sweep, no draft and no encoding.
 */
import { compareBytes, fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { jsonAdd, jsonDelete, jsonSet } from '../../src/kv/json_edit.ts';
import type {
  Condition,
  Expiry,
  Guard,
  OnceWrite,
  PointRead,
  PointWrite,
  Write,
} from '../../src/kv/request.ts';
import { editsOf } from './arbitrary_writes.ts';

interface Value {
  readonly text: string;
  readonly revision: number;
  readonly expiresAtMs: number;
}

/** Answers as plain values: texts, numbers, bigints, null, lists; errors as `!`. */
export type Answer = string | number | bigint | null | readonly Answer[];

const FOREVER = Number.POSITIVE_INFINITY;
const WINDOW = 64;

interface Session {
  readonly idleMs: number;
  expiresAtMs: number;
  last: number;
  readonly answers: Map<number, Answer>;
}

/** Whether it does the same at any time. */
function isTimeless(write: Write): boolean {
  if (write.type !== 'batch') return ['set', 'delete', 'delete-range'].includes(write.type);
  return (editsOf.get(write.edits) ?? []).every(({ value, ttlMs }) => value === null || ttlMs === 0);
}

export class Model {
  #values = new Map<string, Value>();
  readonly #sessions = new Map<number, Session>();
  #nowMs = 0;
  #revision = 0;

  apply(revision: number, timeMs: number, write: Write): Answer {
    this.#revision = revision;
    // Time matters from the first write on that can see it.
    if (this.#nowMs > 0 || !isTimeless(write)) {
      this.#nowMs = Math.max(this.#nowMs, timeMs);
    }
    for (const [key, { expiresAtMs }] of this.#values)
      if (expiresAtMs <= this.#nowMs) this.#values.delete(key);
    for (const [id, { expiresAtMs }] of this.#sessions) {
      if (expiresAtMs <= this.#nowMs) this.#sessions.delete(id);
    }
    switch (write.type) {
      case 'tick':
        return 'OK';
      case 'session-open':
        this.#sessions.set(revision, {
          idleMs: write.idleMs,
          expiresAtMs: this.#nowMs + write.idleMs,
          last: 0,
          answers: new Map(),
        });
        return revision;
      case 'delete-range': {
        const { bucket, from, to } = write;
        for (const key of this.keysOf(bucket)) {
          const isIn = compareBytes(utf8(key), from) >= 0 && (to === null || compareBytes(utf8(key), to) < 0);
          if (isIn) this.#values.delete(name(bucket, utf8(key)));
        }
        return 'OK';
      }
      case 'batch':
        for (const { bucket, key, value, ttlMs } of editsOf.get(write.edits) ?? []) {
          if (value === null) this.#values.delete(name(bucket, key));
          else this.#put({ bucket, key }, fromUtf8(value), ttlMs === 0 ? FOREVER : this.#nowMs + ttlMs);
        }
        return 'OK';
      case 'session-close':
        this.#sessions.delete(write.session);
        return 'OK';
      case 'session-write': {
        const session = this.#sessions.get(write.session);
        if (session === undefined) return '!';
        const isKnown = session.answers.has(write.number);
        if (!isKnown && write.number <= session.last - WINDOW) return '!';
        const answer = isKnown ? (session.answers.get(write.number) ?? null) : this.#once(write.write);
        session.answers.set(write.number, answer);
        session.last = Math.max(session.last, write.number);
        for (const number of session.answers.keys()) {
          if (number <= session.last - WINDOW) session.answers.delete(number);
        }
        session.expiresAtMs = this.#nowMs + session.idleMs;
        return answer;
      }
      default:
        return this.#once(write);
    }
  }

  #once(write: OnceWrite): Answer {
    if (write.type === 'drop-bucket') {
      for (const key of this.keysOf(write.bucket)) this.#values.delete(name(write.bucket, utf8(key)));
      return 'OK';
    }
    if (write.type !== 'transaction') return this.#write(write);
    const holds = write.guards.every((guard) => this.#guardHolds(guard));
    const before = new Map(this.#values);
    const answers: Answer[] = [];
    for (const point of holds ? write.success : write.failure) {
      const answer = isRead(point) ? this.read(point) : this.#write(point);
      if (answer === '!') {
        this.#values = before;
        return '!';
      }
      answers.push(answer);
    }
    return [holds ? 1 : 0, answers];
  }

  read(read: PointRead): Answer {
    switch (read.type) {
      case 'get':
        return this.#get(read)?.text ?? null;
      case 'get-many':
        return read.keys.map((key) => this.#values.get(name(read.bucket, key))?.text ?? null);
      case 'get-revision': {
        const found = this.#get(read);
        return found === undefined ? null : [found.revision, found.text];
      }
      case 'kind':
        return this.#get(read) === undefined ? 'none' : 'string';
      case 'exists':
        return read.keys.filter((key) => this.#values.has(name(read.bucket, key))).length;
      case 'revisions':
        return read.keys.map((key) => this.#values.get(name(read.bucket, key))?.revision ?? 0);
      case 'length':
        return utf8(this.#get(read)?.text ?? '').length;
      case 'expiry': {
        const found = this.#get(read);
        if (found === undefined) return -2;
        if (found.expiresAtMs === FOREVER) return -1;
        const ms = found.expiresAtMs - (read.from === 'now' ? this.#nowMs : 0);
        return read.unit === 'ms' ? ms : Math.round(ms / 1000);
      }
      default:
        throw new Error(`the model does not know ${read.type}`);
    }
  }

  /** In order. */
  keysOf(bucket: string): string[] {
    const prefix = name(bucket, new Uint8Array(0));
    return [...this.#values.keys()]
      .filter((key) => key.startsWith(prefix))
      .map((key) => key.slice(prefix.length))
      .sort();
  }

  buckets(): string[] {
    const names = [...this.#values.keys()].map((key) => key.slice(0, key.indexOf('\0')));
    return [...new Set(['default', ...names])].sort();
  }

  #write(write: PointWrite): Answer {
    if (write.type === 'delete') {
      return write.keys.filter((key) => this.#values.delete(name(write.bucket, key))).length;
    }
    if (write.type === 'set-many') {
      const isFree = write.keys.every((key) => !this.#values.has(name(write.bucket, key)));
      if (write.condition === 'all-absent' && !isFree) return 0;
      for (const [at, key] of write.keys.entries()) {
        this.#put({ bucket: write.bucket, key }, fromUtf8(write.values[at] ?? utf8('')), FOREVER);
      }
      return write.condition === 'all-absent' ? 1 : 'OK';
    }
    const found = this.#get(write);
    const kept = found?.expiresAtMs ?? FOREVER;
    switch (write.type) {
      case 'set':
        return this.#put(write, fromUtf8(write.value), FOREVER);
      case 'set-if': {
        const isMet = this.#conditionHolds(write.condition, found);
        if (isMet) this.#put(write, fromUtf8(write.value), this.#until(write.expiry, kept));
        if (write.answer === 'old') return found?.text ?? null;
        if (write.answer === 'flag') return isMet ? 1 : 0;
        if (!isMet) return null;
        return write.answer === 'status' ? 'OK' : this.#revision;
      }
      case 'get-delete':
        this.#values.delete(name(write.bucket, write.key));
        return found?.text ?? null;
      case 'get-expire': {
        if (found === undefined) return null;
        const expiresAtMs = this.#until(write.expiry, kept);
        if (expiresAtMs !== kept) this.#put(write, found.text, expiresAtMs);
        return found.text;
      }
      case 'add': {
        const before = found === undefined ? 0n : integer(found.text);
        if (before === null || before + write.by !== BigInt.asIntN(64, before + write.by)) return '!';
        this.#put(write, String(before + write.by), kept);
        return before + write.by;
      }
      case 'append': {
        const text = (found?.text ?? '') + fromUtf8(write.value);
        this.#put(write, text, kept);
        return utf8(text).length;
      }
      case 'expire': {
        if (found === undefined) return 0;
        const until = this.#until(write.expiry, kept);
        const may =
          write.when === 'always' ||
          (write.when === 'never-expires' && kept === FOREVER) ||
          (write.when === 'expires' && kept !== FOREVER) ||
          (write.when === 'later' && until > kept) ||
          (write.when === 'sooner' && until < kept);
        if (may) this.#put(write, found.text, until);
        return may ? 1 : 0;
      }
      case 'persist':
        if (kept === FOREVER || found === undefined) return 0;
        this.#put(write, found.text, FOREVER);
        return 1;
      // The editing of documents has tests of its own; here it is a matter of what is kept.
      case 'json-set':
      case 'json-delete':
      case 'json-add': {
        if (found === undefined && write.type === 'json-delete') return 0;
        if (found === undefined && write.type === 'json-add') return null;
        const document =
          found === undefined ? { type: 'absent' as const } : { type: 'document' as const, text: found.text };
        const edit =
          write.type === 'json-set'
            ? jsonSet(document, write.path, write.json)
            : write.type === 'json-delete'
              ? jsonDelete(document, write.path)
              : jsonAdd(document, write.path, write.by);
        if (edit === null) return 0;
        if (edit.type !== 'document') return '!';
        this.#put(write, edit.text, kept);
        if (write.type === 'json-add') return edit.part ?? '';
        return write.type === 'json-set' ? 'OK' : 1;
      }
    }
  }

  #get({ bucket, key }: { bucket: string; key: Uint8Array }): Value | undefined {
    return this.#values.get(name(bucket, key));
  }

  #put({ bucket, key }: { bucket: string; key: Uint8Array }, text: string, expiresAtMs: number): 'OK' {
    if (expiresAtMs <= this.#nowMs) this.#values.delete(name(bucket, key));
    else this.#values.set(name(bucket, key), { text, revision: this.#revision, expiresAtMs });
    return 'OK';
  }

  #until(expiry: Expiry, kept: number): number {
    if (expiry.type === 'never') return FOREVER;
    if (expiry.type === 'keep') return kept;
    return expiry.type === 'at' ? expiry.ms : this.#nowMs + expiry.ms;
  }

  #conditionHolds(condition: Condition, found: Value | undefined): boolean {
    switch (condition.type) {
      case 'always':
        return true;
      case 'absent':
        return found === undefined;
      case 'present':
        return found !== undefined;
      case 'value':
        return found?.text === fromUtf8(condition.value);
      case 'revision':
        return (found?.revision ?? 0) === condition.revision;
    }
  }

  #guardHolds(guard: Guard): boolean {
    const found = this.#get(guard);
    if (guard.type === 'value') return (found?.text === fromUtf8(guard.value)) === (guard.is === '=');
    const revision = found?.revision ?? 0;
    if (guard.is === '=') return revision === guard.revision;
    if (guard.is === '!=') return revision !== guard.revision;
    return guard.is === '<' ? revision < guard.revision : revision > guard.revision;
  }
}

function isRead(point: PointRead | PointWrite): point is PointRead {
  return [
    'get',
    'get-many',
    'get-revision',
    'exists',
    'revisions',
    'length',
    'expiry',
    'kind',
    'kind',
    'json-get',
  ].includes(point.type);
}

function integer(text: string): bigint | null {
  return /^(0|-?[1-9]\d*)$/.test(text) && BigInt.asIntN(64, BigInt(text)) === BigInt(text)
    ? BigInt(text)
    : null;
}

function name(bucket: string, key: Uint8Array): string {
  return `${bucket}\0${fromUtf8(key)}`;
}
