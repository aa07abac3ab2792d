/** What the tests of the log share: a log on a disk and a clock that stand still unless they are told to go on. */
import { expect } from 'vitest';
import type { Outcome } from '../../src/base/errors.ts';
import type { LogFields, Logger, LogLevel } from '../../src/io/logger.ts';
import { type Entry, EntryKind } from '../../src/log/entry.ts';
import { Log, type LogOptions } from '../../src/log/log.ts';
import { CrashDisk, ManualClock } from './crash_disk.ts';

export const DIRECTORY = 'data/log';

export class Machine implements Logger {
  disk: CrashDisk;
  clock = new ManualClock();
  readonly events: { level: LogLevel; event: string; fields: LogFields }[] = [];
  readonly #options: Partial<LogOptions>;

  constructor(options: Partial<LogOptions> = {}, disk = new CrashDisk()) {
    this.#options = options;
    this.disk = disk;
  }

  log(level: LogLevel, event: string, fields: LogFields = {}): void {
    this.events.push({ level, event, fields });
  }

  /** Starts to open the log; the outcome is there once the machine has settled. */
  startOpen(): { outcome: Outcome<Log> | null } {
    const result: { outcome: Outcome<Log> | null } = { outcome: null };
    const { disk, clock } = this;
    Log.open(
      { disk, clock, logger: this, directory: DIRECTORY, segmentBytes: 64 * 1024, ...this.#options },
      (outcome) => {
        result.outcome = outcome;
      },
    );
    return result;
  }

  tryOpen(): Outcome<Log> {
    const result = this.startOpen();
    while (result.outcome === null) expect(this.step()).toBe(true);
    return result.outcome;
  }

  open(): Log {
    const outcome = this.tryOpen();
    if (!outcome.ok) throw outcome.error;
    return outcome.value;
  }

  /** Runs what is ready, without letting time pass; false when nothing is. */
  step(): boolean {
    return this.clock.runTask() || this.disk.completeNext();
  }

  /** Runs until nothing is under way, without letting time pass. */
  finish(): void {
    while (this.step()) {}
  }

  /** Runs until nothing will ever happen by itself. */
  settle(): void {
    do this.finish();
    while (this.clock.runTimer());
  }

  close(log: Log): Error | null {
    let result: Error | null | undefined;
    log.close((error) => {
      result = error;
    });
    this.settle();
    if (result === undefined) throw new Error('the log does not close');
    return result;
  }

  /** The machine after a crash or kill, with the disk that this left. */
  restart(disk: CrashDisk): void {
    this.disk = disk;
    this.clock = new ManualClock();
  }
}

export function entry(index: number, term: number, payload: string | Uint8Array = `${index}/${term}`): Entry {
  const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
  return { index, term, kind: EntryKind.Command, payload: bytes };
}

/** All entries of a group as text, to compare. */
export function dump(log: Log, group: number): string[] {
  const { firstIndex, lastIndex } = log.group(group);
  const entries = log.group(group).entries(firstIndex, lastIndex + 1, Number.POSITIVE_INFINITY);
  return entries.map(describeEntry);
}

export function describeEntry({ index, term, kind, payload }: Entry): string {
  return `${index} ${term} ${kind} ${Buffer.from(payload).toString('hex')}`;
}

/** A stream of draws that depends on nothing but the seed (mulberry32). */
export function drawsOf(seed: number): (bound: number) => number {
  let state = seed | 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}
