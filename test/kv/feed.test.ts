import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { type Change, ChangeKind, Journal } from '../../src/kv/journal.ts';
import type { Result } from '../../src/kv/request.ts';
import { StateMachine } from '../../src/kv/state_machine.ts';
import { encodeWrite } from '../../src/kv/write_codec.ts';
import { runs } from '../long.ts';
import { Rig, TINY } from '../lsm/rig.ts';
import { log } from './arbitrary_writes.ts';

const BUCKET = 'default';

function listOf(result: Result | undefined): readonly Result[] {
  if (result?.type !== 'list') throw new Error(`not a list: ${JSON.stringify(result)}`);
  return result.items;
}

function countOf(result: Result | undefined): number {
  if (result?.type !== 'count') throw new Error('not a count');
  return result.count;
}

function textOf(result: Result | undefined): string | null {
  if (result?.type !== 'value') throw new Error('not a value');
  return result.value === null ? null : fromUtf8(result.value);
}

function feed(machine: StateMachine, since: number | null, prefix: string, limit: number): Result {
  const result = machine.readLong({ type: 'feed', bucket: BUCKET, since, prefix: utf8(prefix), limit }, 0);
  if (result === 'due' || 'step' in result) throw new Error('a feed is answered at once');
  return result;
}

function entries(machine: StateMachine, prefix: string): Map<string, string> {
  const read = machine.readLong(
    {
      type: 'range',
      bucket: BUCKET,
      from: utf8(''),
      to: null,
      prefix: utf8(prefix),
      limit: 1000,
      answer: 'entries',
      order: 'ascending',
    },
    0,
  );
  if (read === 'due' || !('step' in read)) throw new Error('a range is read in steps');
  let page = read.step(1000);
  while (page === null) page = read.step(1000);
  const items = listOf(listOf(page)[1]).map(textOf);
  const found = new Map<string, string>();
  for (let at = 0; at < items.length; at += 2) found.set(items[at] ?? '', items[at + 1] ?? '');
  return found;
}

