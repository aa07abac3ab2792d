/**
 * The log alone, on a simulated disk, through many short lives: appends, replaced suffixes and compaction, crashes between,
 * during and after syncs, syncs that fail and lose what they covered. A cluster seldom puts a log into the situations in
 * which recovery is hard, since it appends at once what it had lost; here they are the rule. Records are often all of one
 * size, so that what a crash left behind the end stands exactly where the next record would.
 *
 * A trial may end in damage: a byte of a file changes. Then the log must not open, or must have lost no more than the
 * last batch: only behind that nothing attests that it was durable.
 *
 * What a recovery finds must hold everything that was durable, must be a log that this life has had, and must not bring
 * back what an earlier recovery has not found.
 */
import { CorruptionError } from '../../src/base/errors.ts';
import type { Entry } from '../../src/log/entry.ts';
import { EntryKind } from '../../src/log/entry.ts';
import type { GroupLog } from '../../src/log/group_log.ts';
import { Log } from '../../src/log/log.ts';
import { fileKindOf } from '../disk.ts';
import type { SimRandom } from '../random.ts';
import { LoneMachine } from './lone_machine.ts';

/** Tried one after the other: a log costs little. */
const LOGS = 6;
const LIVES = 16;
const STEPS_MAX = 3;
/** Entries appended between two flushes, at most. */
const BATCH_MAX = 10;
const DAMAGE_PERMILLE = 500;
/** Of a thousand lives, in how many a sync fails. */
const FAILED_SYNC_PERMILLE = 200;
/** Of a thousand steps, in how many a suffix is replaced, and in how many of those all that may be. */
const REPLACE_PERMILLE = 150;
const REPLACE_ALL_PERMILLE = 300;
const COMPACT_PERMILLE = [0, 100, 400];
const SYNC_US = { min: 100, max: 3000 };
const GROUP = 1;
const OPENING_US = 1_000_000;

/** An entry that the present life has had: `prevTerm` ties it to the ones before. */
interface Known {
  readonly prevTerm: number;
  readonly word: number;
}

/** What went wrong, or null. */
export function tryLog(random: SimRandom): string | null {
  for (let logs = LOGS; logs > 0; logs--) {
    const failure = new LogTrial(random).run();
    if (failure !== null) return failure;
  }
  return null;
}

class LogTrial {
  readonly #random: SimRandom;
  readonly #machine: LoneMachine;
  readonly #payloadBytes: number;
  readonly #segmentBytes: number;
  readonly #compactPermille: number;
  /**
   * Durable when the last batch that is durable was written, which says so itself at its beginning, and not replaced by it.
   */
  #attested = 0;
  /** The log is as it was up to there: since the last batch became durable, and since the one before. */
  #untouched: [number, number] = [0, 0];
  /** Compacted up to there once: these entries are committed, and never replaced. */
  #compacted = 0;
  /** By index and term. */
  #known = new Map<string, Known>();
  #term = 1;
  #words = 0;
  #failure: string | null = null;
  /** Why the log did not open. */
  #refusal: Error | null = null;

