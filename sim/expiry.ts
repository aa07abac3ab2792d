/**
 * Whether what expires is gone in time. The linearizability check knows only that a value may vanish once; this is the
 * other half, which needs clocks that agree: nobody who asks when the time is over may be told the value.
 */
import type { Operation } from './check/history.ts';
import type { WorldOptions } from './options.ts';
import type { Scenario } from './scenario.ts';

/** Two clocks that drift apart by 2 * 100 ppm do so by less than this within a run of a few minutes. */
const SKEW_MS = 100;
const DRIFT_PPM_MAX = 100;
/** Longer storms count. */
const LONG_STORM_MS = 60_000;
const CLOCK_STROKES: ReadonlySet<string> = new Set(['drift', 'wall-jump', 'freeze', 'thaw']);

/**
 * By how many milliseconds the wall clocks of nodes may differ; null: by anything.
 *
 * @param stormMs What follows the storm lasts some minutes at most.
 */
export function wallSkewMsMax(
  { surroundings, faults }: WorldOptions,
  script: Scenario | null,
  stormMs: number,
): number | null {
  const { driftEveryMs, wallJumpEveryMs, freezeEveryMs, frozenLeaderEveryMs } = faults;
  if (surroundings.wallClocks === 'apart' || surroundings.clockDriftPpm > DRIFT_PPM_MAX) return null;
  if (driftEveryMs + wallJumpEveryMs + freezeEveryMs + frozenLeaderEveryMs > 0) return null;
  if (script?.strokes.some(({ kind }) => CLOCK_STROKES.has(kind)) === true) return null;
  return SKEW_MS + Math.ceil((2 * DRIFT_PPM_MAX * Math.max(0, stormMs - LONG_STORM_MS)) / 1e6);
}

/** Returns which operation was told a value that had expired before it was asked, and of which write; null: none was. */
export function findOverdue(
  operations: readonly Operation[],
): readonly [write: Operation, read: Operation] | null {
  const writes = new ExpiringWrites();
  for (const operation of operations) writes.add(operation);
  if (writes.isEmpty) return null;
  for (const operation of operations) {
    const write = writes.overdueIn(operation);
    if (write !== null) return [write, operation];
  }
  return null;
}

/** Writes of what expires in a time that can be told. */
export class ExpiringWrites {
  /** By key and value, which is unique. */
  readonly #writes = new Map<string, Operation>();

  get isEmpty(): boolean {
    return this.#writes.size === 0;
  }

  /** An operation that has taken effect by its `returnedAt`: of interest if it is such a write. */
  add(operation: Operation): void {
    const { key, argument, expiry, returnedAt } = operation;
    if (expiry === undefined || expiry.latestAfter === null || returnedAt === null) return;
    this.#writes.set(`${key} ${argument}`, operation);
  }

  /** Nobody can be told its value any more. */
  remove({ key, argument }: Operation): void {
    this.#writes.delete(`${key} ${argument}`);
  }

  /** The write whose value the operation was told although it had expired when that was asked for; null: there is none. */
  overdueIn(operation: Operation): Operation | null {
    if (this.isEmpty) return null;
    for (const [key, value] of toldBy(operation)) {
      const write = value === null ? undefined : this.#writes.get(`${key} ${value}`);
      const returnedAt = write?.returnedAt ?? null;
      const latestAfter = write?.expiry?.latestAfter ?? null;
      if (write === undefined || returnedAt === null || latestAfter === null) continue;
      if (operation.invokedAt > returnedAt + latestAfter) return write;
    }
    return null;
  }
}

/** Keys with the values that an operation was told, or has found as it expected them. */
function toldBy({
  kind,
  key,
  result,
  expected,
  parts = [],
  results = [],
  entries = [],
}: Operation): [string, string | null][] {
  switch (kind) {
    case 'get':
    case 'getset':
      return [[key, result]];
    case 'cas':
      return result === '1' ? [[key, expected ?? null]] : [];
    case 'mget':
      return parts.map((part, at) => [part.key, results[at] ?? null]);
    case 'scan': {
      const bucket = key.slice(0, key.indexOf('/') + 1);
      return entries.map(([name, value]) => [bucket + name, value]);
    }
    default:
      return [];
  }
}
