/**
 * What a simulated client asks for: batches of requests, drawn with a mix that the seed decided, in bursts with silences
 * between them. A batch is plain data; values are told by a unique word in them.
 */
import type { KeyGuard, OperationKind, Part } from './check/history.ts';
import type { SimRandom } from './random.ts';

export interface Workload {
  readonly buckets: number;
  readonly keysPerBucket: number;
  /** Of a thousand requests, how many go to the first key of a bucket, beside its even share. */
  readonly hotPermille: number;
  /** Shares in a thousand; the rest are reads. */
  readonly setPermille: number;
  readonly deletePermille: number;
  readonly existsPermille: number;
  /** Compare-and-set with what the client wrote last there; where it wrote nothing, only if the key is absent. */
  readonly casPermille: number;
  readonly getsetPermille: number;
  /** Not beside JSON values. */
  readonly appendPermille: number;
  /** Reads and writes of up to three keys at once; together. */
  readonly manyPermille: number;
  /** Transactions, with a condition (TXN) or queued (MULTI and EXEC). Not beside JSON values. */
  readonly transactionPermille: number;
  /** Reads of a whole bucket, if it is a small one: to the check a scan makes one problem of all its keys. */
  readonly scanPermille: number;
  /** Of a whole bucket, if it is as small. */
  readonly dropPermille: number;
  /** Of a thousand plain sets, how many write what expires. Not beside appends, which would keep the expiry. */
  readonly ttlPermille: number;
  readonly ttlMsMax: number;
  /** Of counters, which are keys of their own; a third as many again read them. */
  readonly incrementPermille: number;
  /** Of a thousand reads, how many ask for a field of a JSON value; above 0 all values are JSON. */
  readonly jsonPermille: number;
  readonly valueBytesMin: number;
  readonly valueBytesMax: number;
  readonly pipelineMax: number;
  /** Of a thousand batches, how many have more than one request. */
  readonly pipelinePermille: number;
  /** Of a thousand batches of more than one request, how many are of reads alone; only beside reads of many keys. */
  readonly readRunPermille: number;
  readonly thinkMsMax: number;
  /** A client works for up to this long, then says nothing for up to `silenceMsMax`. */
  readonly burstMsMax: number;
  readonly silenceMsMax: number;
  readonly patienceMs: number;
  /** A client whose connection broke waits for up to this long. */
  readonly reconnectMsMax: number;
  /** Of a thousand clients, how many write in sessions, and repeat what was not answered. */
  readonly sessionPermille: number;
  /** Of a thousand clients, how many speak RESP; the others send lines of text. */
  readonly respPermille: number;
}

export type RequestKind = OperationKind;

export interface WorkloadRequest {
  readonly kind: RequestKind;
  /** From 0; 0 is the default bucket. */
  readonly bucket: number;
  readonly key: string;
  /** What it writes, adds or counts; null: nothing. */
  readonly value: string | null;
  /** What a cas wants to find. */
  readonly expected?: string;
  /** What a set writes expires after so long. */
  readonly ttlMs?: number;
  /** All keys of an mget or mset, of one bucket, and what an mset writes to each. */
  readonly parts?: readonly Part[];
  /** Of a transaction. */
  readonly guard?: KeyGuard;
  /** A get that asks for the value's field `v`. */
  readonly field?: true;
}

/** Requests sent in one go. */
export interface Batch {
  /** Sent at this virtual time, in microseconds, or as soon as the client can. */
  readonly atUs: number;
  readonly client: number;
  /** The node that the client is connected with. */
  readonly node: number;
  readonly requests: readonly WorkloadRequest[];
}

export class RequestSource {
  readonly #workload: Workload;
  readonly #random: SimRandom;
  readonly #client: number;
  #sequence = 0;
  #burstEndsMs = 0;
  /** What this client has written last, by bucket and key. */
  readonly #written = new Map<string, string>();

  constructor(client: number, workload: Workload, random: SimRandom) {
    this.#client = client;
    this.#workload = workload;
    this.#random = random;
  }

