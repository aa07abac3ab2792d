/**
 * The state machine alone, with what several keys, conditions and repetitions are about: transactions whose commands see
 * what those before them have written, conditions, numbered writes of sessions that come twice, and a feed that a copy is
 * kept by, through kills and crashes after which it applies again what tables do not cover.
 *
 * Each answer is compared with that of a map in memory. The copy equals it whenever the feed says that it has told all;
 * where the feed says that it cannot, the copy is made anew.
 */
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { DEFAULT_JOURNAL_LIMITS, type JournalLimits } from '../../src/kv/journal.ts';
import type { Condition, Guard, OnceWrite, Point, PointWrite, Result, Write } from '../../src/kv/request.ts';
import { StateMachine } from '../../src/kv/state_machine.ts';
import { encodeWrite } from '../../src/kv/write_codec.ts';
import type { Store, StoreOptions } from '../../src/lsm/store.ts';
import type { SimRandom } from '../random.ts';
import { answerOf, CommandModel, type Values } from './command_model.ts';
import { StoreMachine, SYNC_US } from './store_machine.ts';

const LIVES_MAX = 4;
const ROUNDS_MAX = 8;
const BATCH_MAX = 8;
const POINTS_MAX = 4;
const DIRECTORY = '/store';
const BUCKET = 'b';
const START_MS = 1_700_000_000_000;
/** No session ends. */
const IDLE_MS = 1_000_000;
/** No more answers of a session are kept. */
const NUMBERS_MAX = 60;
const NO_PREFIX = new Uint8Array(0);

/** What went wrong, or null. */
export function tryCommands(random: SimRandom): string | null {
  return new CommandTrial(random).run();
}

interface Live {
  readonly store: Store;
  readonly machine: StateMachine;
}

interface Session {
  readonly id: number;
  last: number;
}

class CommandTrial {
  readonly #random: SimRandom;
  readonly #machine: StoreMachine;
  readonly #tuning: Partial<StoreOptions>;
  readonly #journal: JournalLimits;
  readonly #keys: number;
  /** What a log would hold: entry `i` is at `i - 1`. */
  readonly #entries: Write[] = [];
  readonly #model = new CommandModel();
  readonly #sessions: Session[] = [];
  /** What a feed has told, up to this revision; null: the keys must be read first. */
  #copy = new Map<string, string>();
  #since: number | null = null;