/** A copy of a part of a bucket, kept up by nothing but the feed. */
class Copy {
  readonly values = new Map<string, string>();
  readonly #prefix: string;
  #through = 0;
  restarts = 0;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** One page. True when it told all. */
  follow(machine: StateMachine, limit: number, applied: number): boolean {
    const page = feed(machine, this.#through, this.#prefix, limit);
    if (page.type === 'error') {
      expect(page.message).toMatch(/not kept any more/);
      this.restarts++;
      this.#through = countOf(listOf(feed(machine, null, '', 1))[0]);
      this.values.clear();
      for (const [key, value] of entries(machine, this.#prefix)) this.values.set(key, value);
      return true;
    }
    const [through, changes] = listOf(page);
    const told = listOf(changes);
    for (const change of told) {
      const [revision, word, key, value] = listOf(change);
      // So of a key nothing older is ever told behind something newer.
      expect(countOf(revision)).toBeGreaterThan(this.#through);
      expect(countOf(revision)).toBeLessThanOrEqual(countOf(through));
      if (textOf(word) === 'drop') this.values.clear();
      else if (textOf(word) === 'delete') this.values.delete(textOf(key) ?? '');
      else this.values.set(textOf(key) ?? '', textOf(value) ?? '');
    }
    expect(countOf(through)).toBeGreaterThanOrEqual(this.#through);
    this.#through = countOf(through);
    if (told.length < limit) expect(this.#through).toBe(applied);
    return this.#through === applied;
  }
}

describe('the feed', () => {
  it('keeps a copy equal that reads it from time to time, a page at a time', () => {
    fc.assert(
      fc.property(
        log,
        fc.constantFrom('', 'b'),
        fc.constantFrom(1, 2, 5, 20),
        fc.constantFrom(3, 20, 1000),
        fc.constantFrom(1, 2, 50),
        (written, prefix, pace, journalChanges, limit) => {
          const rig = new Rig('feed');
          const machine = new StateMachine(rig.open(TINY), { changes: journalChanges, keyBytes: 1000 });
          const copy = new Copy(prefix);
          let index = 0;
          for (const { timeMs, write } of written) {
            machine.apply(++index, encodeWrite(write, timeMs), 'not-wanted');
            if (index % pace === 0) copy.follow(machine, limit, index);
          }
          while (machine.isTickDue(machine.nowMs)) {
            machine.apply(++index, encodeWrite({ type: 'tick' }, 0), 'not-wanted');
          }
          for (let pages = 0; !copy.follow(machine, limit, index); pages++) expect(pages).toBeLessThan(200);
          expect(new Map([...copy.values].sort())).toEqual(entries(machine, prefix));
          // A range is forgotten with all that was noted before it.
          const hasRanges = written.some(({ write }) => write.type === 'delete-range');
          if (journalChanges === 1000 && !hasRanges) expect(copy.restarts).toBe(0);
        },
      ),
      { numRuns: runs(120) },
    );
  });

  it('tells a key that has changed again behind the page only there', () => {
    const machine = new StateMachine(new Rig('again').open(TINY));
    const copy = new Copy('');
    for (const [at, name] of ['a', 'b', 'c', 'a', 'd'].entries()) {
      const write = { type: 'set', bucket: BUCKET, key: utf8(name), value: utf8(`${at}`) } as const;
      machine.apply(at + 1, encodeWrite(write, 0), 'not-wanted');
    }
    expect(copy.follow(machine, 2, 5)).toBe(false);
    expect([...copy.values.keys()]).toEqual(['b', 'c']);
    machine.apply(6, encodeWrite({ type: 'delete', bucket: BUCKET, keys: [utf8('a')] }, 0), 'not-wanted');
    expect(copy.follow(machine, 3, 6)).toBe(true);
    expect([...copy.values.keys()]).toEqual(['b', 'c', 'd']);
  });

  it('tells a drop where it happened: in front of what was written behind it', () => {
    const machine = new StateMachine(new Rig('drop').open(TINY));
    const set = { type: 'set', bucket: BUCKET, key: utf8('k'), value: utf8('v') } as const;
    for (const [at, write] of [set, { type: 'drop-bucket', bucket: BUCKET } as const, set].entries()) {
      machine.apply(at + 1, encodeWrite(write, 0), 'not-wanted');
    }
    const words = listOf(listOf(feed(machine, 0, '', 10))[1]).map((change) => textOf(listOf(change)[1]));
    expect(words).toEqual(['drop', 'set']);
  });

  it('says where it begins when that is asked for which is gone, and what the last revision is', () => {
    const machine = new StateMachine(new Rig('gone').open(TINY), { changes: 2, keyBytes: 1000 });
    for (let index = 1; index <= 7; index++) {
      const write = { type: 'set', bucket: BUCKET, key: utf8(`k${index}`), value: utf8('v') } as const;
      machine.apply(index, encodeWrite(write, 0), 'not-wanted');
    }
    expect(feed(machine, 3, '', 10)).toMatchObject({
      type: 'error',
      message:
        'changes behind revision 3 are not kept any more, only those behind 4: read the keys anew and feed from there',
    });
    expect(listOf(listOf(feed(machine, 4, '', 10))[1])).toHaveLength(3);
    expect(feed(machine, 8, '', 10)).toMatchObject({
      type: 'error',
      message: 'revision 8 is in the future: the last is 7',
    });
  });
});

describe('a journal', () => {
  it('gives back all changes behind its start, in order, whatever was forgotten', () => {
    const key = fc.uint8Array({ maxLength: 40 });
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.nat({ max: 2 })), { maxLength: 400 }), (added) => {
        const journal = new Journal(0, { changes: 20, keyBytes: 300 });
        const all: { revision: number; key: string }[] = [];
        let revision = 1;
        for (const [bytes, step] of added) {
          revision += step;
          journal.add(revision, ChangeKind.Key, bytes);
          all.push({ revision, key: bytes.join() });
        }
        for (const since of [journal.start, journal.start + 3]) {
          const found: { revision: number; key: string }[] = [];
          journal.since(since, (change: Change) => {
            found.push({ revision: change.revision, key: change.key.join() });
            return 'more';
          });
          expect(found).toEqual(all.filter((change) => change.revision > since));
        }
        // Of the newest changes some are always there.
        expect(journal.start).toBeLessThanOrEqual(revision);
      }),
    );
  });
});
