/**
 * Copies of an embedded store that goes on being written, on a simulated disk: checkpoints and backups that are begun at any
 * moment, beside flushes and compactions that replace the tables under them, with kills and crashes, also inside of any
 * operation on the disk.
 *
 * A copy is there as a whole, with the state of the moment in which it was asked for, or not at all; one that was told to be
 * there is there after any crash. The store keeps what it has acknowledged.
 */
import { copyLive, type LiveCopy } from '../../src/backup/live_copy.ts';
import { runSteps } from '../../src/backup/steps.ts';
import { Target } from '../../src/backup/target.ts';
import type { Outcome } from '../../src/base/errors.ts';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { Engine, type EngineOptions } from '../../src/embedded/engine.ts';
import { userKeyOf, userRange } from '../../src/kv/key_space.ts';
import type { Write } from '../../src/kv/request.ts';
import { decodeStored } from '../../src/kv/stored_value.ts';
import type { SimRandom } from '../random.ts';
import { LoneMachine } from './lone_machine.ts';

const LIVES_MAX = 3;
const ROUNDS_MAX = 12;
const BATCH_MAX = 8;
const KEYS = 12;
const BUCKET = 'b';
const SOURCE = '/source';
const COPIES = '/copies';
const SYNC_US = { min: 50, max: 2000 };
const OPENING_US = 10_000_000;
/** Of a thousand copies, after how many the power fails as soon as they are told to be there. */
const ENDS_AT_COPY_PERMILLE = 250;
const CRASH_INSIDE_PERMILLE = 500;
/** Operations on the disk of a life, more or less. */
const OPERATIONS_MAX = 120;

/** Runs a trial; what went wrong, or null. */
export function tryCopy(random: SimRandom): string | null {
  return new CopyTrial(random).run();
}

interface Copy {
  readonly path: string;
  /** It holds so many of the writes. */
  readonly writes: number;
  state: 'begun' | 'made' | 'failed';
}

class CopyTrial {
  readonly #random: SimRandom;
  readonly #fates: SimRandom;
  readonly #machine: LoneMachine;
  readonly #tuning: Partial<EngineOptions>;
  /** In order; some of the last may be lost by a crash, and are then taken out. */
  #writes: Write[] = [];
  /** So many of them are known to be durable. */
  #acknowledged = 0;
  #copies: Copy[] = [];
  #copied = 0;
  /** A copy has just been told to be there: the life ends with that. */
  #endsHere = false;
  #failure: string | null = null;

