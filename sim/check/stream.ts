/**
 * Checks a history while it grows, and forgets what it has checked, so that memory does not grow with it. The verdict is
 * that of `checkCalls` over the whole; what is lost is the beginning, to show when a part contradicts itself.
 *
 * Scans are not taken: they join keys that have not been seen yet.
 */
import { assert } from '../../src/base/assert.ts';
import { tookEffect } from './check_calls.ts';
import { type Call, keysAnswered, keysOf } from './model.ts';
import { type PartOptions, StreamPart } from './stream_part.ts';

export type StreamVerdict =
  | { readonly type: 'linearizable' }
  | {
      readonly type: 'not linearizable' | 'gave up';
      readonly keys: readonly string[];
      /** What has been held since the last piece was dropped, and what is of unknown outcome. */
      readonly calls: readonly Call[];
      /** What the keys may have held before. */
      readonly before: string;
    };

const NO_KEY = '\0';

const LINEARIZABLE: StreamVerdict = { type: 'linearizable' };

export class HistoryStream {
  readonly #options: PartOptions;
  /** By key. */
  readonly #parts = new Map<string, StreamPart>();

  constructor(options: PartOptions) {
    this.#options = options;
  }

  /** Operations held, those of unknown outcome included. */
  get size(): number {
    let size = 0;
    for (const part of this.#distinct()) size += part.held.length + part.open.length;
    return size;
  }

  /** Of unknown outcome so far. */
  open(): Call[] {
    return this.#distinct().flatMap((part) => part.open);
  }

  /** An operation that has returned, or has been given up. Not before all that returned by the last `advance`. */
  add(call: Call): void {
    assert(call.op.type !== 'scan', 'scans are not checked in a stream');
    if (!tookEffect(call)) return;
    const keys = [...new Set([...keysOf(call.op), ...keysAnswered(call.op, call.result)])];
    // An operation on nothing, such as an empty transaction, has an answer all the same.
    this.#partOf(keys.length > 0 ? keys : [NO_KEY]).add(call);
  }

  /** An open operation has taken effect by `at`, since the last `advance`. */
  settle(call: Call, at: number): void {
    const [key] = keysOf(call.op);
    this.#parts.get(key)?.settle(call, at);
  }

  /**
   * Checks and forgets the parts of which nothing is under way.
   *
   * @param pending Keys of operations that have been called and neither returned nor been given up.
   */
  advance(now: number, pending: ReadonlySet<string>): StreamVerdict {
    for (const part of this.#distinct()) {
      if (!part.isDueAt(now) || [...part.keys].some((key) => pending.has(key))) continue;
      const outcome = part.cut(this.#options);
      if (outcome !== 'found') return verdictOf(part, outcome);
    }
    return LINEARIZABLE;
  }

  /** Nothing follows. */
  finish(): StreamVerdict {
    for (const part of this.#distinct()) {
      const outcome = part.finish(this.#options);
      if (outcome !== 'found') return verdictOf(part, outcome);
    }
    return LINEARIZABLE;
  }

  #distinct(): StreamPart[] {
    return [...new Set(this.#parts.values())];
  }

  #partOf(keys: readonly string[]): StreamPart {
    let part = this.#parts.get(keys[0]);
    if (part === undefined) {
      part = new StreamPart(this.#options.pieceMin);
      this.#name(part, keys[0]);
    }
    for (const key of keys.slice(1)) {
      const other = this.#parts.get(key);
      if (other === part) continue;
      if (other === undefined) this.#name(part, key);
      else {
        part.absorb(other);
        for (const moved of other.keys) this.#parts.set(moved, part);
      }
    }
    return part;
  }

  #name(part: StreamPart, key: string): void {
    part.keys.add(key);
    this.#parts.set(key, part);
  }
}

function verdictOf(part: StreamPart, outcome: 'none' | 'gave up'): StreamVerdict {
  return {
    type: outcome === 'none' ? 'not linearizable' : 'gave up',
    keys: [...part.keys],
    calls: [...part.held, ...part.open],
    before: part.describePlaces(),
  };
}
