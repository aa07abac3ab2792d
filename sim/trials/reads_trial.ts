/**
 * The reads of one replica alone, linearizable and stale, over a group that only says what a group may say: entries are
 * committed all the time, what this node has applied lags behind by a lot, and who is asked to vouch for an index does so
 * soon, late, or not at all. What was committed at each moment is known here, so each answer can be judged: it shows
 * at least what was committed when it was asked for, or so long before as its age allows, and the revision that was asked
 * for. When all is well again, everything is answered.
 */
import { utf8 } from '../../src/codec/bytes.ts';
import type { StaleTerms } from '../../src/kv/request.ts';
import type { Index } from '../../src/log/entry.ts';
import type { ReadBasis } from '../../src/raft/message.ts';
import type { ReadState } from '../../src/raft/output.ts';
import { GroupTime } from '../../src/replica/group_time.ts';
import { ReplicaReads } from '../../src/replica/replica_reads.ts';
import { SimClock } from '../clock.ts';
import { SimProcess } from '../process.ts';
import type { SimRandom } from '../random.ts';
import { Scheduler } from '../scheduler.ts';
import { type Mark, runTrial } from './trial.ts';

const US_PER_MS = 1000;
const STORM_MS = 300;
const ANSWER_MS = 120;
const STALE_WAIT_MS = 40;
/** What was asked in the storm is answered or refused within it. */
const CALM_MS = 2 * ANSWER_MS;
const EVERY_US_MAX = 3 * US_PER_MS;
const MAX_AGES_MS: readonly number[] = [1, 3, 20, 100];
const REQUEST = { type: 'get', bucket: 'b', key: utf8('k') } as const;

/** What went wrong, or null. */
export function tryReads(random: SimRandom, mark?: Mark): string | null {
  return runTrial(random, mark, [], () => new ReadsTrial(random).run());
}

/** An index that is asked for. */
interface Question {
  readonly id: number;
  /** What was committed then. */
  readonly committed: Index;
}

class ReadsTrial {
  readonly #random: SimRandom;
  readonly #scheduler = new Scheduler();
  readonly #process: SimProcess;
  readonly #clock: SimClock;
  readonly #reads: ReplicaReads;
  /** When each entry was committed, in milliseconds; entry `i` is at `i - 1`. */
  readonly #committedAtMs: number[] = [];
  /** Of this node. */
  #applied: Index = 0;
  #known: Index = 0;
  #leader: number | null = 1;
  /** Not answered, oldest first: answers come in the order of the questions. */
  #questions: Question[] = [];
  #vouched: Index = 0;
  #answers: ReadState[] = [];
  #isTurnPlanned = false;
  #open = 0;
  #refused = 0;
  #isCalm = false;
  /** Of a thousand events. */
  readonly #commitPermille: number;
  readonly #applyPermille: number;
  readonly #vouchPermille: number;
  readonly #lossPermille: number;