  constructor(random: SimRandom) {
    this.#random = random;
    this.#machine = new LoneMachine({
      random,
      name: 'log',
      faults: { syncUs: SYNC_US },
      onPanic: (error) => this.#fail(error.stack ?? error.message),
    });
    this.#payloadBytes = random.pick([8, 8, 100, 300, 1100]);
    this.#segmentBytes = 1 << random.between(10, 16);
    this.#compactPermille = random.pick(COMPACT_PERMILLE);
  }

  run(): string | null {
    const random = this.#random;
    let durable = 0;
    for (let life = 1; life <= LIVES && this.#failure === null; life++) {
      const log = this.#open();
      if (log === null) break;
      const group = log.group(GROUP);
      this.#checkRecovered(group, durable);
      if (this.#failure === null) this.#live(log, group);
      durable = group.durableIndex;
      this.#machine.process.crash();
      this.#machine.disk.crash({ content: random.pick(['keep-any', 'keep-any', 'keep-prefix', 'lose-all']) });
      this.#machine.disk.heal();
      this.#machine.process.restart();
    }
    if (this.#failure === null && random.chance(DAMAGE_PERMILLE)) this.#checkDamaged(durable);
    return this.#failure;
  }

  #checkDamaged(durable: number): void {
    const paths = this.#machine.disk
      .files()
      .filter((path) => fileKindOf(path) === 'log' && this.#machine.disk.sizeOf(path) > 0);
    const path = this.#random.pick(paths);
    this.#machine.disk.flipByte(path, this.#random.below(this.#machine.disk.sizeOf(path)));
    const log = this.#open();
    if (this.#refusal !== null) {
      // It says what is wrong: that is what it has to do.
      if (this.#refusal instanceof CorruptionError) this.#failure = null;
      return;
    }
    const lastIndex = log?.group(GROUP).lastIndex ?? 0;
    // Tables cover what was compacted: a log that ends before that is met with an error when both are opened.
    if (lastIndex < Math.min(durable, this.#attested) && lastIndex >= this.#compacted) {
      this.#fail(
        `a byte of ${path} has changed, and of ${durable} durable entries, ${this.#attested} of which are attested, ${lastIndex} are left, without a word`,
      );
    }
  }

  #open(): Log | null {
    let opened: Log | null = null;
    this.#machine.process.run(() =>
      Log.open(
        {
          disk: this.#machine.disk.attach(this.#machine.process),
          directory: '/log',
          clock: this.#machine.clock,
          logger: { log: () => {} },
          segmentBytes: this.#segmentBytes,
          cacheBytes: 1 << 12,
        },
        (outcome) => {
          if (outcome.ok) opened = outcome.value;
          else {
            this.#refusal = outcome.error;
            this.#fail(`the log does not open: ${outcome.error.message}`);
          }
        },
      ),
    );
    const end = this.#machine.scheduler.nowUs + OPENING_US;
    while (opened === null && this.#failure === null && this.#machine.scheduler.stepUntil(end)) {
      // Until it is open.
    }
    if (opened === null) this.#fail('the log does not open in time');
    return opened;
  }

  /** The entries found are the ones that are known from here on. */
  #checkRecovered(group: GroupLog, durable: number): void {
    if (group.lastIndex < durable) {
      this.#fail(`entries up to ${durable} were durable; up to ${group.lastIndex} are left`);
    }
    if (group.firstIndex > this.#compacted + 1) {
      this.#fail(`entries behind ${this.#compacted} are needed; those from ${group.firstIndex} on are left`);
      return;
    }
    const found = new Map<string, Known>();
    let prevTerm = group.termAt(group.firstIndex - 1);
    for (let index = group.firstIndex; index <= group.lastIndex; index++) {
      const { term, payload } = group.entry(index);
      const known = this.#known.get(nameOf(index, term));
      if (known === undefined || known.prevTerm !== prevTerm || known.word !== wordIn(payload)) {
        this.#fail(
          `entry ${index} of term ${term} behind term ${prevTerm} was never there, or was gone before`,
        );
        return;
      }
      found.set(nameOf(index, term), known);
      prevTerm = term;
    }
    this.#known = found;
  }

  #live(log: Log, group: GroupLog): void {
    const random = this.#random;
    let isOver = false;
    let durable = group.durableIndex;
    this.#untouched = [durable, durable];
    group.onDurable = (index) => {
      this.#attested = Math.min(durable, ...this.#untouched);
      durable = index;
      this.#untouched = [group.lastIndex, this.#untouched[0]];
    };
    log.onFailure = () => {
      isOver = true;
    };
    if (random.chance(FAILED_SYNC_PERMILLE)) {
      this.#machine.disk.failSync({ kind: 'log', after: random.between(1, STEPS_MAX), seen: 'at-crash' });
    }
    // Another leader, or the same one again.
    if (random.chance(700)) this.#term = Math.max(this.#term, group.lastTerm) + 1;
    for (let steps = random.between(1, STEPS_MAX); steps > 0 && this.#failure === null && !isOver; steps--) {
      this.#machine.process.run(() => {
        if (random.chance(REPLACE_PERMILLE)) this.#replaceSuffix(group);
        for (let count = random.pick([1, 1, 2, BATCH_MAX]); count > 0; count--)
          this.#append(group, group.lastIndex + 1);
        log.flush();
        if (random.chance(this.#compactPermille)) this.#compact(group);
      });
      this.#machine.scheduler.runUntil(this.#machine.scheduler.nowUs + random.below((3 * SYNC_US.max) >> 1));
    }
  }

  #replaceSuffix(group: GroupLog): void {
    const random = this.#random;
    const least = this.#compacted + 1;
    if (group.lastIndex < least) return;
    this.#term++;
    const isWhole = random.chance(REPLACE_ALL_PERMILLE);
    this.#append(
      group,
      isWhole ? least : random.between(Math.max(least, group.lastIndex - 5), group.lastIndex),
    );
  }

  /** The segments that are not needed any more are removed while the life goes on. */
  #compact(group: GroupLog): void {
    if (group.durableIndex <= this.#compacted) return;
    this.#compacted = this.#random.between(this.#compacted + 1, group.durableIndex);
    group.compact(this.#compacted);
  }

  #append(group: GroupLog, index: number): void {
    const prevTerm = group.termAt(index - 1);
    const payload = new Uint8Array(this.#payloadBytes).fill(this.#words);
    const word = ++this.#words;
    new DataView(payload.buffer).setUint32(0, word);
    const entry: Entry = { index, term: this.#term, kind: EntryKind.Command, payload };
    group.append(entry);
    this.#untouched[0] = Math.min(this.#untouched[0], index - 1);
    // What replaces it may be found by the next life although this one was never told that it is durable.
    this.#attested = Math.min(this.#attested, index - 1);
    this.#known.set(nameOf(index, this.#term), { prevTerm, word });
  }

  #fail(what: string): void {
    this.#failure ??= what;
  }
}

function nameOf(index: number, term: number): string {
  return `${index}.${term}`;
}

function wordIn(payload: Uint8Array): number {
  return new DataView(payload.buffer, payload.byteOffset).getUint32(0);
}
