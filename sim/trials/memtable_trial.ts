/**
 * Memtables alone, with far more keys than those of other trials have: what speeds up their searches begins at some dozens,
 * and is chosen anew as keys come that it does not fit. Beside each goes a sorted map of all versions; what is found, before
 * which key, and as of when, is compared.
 */
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { Memtable, MemtableCursor } from '../../src/lsm/memtable.ts';
import { RecordKind } from '../../src/lsm/record.ts';
import type { SimRandom } from '../random.ts';

const ENTRIES = { min: 50, max: 500 };
const CHECKS = 6;
const PROBES = 30;
const EMPTY = new Uint8Array(0);

interface Version {
  readonly sequence: number;
  /** Null: a tombstone. */
  readonly value: string | null;
}

/** From new to old. */
type Model = Map<string, Version[]>;

/** Keys as users make them: each draws the next one. */
const SHAPES: readonly ((random: SimRandom) => () => string)[] = [
  // Groups that go on, and on the way become longer or share less.
  (random) => {
    let group = random.between(80, 290);
    return () => {
      if (random.below(5) === 0) group += random.below(3);
      return `b${group}/${random.pick(['', 'test/', 'authors/'])}${random.below(40)}`;
    };
  },
  (random) => () => `user:${String(random.below(1_000_000)).padStart(7, '0')}`,
  (random) => {
    let next = random.below(1000);
    return () => `log/${String(next++).padStart(6, '0')}`;
  },
  (random) => () =>
    Array.from({ length: random.below(5) }, () => random.pick(['a', 'b', '\0', '~'])).join(''),
];

/** Runs a trial; what went wrong, or null. */
export function tryMemtable(random: SimRandom): string | null {
  const draw = random.pick(SHAPES)(random);
  const memtable = new Memtable(random.pick([64, 16 * 1024]));
  const model: Model = new Map();
  const entries = random.between(ENTRIES.min, ENTRIES.max);
  const checkAt = new Set(Array.from({ length: CHECKS }, () => random.between(1, entries)).concat(entries));
  for (let sequence = 1; sequence <= entries; sequence++) {
    const key = draw();
    const value = random.below(8) === 0 ? null : `v${sequence}`;
    const kind = value === null ? RecordKind.Tombstone : RecordKind.Put;
    memtable.add(utf8(key), sequence, kind, value === null ? EMPTY : utf8(value));
    model.set(key, [{ sequence, value }, ...(model.get(key) ?? [])]);
    if (!checkAt.has(sequence)) continue;
    const problem = compare(memtable, model, random, draw);
    if (problem !== null) return `after ${sequence} entries ${problem}`;
  }
  return null;
}

function compare(memtable: Memtable, model: Model, random: SimRandom, draw: () => string): string | null {
  const keys = [...model.keys()].sort();
  const last = memtable.lastIndex;
  const cursor = new MemtableCursor(memtable);
  for (let probe = 0; probe < PROBES; probe++) {
    const key = random.chance(700) ? random.pick(keys) : draw();
    const visible = random.chance(500) ? last : random.between(1, last);
    const name = JSON.stringify(key);
    const node = memtable.findVisible(utf8(key), visible);
    const version = model.get(key)?.find(({ sequence }) => sequence <= visible);
    const found = node === 0 ? undefined : memtable.sequenceAt(node);
    if (found !== version?.sequence) return `${name} as of ${visible} is ${found}, not ${version?.sequence}`;
    cursor.seek(utf8(key));
    const behind = problemAt(
      cursor,
      model,
      keys.find((other) => other >= key),
    );
    if (behind !== null) return `from ${name} on ${behind}`;
    cursor.seekBelow(utf8(key));
    const before = problemAt(
      cursor,
      model,
      keys.findLast((other) => other < key),
    );
    if (before !== null) return `below ${name} ${before}`;
  }
  return null;
}

/** It stands on the newest version of the key; undefined: nowhere. */
function problemAt(cursor: MemtableCursor, model: Model, key: string | undefined): string | null {
  const found = cursor.isValid ? fromUtf8(cursor.key.slice()) : undefined;
  if (found !== key) return `comes ${JSON.stringify(found)}, not ${JSON.stringify(key)}`;
  if (key === undefined) return null;
  const [newest] = model.get(key) ?? [];
  const value = cursor.kind === RecordKind.Put ? fromUtf8(cursor.value.slice()) : null;
  if (cursor.sequence === newest.sequence && value === newest.value) return null;
  return `comes ${cursor.sequence} ${value} of ${JSON.stringify(key)}, not ${newest.sequence} ${newest.value}`;
}
