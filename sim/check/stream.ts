/**
 * Checks a history while it grows, and forgets what it has checked, so that memory does not grow with it. The verdict is
 * that of `checkCalls` over the whole; what is lost is the beginning, to show when a part contradicts itself.
 *
 * A scan joins all keys in its range, also those that nobody has asked for yet: each range has a name of its own, by
 * which a key that comes later finds the part. Until then it held nothing: had an operation on it been under way, the
 * part would not have been cut.
 *
 * In program order, the order of one process over several keys is held from the moment on at which something joins them:
 * `declare` what will.
 */
import { tookEffect } from './check_calls.ts';
import { type Call, isInRange, isObserver, keysAnswered, keysOf, type Op } from './model.ts';
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

type Scan = Extract<Op, { type: 'scan' }>;

const NO_KEY = '\0';

const LINEARIZABLE: StreamVerdict = { type: 'linearizable' };

export class HistoryStream {
  readonly #options: PartOptions;
  /** By key. */
  readonly #parts = new Map<string, StreamPart>();
  /** By their names. */
  readonly #ranges = new Map<string, Scan>();

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
    if (!tookEffect(call)) return;
    const part = this.#partOf(this.#namesOf(call.op, keysAnswered(call.op, call.result)));
    // Whether an operation that changes nothing took effect cannot be told.
    if (call.return !== null || !isObserver(call.op, call.result)) part.add(call);
  }

  /** Such an operation will come: what it joins is one part from now on. */
  declare(op: Op): void {
    this.#partOf(this.#namesOf(op, []));
  }

  /** An open operation has taken effect by `at`, since the last `advance`. */
  settle(call: Call, at: number): void {
    const [key] = keysOf(call.op);
    this.#parts.get(key)?.settle(call, at);
  }

  /** An open operation has not taken effect, nor ever will. */
  discard(call: Call): void {
    const [key] = keysOf(call.op);
    this.#parts.get(key)?.discard(call);
  }

  /**
   * An open operation takes no effect from here on, whether it has done so before or not. False: what is held of its part
   * has to be checked first.
   */
  retire(call: Call): boolean {
    const [key] = keysOf(call.op);
    const part = this.#parts.get(key);
    if (part !== undefined && part.held.length > 0) return false;
    part?.retire(call);
    return true;
  }

  /** Could the key hold this value, for all that is known? */
  mayHold(key: string, value: string): boolean {
    return this.#parts.get(key)?.mayHold(key, value) ?? false;
  }

  /**
   * Checks and forgets what nothing overlaps that is still under way.
   *
   * @param pending Operations that have been called and neither returned nor been given up.
   * @param least Operations that a piece must hold for that; left out: as many as it is to have.
   */
  advance(now: number, pending: Iterable<Pick<Call, 'op' | 'call'>>, least?: number): StreamVerdict {
    const busySince = this.#touchedBy(pending);
    for (const part of this.#distinct()) {
      const outcome = part.cut(this.#options, Math.min(now, busySince.get(part) ?? now), least);
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

  /** Parts with the time since when something of them is under way. */
  #touchedBy(pending: Iterable<Pick<Call, 'op' | 'call'>>): ReadonlyMap<StreamPart, number> {
    const since = new Map<StreamPart, number>();
    for (const { op, call } of pending) {
      const names =
        op.type === 'scan' ? this.#keysIn(op) : keysOf(op).flatMap((key) => [key, ...this.#rangesOf(key)]);
      for (const name of names) {
        const part = this.#parts.get(name);
        if (part !== undefined) since.set(part, Math.min(call, since.get(part) ?? call));
      }
    }
    return since;
  }

  /** Of the keys that an operation joins, and of ranges. */
  #namesOf(op: Op, answered: readonly string[]): string[] {
    const names = new Set([...keysOf(op), ...answered]);
    if (op.type === 'scan') {
      names.add(this.#nameOf(op));
      for (const key of this.#keysIn(op)) names.add(key);
    }
    // An operation on nothing, such as an empty transaction, has an answer all the same.
    if (names.size === 0) return [NO_KEY];
    for (const name of [...names]) {
      if (!this.#parts.has(name)) for (const range of this.#rangesOf(name)) names.add(range);
    }
    return [...names];
  }

  #keysIn(scan: Scan): string[] {
    return [...this.#parts.keys()].filter((name) => isKeyInRange(scan, name));
  }

  #nameOf(scan: Scan): string {
    const name = `\0${JSON.stringify([scan.prefix, scan.from, scan.to])}`;
    this.#ranges.set(name, scan);
    return name;
  }

  #rangesOf(key: string): string[] {
    const found: string[] = [];
    for (const [name, scan] of this.#ranges) if (isKeyInRange(scan, key)) found.push(name);
    return found;
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

/** The name of another range is no key: two ranges are joined by a key that lies in both. */
function isKeyInRange(scan: Scan, name: string): boolean {
  return !name.startsWith(NO_KEY) && isInRange(scan, name);
}

function verdictOf(part: StreamPart, outcome: 'none' | 'gave up'): StreamVerdict {
  return {
    type: outcome === 'none' ? 'not linearizable' : 'gave up',
    keys: [...part.keys].filter((key) => !key.startsWith(NO_KEY)),
    calls: [...part.held, ...part.open],
    before: part.describePlaces(),
  };
}
