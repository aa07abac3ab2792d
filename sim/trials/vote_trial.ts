/**
 * Term and vote alone, on a simulated disk, through many short lives: saves, kills and crashes at any moment. What a start
 * finds must not be older than what was durable. A trial ends with a failed sync, after which the file is not used again,
 * or in damage: with one of the two copies harmed nothing may be lost, with both the start must be refused, or have lost
 * nothing either.
 */
import { CorruptionError } from '../../src/base/errors.ts';
import type { HardState } from '../../src/raft/output.ts';
import { HardStateFile } from '../../src/replica/hard_state_file.ts';
import type { SimRandom } from '../random.ts';
import { LoneMachine } from './lone_machine.ts';

const TRIALS = 20;
const LIVES_MAX = 4;
const SAVES_MAX = 2;
const FAILED_SYNC_PERMILLE = 200;
const NODES = 5;
const SYNC_US = { min: 100, max: 3000 };
const OPENING_US = 1_000_000;
const COPIES = ['/data/vote-a', '/data/vote-b'] as const;

/** Runs some trials; what went wrong, or null. */
export function tryVotes(random: SimRandom): string | null {
  for (let trial = 0; trial < TRIALS; trial++) {
    const problem = new VoteTrial(random.fork(`trial ${trial}`)).run();
    if (problem !== null) return problem;
  }
  return null;
}

class VoteTrial {
  readonly #random: SimRandom;
  readonly #machine: LoneMachine;
  #term = 0;
  #savesUnderWay = 0;
  #syncHasFailed = false;
  /** The last life ended in the middle of a save: one copy may be torn. */
  #isInterrupted = false;

  constructor(random: SimRandom) {
    this.#random = random;
    this.#machine = new LoneMachine({ random, name: 'vote', faults: { syncUs: SYNC_US } });
  }

  run(): string | null {
    let durable: HardState = { term: 0, vote: null };
    for (let lives = this.#random.between(1, LIVES_MAX); lives > 0 && !this.#syncHasFailed; lives--) {
      const file = this.#open();
      if (file instanceof Error) return `it does not open: ${file.message}`;
      if (isOlder(file.initial, durable))
        return `${show(durable)} was durable; a start finds ${show(file.initial)}`;
      this.#live(file);
      ({ durable } = file);
      this.#end();
    }
    return this.#syncHasFailed ? this.#checkFailed(durable) : this.#checkDamaged(durable);
  }

  #open(): HardStateFile | Error {
    let opened: HardStateFile | Error | null = null;
    const disk = this.#machine.disk.attach(this.#machine.process);
    this.#machine.process.run(() =>
      HardStateFile.open({ disk, directory: '/data', group: 1, node: 1 }, (outcome) => {
        opened = outcome.ok ? outcome.value : outcome.error;
      }),
    );
    const end = this.#machine.scheduler.nowUs + OPENING_US;
    while (opened === null && this.#machine.scheduler.stepUntil(end)) {
      // Until it is open.
    }
    return opened ?? new Error('not in time');
  }

  #live(file: HardStateFile): void {
    const random = this.#random;
    this.#term = Math.max(this.#term, file.initial.term);
    // A life that changes nothing rests on what it has found.
    if (random.chance(300)) return;
    const mayFail = random.chance(FAILED_SYNC_PERMILLE);
    if (mayFail) {
      this.#machine.disk.failSync({ kind: 'vote', after: random.between(1, 3), seen: 'at-crash' });
    }
    for (let saves = random.between(0, SAVES_MAX); saves > 0 && !this.#syncHasFailed; saves--) {
      this.#term++;
      const vote = random.chance(300) ? null : random.between(1, NODES);
      this.#savesUnderWay++;
      this.#machine.process.run(() =>
        file.save({ term: this.#term, vote }, (error) => {
          this.#savesUnderWay--;
          if (error !== null) this.#syncHasFailed = true;
        }),
      );
      // Who is killed before a failed sync is told never hears of it: that is beyond what a start can know.
      const waitUs = mayFail ? 3 * SYNC_US.max : random.below(2 * SYNC_US.max);
      this.#machine.scheduler.runUntil(this.#machine.scheduler.nowUs + waitUs);
    }
  }

  #end(): void {
    this.#machine.process.crash();
    this.#isInterrupted = this.#savesUnderWay > 0;
    this.#savesUnderWay = 0;
    if (this.#syncHasFailed || this.#random.chance(500)) this.#machine.disk.crash();
    this.#machine.disk.heal();
    this.#machine.process.restart();
  }

  /** The sync's page is lost, and counted as clean: what was said to be durable must stand in the other copy. */
  #checkFailed(durable: HardState): string | null {
    const file = this.#open();
    if (file instanceof Error) {
      return file instanceof CorruptionError ? null : `after a failed sync it does not open: ${file.message}`;
    }
    if (!isOlder(file.initial, durable)) return null;
    return `after a failed sync: ${show(durable)} was durable; a start finds ${show(file.initial)}`;
  }

  #checkDamaged(durable: HardState): string | null {
    const harmed = this.#random.chance(300) ? COPIES : [this.#random.pick(COPIES)];
    // What a kill has left in memory is not there for ever.
    this.#machine.disk.crash();
    for (const path of harmed) {
      const size = this.#machine.disk.sizeOf(path);
      if (size > 0) this.#machine.disk.flipByte(path, size - 1 - this.#random.below(Math.min(size, 48)));
    }
    const file = this.#open();
    if (!(file instanceof Error)) {
      if (!isOlder(file.initial, durable)) return null;
      return `${harmed.join(' and ')} harmed: ${show(durable)} was durable; a start finds ${show(file.initial)}`;
    }
    if (file instanceof CorruptionError && (harmed.length > 1 || this.#isInterrupted)) return null;
    return `${harmed.join(' and ')} harmed: it does not open: ${file.message}`;
  }
}

function isOlder(found: HardState, durable: HardState): boolean {
  if (found.term !== durable.term) return found.term < durable.term;
  return durable.vote !== null && found.vote !== durable.vote;
}

function show({ term, vote }: HardState): string {
  return `term ${term} with vote ${vote}`;
}