  constructor(random: SimRandom) {
    this.#random = random;
    this.#commitPermille = random.pick([50, 300, 800]);
    this.#applyPermille = random.pick([30, 100, 500]);
    this.#vouchPermille = random.pick([30, 200, 800]);
    this.#lossPermille = random.pick([0, 5, 50]);
    this.#process = new SimProcess('node', this.#scheduler);
    this.#process.onPanic = (error) => {
      throw error;
    };
    this.#clock = new SimClock(this.#scheduler, this.#process, { offsetMs: random.below(1000), driftPpm: 0 });
    this.#reads = this.#makeReads();
  }

  run(): void {
    this.#stir();
    this.#scheduler.runUntil(STORM_MS * US_PER_MS);
    this.#isCalm = true;
    this.#leader = 1;
    this.#settleFor(CALM_MS);
    if (this.#open > 0) throw new Error(`${this.#open} reads are never answered`);
    this.#refused = 0;
    this.#ask();
    this.#askStale(MAX_AGES_MS[0]);
    this.#settleFor(CALM_MS);
    if (this.#open > 0 || this.#refused > 0)
      throw new Error(`in the calm ${this.#refused} reads are refused, and ${this.#open} not answered`);
  }

  #settleFor(ms: number): void {
    for (let passed = 0; passed < ms; passed++) {
      this.#scheduler.runUntil(this.#scheduler.nowUs + US_PER_MS);
      this.#known = this.#committed;
      this.#applied = this.#committed;
      while (this.#questions.length > 0) this.#vouch();
      this.#turn();
    }
  }

  get #committed(): Index {
    return this.#committedAtMs.length;
  }

  #makeReads(): ReplicaReads {
    const self = this;
    const clock = this.#clock;
    return new ReplicaReads({
      raft: {
        readIndex: (id) => {
          this.#questions.push({ id, committed: this.#committed });
        },
        get commitIndex() {
          return self.#known;
        },
        get leader() {
          return self.#leader;
        },
      },
      store: {
        get appliedIndex() {
          return self.#applied;
        },
      },
      stateMachine: {
        read: () => ({ type: 'count', count: this.#applied }),
        readLong: () => 'due',
      },
      clock,
      time: new GroupTime({
        clock,
        stateMachine: { hasBacklog: false, isTickDue: () => false },
        leads: () => false,
        isInTheWay: () => false,
        propose: () => {},
      }),
      answerTimeoutMs: ANSWER_MS,
      staleWaitMs: STALE_WAIT_MS,
      refusal: () => null,
      planTurn: () => this.#planTurn(),
    });
  }

  #stir(): void {
    this.#scheduler.after(1 + this.#random.below(EVERY_US_MAX), () => {
      if (this.#isCalm) return;
      this.#happen();
      this.#stir();
    });
  }

  #happen(): void {
    const random = this.#random;
    if (random.chance(this.#commitPermille)) this.#commit();
    if (random.chance(this.#applyPermille)) this.#apply();
    if (random.chance(this.#vouchPermille) && this.#questions.length > 0) this.#vouch();
    if (random.chance(this.#lossPermille)) this.#loseLeader();
    if (random.chance(500)) this.#askStale(random.pick(MAX_AGES_MS));
    if (random.chance(200)) this.#ask();
    if (random.chance(300)) this.#turn();
  }

  #commit(): void {
    for (let count = this.#random.between(1, 3); count > 0; count--)
      this.#committedAtMs.push(this.#clock.monotonicMs());
  }

  /** Of what is committed it hears only late. */
  #apply(): void {
    const random = this.#random;
    this.#known = random.between(this.#known, this.#committed);
    this.#applied = random.between(this.#applied, this.#known);
    this.#planTurn();
  }

  /** The oldest question is answered: with what was committed at some time since. */
  #vouch(): void {
    const question = this.#questions.shift();
    if (question === undefined) return;
    const least = Math.max(question.committed, this.#vouched);
    this.#vouched = this.#random.chance(700) ? least : this.#random.between(least, this.#committed);
    this.#answers.push({ id: question.id, index: this.#vouched });
    this.#planTurn();
  }

  /** Whoever is known or not known to lead: what was asked comes to nothing. */
  #loseLeader(): void {
    this.#leader = this.#random.pick([null, 1, 2]);
    for (const { id } of this.#questions.splice(0)) this.#answers.push({ id, index: null });
    this.#planTurn();
  }

  #ask(): void {
    const basis: ReadBasis = this.#random.pick(['round', 'lease']);
    const due = this.#committed;
    this.#open++;
    this.#reads.add(basis, REQUEST, (result) => {
      this.#open--;
      if (result.type === 'error') this.#refused++;
      else if (this.#applied < due)
        throw new Error(`a read sees entry ${this.#applied}; ${due} was committed before it was asked for`);
    });
  }

  #askStale(maxAgeMs: number): void {
    const random = this.#random;
    const askedAtMs = this.#clock.monotonicMs();
    const due = this.#committedBefore(askedAtMs - maxAgeMs);
    const isAhead = !this.#isCalm && random.chance(300);
    const minRevision = isAhead ? random.between(this.#applied, this.#committed) : 0;
    const terms: StaleTerms = { consistency: 'stale', maxAgeMs, minRevision, answer: 'with-revision' };
    this.#open++;
    this.#reads.addStale(REQUEST, terms, (result) => {
      this.#open--;
      if (result.type === 'error') {
        this.#refused++;
        return;
      }
      const revision = result.type === 'list' ? result.items[0] : undefined;
      if (revision?.type !== 'count' || revision.count !== this.#applied)
        throw new Error(`a read at entry ${this.#applied} says ${JSON.stringify(revision)}`);
      if (this.#applied < due)
        throw new Error(
          `a read of ${maxAgeMs} ms at ${askedAtMs} sees entry ${this.#applied}; ${due} had been committed by then`,
        );
      if (this.#applied < minRevision)
        throw new Error(`a read sees entry ${this.#applied}, and must not see less than ${minRevision}`);
    });
  }

  /** The last entry that was. */
  #committedBefore(ms: number): Index {
    let index = this.#committed;
    while (index > 0 && this.#committedAtMs[index - 1] >= ms) index--;
    return index;
  }

  #planTurn(): void {
    if (this.#isTurnPlanned) return;
    this.#isTurnPlanned = true;
    this.#scheduler.after(1, () => {
      this.#isTurnPlanned = false;
      this.#turn();
    });
  }

  /** In the order of `src/replica/replica.ts`. */
  #turn(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#reads.expire(nowMs);
    this.#reads.ask(nowMs);
    const answers = this.#answers;
    this.#answers = [];
    this.#reads.review(answers, nowMs);
  }
}
