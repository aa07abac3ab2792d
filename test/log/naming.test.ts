/**
 * A log that is to name its damage. Groups have the logs that Raft gives a follower: leaders of rising terms, each with a
 * log that goes on from some prefix of an earlier one's, hand over parts of theirs, and replace what does not match.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptionError } from '../../src/base/errors.ts';
import type { Entry } from '../../src/log/entry.ts';
import type { Log } from '../../src/log/log.ts';
import { runs } from '../long.ts';
import type { CrashDisk } from './crash_disk.ts';
import { DIRECTORY, describeEntry, drawsOf, entry, Machine } from './harness.ts';

type Draw = (bound: number) => number;

const GROUPS = [1, 2, 9];
const RECORD_HEADER_BYTES = 40;
const SECTOR_BYTES = 512;

/** The leaders' logs of a group, and the part of the last one that the follower has. */
class History {
  readonly #draw: Draw;
  readonly #leaders: Entry[][] = [];
  /** What the follower holds. */
  entries: Entry[] = [];
  #term = 0;

  constructor(draw: Draw) {
    this.#draw = draw;
  }

  /** The entries that the follower appends next, of which the first may replace some. */
  next(): Entry[] {
    const draw = this.#draw;
    if (this.#leaders.length === 0 || draw(4) === 0) this.#elect();
    const leader = this.#leaders.at(-1) ?? [];
    for (let count = draw(3); count > 0; count--) this.#lead(leader);
    let matched = 0;
    while (matched < this.entries.length && this.entries[matched] === leader[matched]) matched++;
    const taken = leader.slice(matched, matched + 1 + draw(4));
    if (taken.length > 0) this.entries = [...this.entries.slice(0, matched), ...taken];
    return taken;
  }

  /** Whether some leader made this entry: one of that index and term is always the same. */
  made(found: Entry): boolean {
    return this.#leaders.some((log) => {
      const one = log[found.index - 1];
      return one !== undefined && describeEntry(one) === describeEntry(found);
    });
  }

  #elect(): void {
    const draw = this.#draw;
    this.#term += 1 + (draw(8) === 0 ? 65_535 : draw(2));
    const before = this.#leaders.length === 0 ? [] : this.#leaders[draw(this.#leaders.length)];
    const log = before.slice(0, draw(3) === 0 ? draw(before.length + 1) : before.length);
    this.#leaders.push(log);
    this.#lead(log);
  }

  #lead(log: Entry[]): void {
    const index = log.length + 1;
    const bytes = this.#draw(3) === 0 ? 0 : this.#draw(300);
    log.push(entry(index, this.#term, new Uint8Array(bytes).fill(index ^ this.#term)));
  }
}

function live(draw: Draw): { machine: Machine; histories: Map<number, History> } {
  const segmentBytes = [256, 1024, 8192][draw(3)];
  const machine = new Machine({ segmentBytes, cacheBytes: 0, damage: 'name' });
  const histories = new Map(GROUPS.slice(0, 1 + draw(3)).map((group) => [group, new History(draw)]));
  let log = machine.open();
  for (let step = 5 + draw(40); step > 0; step--) {
    for (const [group, history] of histories) {
      if (draw(3) === 0) continue;
      for (const one of history.next()) log.group(group).append(one);
    }
    log.flush();
    if (draw(2) === 0) machine.finish();
    if (draw(6) === 0) machine.settle();
    if (draw(20) === 0) {
      machine.close(log);
      log = machine.open();
    }
  }
  log.flush();
  machine.settle();
  machine.restart(machine.disk.kill());
  return { machine, histories };
}

/** Where the last marker begins: what is before it is known to have been durable. */
function attestedUntil(disk: CrashDisk): { path: string; offset: number; paths: string[] } {
  const paths = disk
    .list(DIRECTORY)
    .filter((name) => name.endsWith('.log'))
    .sort()
    .map((name) => `${DIRECTORY}/${name}`);
  const path = paths.at(-1) ?? '';
  const bytes = disk.contents(path);
  const view = new DataView(bytes.buffer);
  let offset = 32;
  let last = 0;
  while (offset + RECORD_HEADER_BYTES <= bytes.length && bytes[offset] !== 0) {
    last = offset;
    offset += RECORD_HEADER_BYTES + Math.ceil(view.getUint32(offset + 12, true) / 8) * 8;
  }
  return { path, offset: last, paths };
}

