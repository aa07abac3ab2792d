/** Stale reads alone, against an oracle that keeps every proof there ever was. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Read, StaleTerms } from '../../src/kv/request.ts';
import { StaleReads } from '../../src/replica/stale_reads.ts';

const WAIT_MS = 100;

interface Asked {
  readonly number: number;
  readonly terms: StaleTerms;
  readonly atMs: number;
  outcome: 'open' | 'answered' | 'refused';
}

interface Proof {
  readonly atMs: number;
  readonly index: number;
}

/** A node as stale reads see it: time, what is applied, and questions that somebody may answer. */
class World {
  nowMs = 1000;
  applied = 0;
  committed = 0;
  readonly reads: Asked[] = [];
  /** Questions that were asked and not answered, oldest first. */
  readonly questions: { id: number; atMs: number }[] = [];
  readonly #proofs: Proof[] = [];
  readonly #stale: StaleReads;
  /** In the order in which they were answered. */
  readonly answered: Asked[] = [];
  #lastId = 0;

  constructor() {
    this.#stale = new StaleReads({
      run: (_request, _terms, done) => done({ type: 'ok' }),
      ask: (nowMs) => {
        this.questions.push({ id: ++this.#lastId, atMs: nowMs });
        return this.#lastId;
      },
      waitMs: WAIT_MS,
    });
  }

  /** The oracle: everything that the terms demand is known to be here. */
  isMet({ terms, atMs }: Asked): boolean {
    const isFresh = this.#proofs.some(
      (proof) => proof.index <= this.applied && proof.atMs >= atMs - terms.maxAgeMs,
    );
    return isFresh && terms.minRevision <= this.applied;
  }

  read(maxAgeMs: number, minRevision: number): void {
    const terms: StaleTerms = { consistency: 'stale', maxAgeMs, minRevision, answer: 'plain' };
    const asked: Asked = { number: this.reads.length, terms, atMs: this.nowMs, outcome: 'open' };
    this.reads.push(asked);
    const request: Read = { type: 'list-buckets', terms };
    this.#stale.read(request, terms, this.nowMs, (result) => {
      expect(asked.outcome).toBe('open');
      asked.outcome = result.type === 'ok' ? 'answered' : 'refused';
      if (result.type !== 'ok') return;
      expect(this.isMet(asked)).toBe(true);
      this.answered.push(asked);
    });
  }

  pass(ms: number): void {
    this.nowMs += ms;
    this.#stale.expire(this.nowMs);
    for (const { atMs, outcome } of this.reads) {
      if (outcome === 'open') expect(this.nowMs).toBeLessThan(atMs + WAIT_MS);
    }
  }

  commit(entries: number): void {
    this.committed += entries;
  }

  apply(entries: number): void {
    this.applied = Math.min(this.committed, this.applied + entries);
    this.#stale.onApplied(this.applied, this.nowMs);
  }

  /** The read index is what was committed when it was asked, or more. */
  answer(): void {
    const question = this.questions.shift();
    if (question === undefined) return;
    this.#proofs.push({ atMs: question.atMs, index: this.committed });
    expect(this.#stale.onReadIndex(question.id, this.committed, this.nowMs)).toBe(true);
  }

  refuse(): void {
    const question = this.questions.shift();
    if (question === undefined) return;
    expect(this.#stale.onReadIndex(question.id, null, this.nowMs)).toBe(true);
  }

  /** A linearizable read of this node has proved the same on its way. */
  prove(): void {
    this.#proofs.push({ atMs: this.nowMs, index: this.committed });
    this.#stale.onProof(this.nowMs, this.committed, this.nowMs);
  }

  /** Nobody waits for what is there, and whoever lacks a proof has asked for one. */
  check(): void {
    const open = this.reads.filter(({ outcome }) => outcome === 'open');
    for (const asked of open) expect(this.isMet(asked)).toBe(false);
    const lacksProof = open.some(
      ({ terms, atMs }) => !this.#proofs.some((proof) => proof.atMs >= atMs - terms.maxAgeMs),
    );
    if (lacksProof) expect(this.questions.length).toBe(1);
    expect(this.questions.length).toBeLessThanOrEqual(1);
  }
}

const step = fc.oneof(
  fc.record({
    type: fc.constant('read' as const),
    maxAgeMs: fc.constantFrom(1, 20, 200),
    ahead: fc.constantFrom(0, 0, 1, 5),
  }),
  fc.record({ type: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 60 }) }),
  fc.record({ type: fc.constantFrom('commit' as const, 'apply' as const), entries: fc.nat({ max: 4 }) }),
  fc.record({
    type: fc.constantFrom('answer' as const, 'answer' as const, 'refuse' as const, 'prove' as const),
  }),
);

describe('stale reads', () => {
  it('are answered when and only when a proof that is young enough is applied, and refused in time', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const world = new World();
        for (const one of steps) {
          if (one.type === 'read') world.read(one.maxAgeMs, one.ahead === 0 ? 0 : world.applied + one.ahead);
          else if (one.type === 'pass') world.pass(one.ms);
          else if (one.type === 'commit') world.commit(one.entries);
          else if (one.type === 'apply') world.apply(one.entries);
          else world[one.type]();
          world.check();
        }
        // Of equal terms in the order in which they were asked for.
        for (const maxAgeMs of [1, 20, 200]) {
          const numbers = world.answered
            .filter(({ terms }) => terms.maxAgeMs === maxAgeMs && terms.minRevision === 0)
            .map(({ number }) => number);
          expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('ask for the next proof when half of the age is used up, and wait for none', () => {
    const world = new World();
    world.prove();
    world.pass(90);
    world.read(200, 0);
    expect([world.answered.length, world.questions.length]).toEqual([1, 0]);
    world.pass(20);
    world.read(200, 0);
    world.read(200, 0);
    expect([world.answered.length, world.questions.length]).toEqual([3, 1]);
  });
});