  /** How long the client waits before its next batch; both in milliseconds. */
  drawThinkMs(nowMs: number): number {
    const { thinkMsMax, burstMsMax, silenceMsMax } = this.#workload;
    const random = this.#random;
    const thinkMs = random.below(thinkMsMax + 1);
    if (nowMs + thinkMs < this.#burstEndsMs || silenceMsMax === 0) return thinkMs;
    const silenceMs = random.below(silenceMsMax + 1);
    this.#burstEndsMs = nowMs + silenceMs + random.between(1, burstMsMax);
    return silenceMs;
  }

  drawBatch(): WorkloadRequest[] {
    const { pipelineMax, pipelinePermille, readRunPermille } = this.#workload;
    const count = this.#random.chance(pipelinePermille) ? this.#random.between(1, pipelineMax) : 1;
    if (count > 1 && readRunPermille > 0 && this.#random.chance(readRunPermille))
      return this.#drawReads(count);
    return Array.from({ length: count }, () => this.#drawRequest());
  }

  /** They go together, so what one of them has to wait for the next one may not. */
  #drawReads(count: number): WorkloadRequest[] {
    const random = this.#random;
    const bucket = random.below(this.#workload.buckets);
    const keys = this.#drawNeighbours();
    return Array.from({ length: count }, () => {
      if (random.chance(300)) return this.#mget(bucket, keys);
      return { kind: 'get', bucket, key: random.pick(keys), value: null };
    });
  }

  #drawRequest(): WorkloadRequest {
    const random = this.#random;
    const { buckets, keysPerBucket, hotPermille, jsonPermille } = this.#workload;
    const { setPermille, deletePermille, existsPermille, ttlPermille, ttlMsMax } = this.#workload;
    const bucket = random.below(buckets);
    const key = `k${random.chance(hotPermille) ? 0 : random.below(keysPerBucket)}`;
    const draw = random.below(1000);
    if (draw < setPermille) {
      const value = this.#drawValue();
      this.#written.set(`${bucket}/${key}`, value);
      const set = { kind: 'set', bucket, key, value } as const;
      return random.chance(ttlPermille) ? { ...set, ttlMs: random.between(1, ttlMsMax) } : set;
    }
    if (draw < setPermille + deletePermille) return { kind: 'delete', bucket, key, value: null };
    if (draw < setPermille + deletePermille + existsPermille)
      return { kind: 'exists', bucket, key, value: null };
    const more = this.#drawChange(draw - setPermille - deletePermille - existsPermille, bucket, key);
    if (more !== null) return more;
    const get = { kind: 'get', bucket, key, value: null } as const;
    return random.chance(jsonPermille) ? { ...get, field: true } : get;
  }

  /** One of the operations that read and write at once; null: `draw` is beyond their shares. */
  #drawChange(draw: number, bucket: number, key: string): WorkloadRequest | null {
    const { casPermille, getsetPermille, appendPermille, manyPermille, incrementPermille, jsonPermille } =
      this.#workload;
    const { transactionPermille, scanPermille, dropPermille } = this.#workload;
    let left = draw;
    if (left < casPermille) {
      const name = `${bucket}/${key}`;
      const expected = this.#written.get(name);
      const value = this.#drawValue();
      this.#written.set(name, value);
      // In lines of text only the last word of a command may hold spaces.
      if (expected === undefined || expected.includes(' ')) return { kind: 'setnx', bucket, key, value };
      return { kind: 'cas', bucket, key, value, expected };
    }
    left -= casPermille;
    if (left < getsetPermille) return { kind: 'getset', bucket, key, value: this.#drawValue() };
    left -= getsetPermille;
    if (jsonPermille === 0) {
      if (left < appendPermille)
        return { kind: 'append', bucket, key, value: `+${this.#client}.${++this.#sequence}` };
      left -= appendPermille;
    }
    if (left < manyPermille) return this.#drawMany(bucket);
    left -= manyPermille;
    if (jsonPermille === 0) {
      if (left < transactionPermille) return this.#drawTransaction(bucket);
      left -= transactionPermille;
    }
    if (this.#workload.keysPerBucket <= SCANNED_KEYS_MAX) {
      if (left < scanPermille) return { kind: 'scan', bucket, key: '', value: null };
      left -= scanPermille;
      if (left < dropPermille)
        return { kind: 'drop', bucket, key: FINAL_KEY, value: null, parts: this.#keysOfBucket() };
      left -= dropPermille;
    }
    if (left >= incrementPermille) return null;
    const counter = this.#random.pick(COUNTERS);
    if (this.#random.chance(250)) return { kind: 'get', bucket, key: counter, value: null };
    return { kind: 'increment', bucket, key: counter, value: String(this.#random.between(-3, 10)) };
  }

  /** All that may ever be in one. */
  #keysOfBucket(): Part[] {
    const keys = Array.from({ length: this.#workload.keysPerBucket }, (_none, at) => `k${at}`);
    return [...keys, ...COUNTERS, FINAL_KEY].map((key) => ({ key, value: null }));
  }

  /** Writes one key, writes or reads some more, and may ask first for what this client has written last somewhere. */
  #drawTransaction(bucket: number): WorkloadRequest {
    const random = this.#random;
    const { keysPerBucket } = this.#workload;
    const count = random.between(1, 3);
    const first = random.below(keysPerBucket);
    const parts = Array.from({ length: count }, (_none, at): Part => {
      const isRead = at > 0 && random.chance(400);
      // What it has written itself is there for it as well.
      const key = `k${(first + (isRead && random.chance(300) ? 0 : at)) % keysPerBucket}`;
      return { key, value: isRead ? null : this.drawWord() };
    });
    const { key } = parts[0];
    if (random.chance(300)) return { kind: 'exec', bucket, key, value: null, parts };
    const guarded = `k${random.below(keysPerBucket)}`;
    const expected = this.#written.get(`${bucket}/${guarded}`) ?? null;
    const isSayable = expected === null || !expected.includes(' ');
    for (const part of parts) {
      if (part.value !== null) this.#written.set(`${bucket}/${part.key}`, part.value);
    }
    const request = { kind: 'txn', bucket, key, value: null, parts } as const;
    return isSayable && random.chance(700) ? { ...request, guard: { key: guarded, expected } } : request;
  }

  #drawMany(bucket: number): WorkloadRequest {
    const keys = this.#drawNeighbours();
    // Values of several words, as JSON may be, cannot stand in the middle of a line of text.
    if (this.#workload.jsonPermille > 0 || this.#random.chance(500)) return this.#mget(bucket, keys);
    const parts = keys.map((key): Part => ({ key, value: this.#drawValue().replaceAll(/[ "]/g, '.') }));
    return { kind: 'mset', bucket, key: parts[0].key, value: null, parts };
  }

  #mget(bucket: number, keys: readonly string[]): WorkloadRequest {
    return {
      kind: 'mget',
      bucket,
      key: keys[0],
      value: null,
      parts: keys.map((key) => ({ key, value: null })),
    };
  }

  /** Two or three keys of a bucket, where it has so many. */
  #drawNeighbours(): string[] {
    const { keysPerBucket } = this.#workload;
    const count = Math.min(keysPerBucket, this.#random.between(2, 3));
    const first = this.#random.below(keysPerBucket);
    return Array.from({ length: count }, (_none, at) => `k${(first + at) % keysPerBucket}`);
  }

  /** Unique. */
  drawWord(): string {
    return `c${this.#client}.${++this.#sequence}`;
  }

  /** Unique, and of any length up to the largest: short ones often, long ones to fill memtables and segments. */
  #drawValue(): string {
    const { valueBytesMin, valueBytesMax, jsonPermille } = this.#workload;
    const random = this.#random;
    const unique = this.drawWord();
    const length = random.chance(500) ? valueBytesMin : random.between(valueBytesMin, valueBytesMax);
    if (jsonPermille > 0) return `${JSON_HEAD}${unique}","pad":"${'.'.repeat(length)}"}`;
    return unique.padEnd(length, random.chance(500) ? '.' : ' "x"');
  }
}

const SCANNED_KEYS_MAX = 3;
const COUNTERS = ['n0', 'n1'] as const;
/** Of the default bucket: written last of all. */
export const FINAL_KEY = 'final';
const JSON_HEAD = '{"v":"';

/** The field `v` of a JSON value made here; null of any other value. */
export function wordOf(value: string): string | null {
  return value.startsWith(JSON_HEAD)
    ? value.slice(JSON_HEAD.length, value.indexOf('"', JSON_HEAD.length))
    : null;
}

export function bucketName(bucket: number): string {
  return bucket === 0 ? 'default' : `b${bucket}`;
}

const VALUE_SHOWN_MAX = 40;

export function describeRequest({ kind, bucket, key, value, field, parts, ttlMs }: WorkloadRequest): string {
  if (kind === 'drop') return `drop bucket ${bucketName(bucket)}`;
  if (parts !== undefined) {
    const shown = parts.map((part) =>
      part.value === null ? part.key : `${part.key}=${part.value.slice(0, 12)}`,
    );
    return `${kind} ${bucketName(bucket)}: ${shown.join(' ')}`;
  }
  const where = bucket === 0 ? key : `${bucketName(bucket)}/${key}`;
  if (value === null) return `${kind} ${where}${field ? ' v' : ''}`;
  const shown =
    value.length <= VALUE_SHOWN_MAX
      ? value
      : `${value.slice(0, VALUE_SHOWN_MAX)}... (${value.length} characters)`;
  const expiry = ttlMs === undefined ? '' : ` for ${ttlMs} ms`;
  return `${kind} ${where} ${shown}${expiry}`;
}