  constructor(random: SimRandom) {
    this.#random = random;
    this.#machine = new StoreMachine(random);
    this.#keys = random.pick([2, 4, 12]);
    this.#journal = random.pick([DEFAULT_JOURNAL_LIMITS, { changes: 12, keyBytes: 1000 }]);
    this.#tuning = {
      memtableBytes: 1 << random.between(8, 11),
      blockBytes: 1 << random.between(6, 10),
      immutableMemtablesMax: random.pick([1, 2, 4]),
      mergeAtTables: random.between(2, 5),
      tableBytes: 1 << random.between(8, 12),
      levelBytes: 1 << random.between(9, 12),
    };
  }

  run(): string | null {
    const random = this.#random;
    for (let lives = random.between(2, LIVES_MAX); lives > 0 && this.#machine.failure === null; lives--) {
      const live = this.#open();
      if (live === null) break;
      for (
        let rounds = random.between(1, ROUNDS_MAX);
        rounds > 0 && this.#machine.failure === null;
        rounds--
      ) {
        this.#machine.guarded(() => this.#round(live));
        this.#machine.scheduler.runUntil(this.#machine.scheduler.nowUs + random.below(4 * SYNC_US.max));
      }
      this.#machine.endLife(random);
    }
    return this.#machine.failure;
  }

  #open(): Live | null {
    const store = this.#machine.openSoundStore(DIRECTORY, this.#tuning);
    if (store === null) return null;
    let live: Live | null = null;
    this.#machine.guarded(() => {
      const machine = new StateMachine(store, this.#journal);
      for (let index = store.flushedIndex + 1; index <= this.#entries.length; index++)
        machine.apply(index, this.#encoded(index), 'not-wanted');
      live = { store, machine };
      this.#readAll(live);
    });
    return this.#machine.failure === null ? live : null;
  }

  #round(live: Live): void {
    const random = this.#random;
    for (let count = random.between(0, BATCH_MAX); count > 0 && live.store.writable; count--)
      this.#append(live, this.#drawWrite());
    if (random.chance(300)) this.#readAll(live);
    if (random.chance(600)) this.#follow(live);
    if (random.chance(300)) live.store.flush(() => {});
  }

  #append({ machine }: Live, write: Write): void {
    this.#entries.push(write);
    const index = this.#entries.length;
    const expected = this.#model.apply(write, index);
    const answer = answerOf(machine.apply(index, this.#encoded(index), 'wanted'));
    if (answer !== expected)
      this.#machine.fail(`${write.type} at entry ${index} is answered '${answer}', and not '${expected}'`);
    if (write.type === 'session-open') this.#sessions.push({ id: index, last: 0 });
  }

  #encoded(index: number): Uint8Array {
    return encodeWrite(this.#entries[index - 1], START_MS + index);
  }

  #drawWrite(): Write {
    const random = this.#random;
    if (random.chance(40)) return { type: 'session-open', idleMs: IDLE_MS };
    const write: OnceWrite = random.chance(400) ? this.#drawTransaction() : this.#drawPointWrite();
    const session = this.#sessions.length === 0 ? undefined : random.pick(this.#sessions);
    if (session === undefined || session.last === NUMBERS_MAX || random.chance(500)) return write;
    // Whoever was not answered asks again, under the number of before.
    const isAgain = session.last > 0 && random.chance(400);
    const number = isAgain ? random.between(1, session.last) : ++session.last;
    return { type: 'session-write', session: session.id, number, write };
  }

  #drawTransaction(): OnceWrite {
    const random = this.#random;
    const points = (): Point[] =>
      Array.from({ length: random.between(0, POINTS_MAX) }, () =>
        random.chance(450) ? this.#drawRead() : this.#drawPointWrite(),
      );
    const guards = Array.from({ length: random.pick([0, 1, 1, 2]) }, () => this.#drawGuard());
    return { type: 'transaction', guards, success: points(), failure: points() };
  }

  #drawGuard(): Guard {
    const random = this.#random;
    const of = { bucket: BUCKET, key: this.#drawKey() };
    const held = this.#model.values.get(fromUtf8(of.key));
    if (random.chance(500)) {
      const value = utf8(random.chance(500) ? (held?.text ?? '') : 'other');
      return { type: 'value', is: random.pick(['=', '!=']), value, ...of };
    }
    const revision = random.chance(500) ? (held?.revision ?? 0) : random.below(this.#entries.length + 2);
    return { type: 'revision', is: random.pick(['=', '!=', '<', '>']), revision, ...of };
  }

  #drawRead(): Point {
    const key = this.#drawKey();
    if (this.#random.chance(700)) return { type: 'get', bucket: BUCKET, key };
    return { type: 'exists', bucket: BUCKET, keys: [key, this.#drawKey()] };
  }

  #drawPointWrite(): PointWrite {
    const random = this.#random;
    const of = { bucket: BUCKET, key: this.#drawKey() };
    const value = utf8(`${this.#entries.length + 1}`);
    switch (random.pick(['set', 'set', 'append', 'add', 'set-if', 'get-delete', 'delete'])) {
      case 'append':
        return { type: 'append', value: value.slice(-1), ...of };
      case 'add':
        return { type: 'add', by: BigInt(random.between(-5, 5)), ...of };
      case 'set-if': {
        const condition = this.#drawCondition(fromUtf8(of.key));
        return { type: 'set-if', value, condition, expiry: { type: 'never' }, answer: 'flag', ...of };
      }
      case 'get-delete':
        return { type: 'get-delete', ...of };
      case 'delete':
        return { type: 'delete', bucket: BUCKET, keys: [of.key, this.#drawKey()] };
      default:
        return { type: 'set', value, ...of };
    }
  }

  #drawCondition(name: string): Condition {
    const random = this.#random;
    const held = this.#model.values.get(name);
    switch (random.pick(['absent', 'present', 'value', 'revision'])) {
      case 'absent':
        return { type: 'absent' };
      case 'present':
        return { type: 'present' };
      case 'value':
        return { type: 'value', value: utf8(random.chance(500) ? (held?.text ?? '') : 'other') };
      default:
        return { type: 'revision', revision: random.chance(500) ? (held?.revision ?? 0) : 1 };
    }
  }

  #drawKey(): Uint8Array {
    return utf8(`k${this.#random.below(this.#keys)}`);
  }

  #readAll({ machine }: Live): void {
    for (let at = 0; at < this.#keys; at++) {
      const name = `k${at}`;
      const found = answerOf(asResult(machine.read({ type: 'get', bucket: BUCKET, key: utf8(name) }, 0)));
      const held = this.#model.values.get(name);
      const expected = held === undefined ? 'no value' : `value ${held.text}`;
      if (found !== expected)
        this.#machine.fail(
          `after ${this.#entries.length} entries ${name} has '${expected}'; read: '${found}'`,
        );
    }
  }

  /** One page of the feed. */
  #follow({ machine }: Live): void {
    const revision = this.#entries.length;
    const limit = this.#random.pick([1, 3, 100]);
    const since = this.#since;
    if (since === null) {
      this.#copy = new Map([...this.#model.values].map(([name, { text }]) => [name, text]));
      this.#since = revision;
      return;
    }
    const request = { type: 'feed', bucket: BUCKET, since, prefix: NO_PREFIX, limit } as const;
    const page = asResult(machine.readLong(request, 0));
    // What it asks for is not kept any more: everybody may say so behind a start, and when there was too much of it.
    if (page.type === 'error' && page.code === 'invalid') {
      this.#since = null;
      return;
    }
    const [through, changes] = page.type === 'list' ? page.items : [];
    if (through?.type !== 'count' || changes?.type !== 'list') {
      this.#machine.fail(`a feed from ${since} is answered ${JSON.stringify(page)}`);
      return;
    }
    for (const change of changes.items) this.#take(change);
    this.#since = through.count;
    if (changes.items.length < limit && through.count !== revision)
      this.#machine.fail(
        `a feed from ${since} tells ${changes.items.length} of ${limit}, and ends at ${through.count}`,
      );
    if (through.count === revision) this.#compareCopy(since, this.#model.values);
  }

  #take(change: Result): void {
    const [, word, key, value] = change.type === 'list' ? change.items.map(answerOf) : [];
    const name = key?.replace('value ', '') ?? '';
    if (word === 'value delete') this.#copy.delete(name);
    else if (word === 'value set' && value !== undefined) this.#copy.set(name, value.replace('value ', ''));
    else this.#machine.fail(`a feed tells ${JSON.stringify(change)}`);
  }

  #compareCopy(since: number, values: Values): void {
    for (let at = 0; at < this.#keys; at++) {
      const name = `k${at}`;
      const expected = values.get(name)?.text;
      const found = this.#copy.get(name);
      if (found !== expected)
        this.#machine.fail(
          `a copy that is kept by a feed, from ${since} to ${this.#since}, has ${found} in ${name}, and not ${expected}`,
        );
    }
  }
}

/** Nothing expires, and a page of a feed is read at once. */
function asResult(found: ReturnType<StateMachine['readLong']>): Result {
  if (found === 'due' || 'step' in found) throw new Error('this read is answered at once');
  return found;
}