/** Bits flip, or sectors read as zeros; some places, all of them attested. */
function damage({ disk }: Machine, draw: Draw): void {
  const end = attestedUntil(disk);
  for (let places = 1 + draw(3); places > 0; places--) {
    const path = end.paths[draw(end.paths.length)];
    const bytes = disk.contents(path);
    const limit = path === end.path ? end.offset : bytes.length;
    if (limit === 0) continue;
    const at = draw(limit);
    if (draw(3) === 0) {
      const sector = at - (at % SECTOR_BYTES);
      bytes.fill(0, sector, Math.min(limit, sector + SECTOR_BYTES));
    } else bytes[at] ^= 1 << draw(8);
    disk.overwrite(path, bytes);
  }
}

function expectSound(log: Log, histories: Map<number, History>): void {
  for (const [group, history] of histories) {
    const found = log.group(group);
    const name = `group ${group}`;
    if (!found.isOpen) {
      const terms: string[] = [];
      for (let index = 1; index <= found.lastIndex; index++) terms.push(`${index}/${found.termAt(index)}`);
      expect(terms, name).toEqual(history.entries.map(({ index, term }) => `${index}/${term}`));
    }
    for (let index = 1; index <= found.lastIndex; index++) {
      if (found.isDamaged(index)) expect(() => found.entry(index)).toThrow(/damaged/);
      else expect(history.made(found.entry(index)), `${name} index ${index}`).toBe(true);
    }
  }
}

/** As peers would. */
function mend(log: Log, histories: Map<number, History>): void {
  for (const [group, history] of histories) {
    const found = log.group(group);
    if (found.isOpen) {
      found.fence(found.lastTerm);
      continue;
    }
    for (const one of history.entries) if (found.isDamaged(one.index)) found.mend(one);
  }
  log.flush();
}

describe('a log that names its damage', () => {
  it('claims nothing but what was there, and is whole again when it is mended', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const draw = drawsOf(seed);
        const { machine, histories } = live(draw);
        damage(machine, draw);
        const log = machine.open();
        expectSound(log, histories);
        const fenced = [...histories.keys()].filter((group) => log.group(group).isOpen);
        mend(log, histories);
        machine.settle();
        for (const group of histories.keys()) {
          if (!fenced.includes(group)) expect(log.group(group).damagedCount).toBe(0);
        }
        machine.restart(machine.disk.kill());
        const again = machine.open();
        for (const [group, history] of histories) {
          const found = again.group(group);
          expect(found.isOpen).toBe(false);
          expect(found.isFenced).toBe(fenced.includes(group) && found.lastIndex > 0);
          if (fenced.includes(group)) continue;
          const entries = found.entries(1, found.lastIndex + 1, Number.POSITIVE_INFINITY);
          expect(entries.map(describeEntry)).toEqual(history.entries.map(describeEntry));
        }
      }),
      { numRuns: runs(300) },
    );
  });

  it('with segments missing names what they held, or refuses by the name of the file', () => {
    let named = 0;
    let refused = 0;
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const draw = drawsOf(seed);
        const { machine, histories } = live(draw);
        const { paths } = attestedUntil(machine.disk);
        // The first may be missing by right, and that there was another behind the last nobody knows.
        const candidates = paths.slice(1, -1);
        if (candidates.length === 0) return;
        const missing = candidates[draw(candidates.length)];
        machine.disk.remove(missing);
        if (draw(3) === 0 && candidates.length > 1) {
          const other = candidates.filter((path) => path !== missing)[draw(candidates.length - 1)];
          machine.disk.remove(other);
        }
        for (let opened = 0; opened < 2; opened++) {
          const outcome = openAll(machine, histories);
          if (outcome instanceof Error) {
            expect(outcome.message).toMatch(/corruption in .*\d\.log at offset 0: the segment is missing/);
            refused++;
            return;
          }
          for (const group of histories.keys()) expect(outcome.group(group).isOpen).toBe(false);
          expectSound(outcome, histories);
          mend(outcome, histories);
          machine.settle();
          machine.restart(machine.disk.kill());
        }
        named++;
        const whole = machine.open();
        for (const [group, history] of histories) {
          const found = whole.group(group);
          const entries = found.entries(1, found.lastIndex + 1, Number.POSITIVE_INFINITY);
          expect(entries.map(describeEntry)).toEqual(history.entries.map(describeEntry));
        }
      }),
      { numRuns: runs(300) },
    );
    expect(named).toBeGreaterThan(10);
    expect(refused).toBeGreaterThan(10);
  });
});

/** The log, if it opens and knows all groups. */
function openAll(machine: Machine, histories: Map<number, History>): Log | Error {
  const outcome = machine.tryOpen();
  if (!outcome.ok) return outcome.error;
  try {
    for (const group of histories.keys()) outcome.value.group(group);
    return outcome.value;
  } catch (error) {
    if (error instanceof CorruptionError) return error;
    throw error;
  }
}