  constructor(random: SimRandom) {
    this.#random = random;
    this.#fates = random.fork('fates');
    this.#machine = new LoneMachine({
      random,
      name: 'embedded',
      faults: { syncUs: SYNC_US },
      onPanic: (error) => this.#fail(error.stack ?? error.message),
    });
    this.#tuning = {
      segmentBytes: 1 << random.between(9, 12),
      bufferedMs: random.pick([1, 20]),
      store: {
        memtableBytes: 1 << random.between(8, 11),
        blockBytes: 1 << random.between(6, 9),
        mergeAtTables: random.between(2, 4),
        tableBytes: 1 << random.between(8, 11),
        levelBytes: 1 << random.between(9, 12),
      },
    };
  }

  run(): string | null {
    const random = this.#random;
    this.#machine.process.run(() => this.#machine.disk.attach(this.#machine.process).makeDirectory(COPIES));
    for (let lives = random.between(1, LIVES_MAX); lives > 0 && this.#failure === null; lives--) {
      const engine = this.#open(SOURCE);
      if (engine === null) break;
      this.#checkSource(engine);
      this.#endsHere = false;
      this.#live(engine);
      this.#machine.process.crash();
      if (random.chance(800)) this.#machine.disk.crash();
      this.#machine.disk.heal();
      this.#machine.process.restart();
      for (const copy of this.#copies) this.#checkCopy(copy);
      this.#copies = [];
    }
    return this.#failure;
  }

  /** Null: it does not open, or its process has crashed. */
  #open(directory: string): Engine | null {
    let opened: Engine | Error | null = null;
    this.#machine.process.run(() =>
      Engine.open(
        {
          disk: this.#machine.disk.attach(this.#machine.process),
          directory,
          clock: this.#machine.clock,
          logger: { log: () => {} },
          bufferedMs: 20,
          ...this.#tuning,
        },
        (outcome) => {
          opened = outcome.ok ? outcome.value : outcome.error;
        },
      ),
    );
    const end = this.#machine.scheduler.nowUs + OPENING_US;
    while (opened === null && this.#failure === null && this.#machine.scheduler.stepUntil(end)) {
      // Until it is open.
    }
    const engine = opened as Engine | Error | null;
    if (engine === null) this.#fail(`${directory} does not open in time`);
    if (engine instanceof Error) this.#fail(`${directory} does not open: ${engine.stack ?? engine.message}`);
    return engine instanceof Error ? null : engine;
  }

  #live(engine: Engine): void {
    const random = this.#random;
    const { generation } = this.#machine.process;
    const crashes = random.chance(CRASH_INSIDE_PERMILLE);
    const crashRound = random.between(0, ROUNDS_MAX);
    for (let rounds = random.between(1, ROUNDS_MAX); rounds > 0; rounds--) {
      if (crashes && rounds === crashRound)
        this.#machine.disk.crashInsideAfter(random.between(1, OPERATIONS_MAX));
      this.#machine.process.run(() => {
        for (let count = random.between(0, BATCH_MAX); count > 0; count--) this.#write(engine);
        if (random.chance(150)) engine.flush(() => {});
        if (random.chance(80)) engine.compact(() => {});
        if (random.chance(300)) this.#copy(engine);
        // What a copy that has just been begun must not hold.
        if (random.chance(500)) this.#write(engine);
      });
      this.#runFor(random.below(8 * SYNC_US.max));
      if (this.#failure !== null || this.#endsHere || this.#machine.process.generation !== generation) return;
    }
    // Half of the lives go on until nothing is under way.
    if (random.chance(500)) this.#runFor(2_000_000);
  }

  #runFor(us: number): void {
    const { scheduler } = this.#machine;
    const end = scheduler.nowUs + us;
    while (!this.#endsHere && scheduler.stepUntil(end)) {
      // Until then.
    }
  }

  #write(engine: Engine): void {
    const random = this.#random;
    const key = utf8(`k${random.below(KEYS)}`);
    const number = this.#writes.length + 1;
    const value = utf8(`${number}`.padEnd(random.below(60), '.'));
    const write: Write = random.chance(250)
      ? { type: 'delete', bucket: BUCKET, keys: [key] }
      : { type: 'set', bucket: BUCKET, key, value };
    this.#writes.push(write);
    engine.write(write, random.chance(700) ? 'sync' : 'buffered', (outcome) => {
      if (!outcome.ok) return;
      if (engine.failure !== null) this.#fail(`a write was acknowledged after ${engine.failure.message}`);
    });
    // Some writes are the last in the log.
    if (this.#fates.chance(500)) return;
    // Durable is what was acknowledged by a sync that covers it: asked for behind all others.
    engine.write({ type: 'delete', bucket: BUCKET, keys: [utf8('none')] }, 'sync', (outcome) => {
      if (outcome.ok) this.#acknowledged = Math.max(this.#acknowledged, number);
    });
  }

  #copy(engine: Engine): void {
    if (this.#copies.some(({ state }) => state === 'begun')) return;
    const disk = this.#machine.disk.attach(this.#machine.process);
    const clock = this.#machine.clock;
    // The same name again where an attempt has failed or was cut short: what that has left is in the way.
    const path = `${COPIES}/${this.#copied}`;
    const copy: Copy = { path, writes: this.#carriedOut(engine), state: 'begun' };
    const options = {
      disk,
      clock,
      logger: { log: () => {} },
      tables: this.#random.pick(['link', 'copy'] as const),
      compressions: [],
      onProgress: () => {},
    };
    this.#copies.push(copy);
    const steps = copyLive(engine.hold(), new Target(disk, path), options);
    runSteps<LiveCopy>(
      steps,
      clock,
      () => null,
      (outcome: Outcome<LiveCopy>) => {
        copy.state = outcome.ok ? 'made' : 'failed';
        if (outcome.ok) {
          this.#copied++;
          this.#endsHere = this.#fates.chance(ENDS_AT_COPY_PERMILLE);
        }
        // Nothing has failed that a copy rests on; a dead process' last words say nothing.
        else if (outcome.error.name !== 'SimCrash') this.#fail(`a copy failed: ${outcome.error.stack}`);
      },
    );
  }

  /** Writes that wait for room are in no copy. Up to two entries each: the write, and the one that asks for its sync. */
  #carriedOut(engine: Engine): number {
    const contents = contentsOf(engine);
    for (let count = this.#writes.length; count >= 0; count--) {
      if (isSame(contents, this.#stateAfter(count))) return count;
    }
    this.#fail('the store holds what was never written');
    return 0;
  }

  #stateAfter(count: number): Map<string, string> {
    const state = new Map<string, string>();
    for (const write of this.#writes.slice(0, count)) {
      if (write.type === 'set') state.set(fromUtf8(write.key), fromUtf8(write.value));
      else if (write.type === 'delete') for (const key of write.keys) state.delete(fromUtf8(key));
    }
    return state;
  }

  /** What was acknowledged is there; what is lost is the end. */
  #checkSource(engine: Engine): void {
    this.#machine.process.run(() => {
      const contents = contentsOf(engine);
      for (let count = this.#writes.length; count >= this.#acknowledged; count--) {
        if (!isSame(contents, this.#stateAfter(count))) continue;
        this.#writes = this.#writes.slice(0, count);
        this.#acknowledged = count;
        return;
      }
      this.#fail(`the store holds none of the states since write ${this.#acknowledged}`);
    });
  }

  #checkCopy({ path, writes, state }: Copy): void {
    let isThere = false;
    this.#machine.process.run(() => {
      isThere = this.#machine.disk.attach(this.#machine.process).exists(path);
    });
    if (!isThere) {
      if (state === 'made') this.#fail(`${path} was made, and is not there`);
      return;
    }
    if (state !== 'made') this.#copied++;
    const engine = this.#open(path);
    if (engine === null) return;
    this.#machine.process.run(() => {
      if (!isSame(contentsOf(engine), this.#stateAfter(writes))) {
        this.#fail(`${path} does not hold the state after ${writes} writes`);
      }
      engine.close(() => {});
    });
    this.#machine.scheduler.runUntil(this.#machine.scheduler.nowUs + 100_000);
  }

  #fail(what: string): void {
    this.#failure ??= what;
  }
}

function contentsOf(engine: Engine): Map<string, string> {
  const contents = new Map<string, string>();
  const iterator = engine.iterator(userRange, null);
  while (iterator.next()) {
    const { value } = decodeStored(iterator.value());
    contents.set(fromUtf8(userKeyOf(iterator.key()).key), fromUtf8(value));
  }
  iterator.close();
  return contents;
}

function isSame(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}
