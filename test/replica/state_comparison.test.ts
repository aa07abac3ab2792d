/** When a replica says that nobody can tell who is right: one of three, and the other two answer as the test likes. */
import { beforeEach, describe, expect, it } from 'vitest';
import { StateDigest } from '../../src/kv/state_digest.ts';
import { foundingConfiguration } from '../../src/raft/configuration.ts';
import { StateComparison } from '../../src/replica/state_comparison.ts';

const SELF = 1;
const ASK_PAUSE_MS = 200;
const CONFIGURATION = foundingConfiguration(
  [SELF, 2, 3].map((id) => ({ id, address: `node${id}:9000`, identity: 0 })),
);

describe('replicas that differ', () => {
  let digest: StateDigest;
  let comparison: StateComparison;
  let nowMs: number;
  let index: number;
  let events: string[];
  let questions: number;

  beforeEach(() => {
    digest = new StateDigest(1);
    events = [];
    questions = 0;
    nowMs = 0;
    index = 0;
    comparison = new StateComparison({
      id: SELF,
      digest,
      logger: { log: (_level, event) => events.push(event) },
      leads: () => false,
      peers: () => [2, 3],
      configurations: () => [CONFIGURATION],
      send: (_to, { type }) => {
        if (type === 'state-question') questions++;
      },
      onOdd: () => events.push('odd'),
    });
  });

  /** One more entry, which the leader has carried out otherwise. */
  function differ(): void {
    digest.beginEntry(++index);
    comparison.review(nowMs);
    const own = digest.windows.at(-1)?.digest ?? 0;
    const windows = [{ index, digest: own ^ 1 }];
    comparison.onMessage(2, { type: 'state-digests', windowEntries: 1, windows });
  }

  function ask(times: number): void {
    for (let n = 0; n < times; n++) {
      comparison.review(nowMs);
      nowMs += ASK_PAUSE_MS;
    }
  }

  function answerOf(from: number, digestOf: (own: number) => number): void {
    const own = digest.windows.at(-1)?.digest ?? 0;
    comparison.onMessage(from, { type: 'state-answer', windowEntries: 1, index, digest: digestOf(own) });
  }

  it('do not take a question for undecided that has only given way to one of a later window', () => {
    differ();
    ask(5);
    differ();
    ask(1);
    answerOf(3, (own) => own);
    ask(30);
    expect(events).toEqual(['state-diverged', 'state-diverged']);
  });

  it('do not when the one of the later window says that this one is odd', () => {
    differ();
    ask(5);
    differ();
    ask(1);
    answerOf(3, (own) => own ^ 1);
    ask(30);
    expect(events.filter((event) => event !== 'state-diverged')).toEqual(['odd']);
  });

  it('keep to the question at hand when they have no digest of the later window any more', () => {
    differ();
    ask(5);
    const own = digest.windows.at(-1)?.digest ?? 0;
    // What this replica had told of that window is not what it holds now.
    comparison.onMessage(3, { type: 'state-differs', index: index + 1, told: own ^ 5, digest: own ^ 1 });
    answerOf(3, (digestOf) => digestOf ^ 1);
    expect(events.filter((event) => event !== 'state-diverged')).toEqual(['odd']);
  });

  it('are undecided when nobody else answers', () => {
    differ();
    ask(25);
    expect(events).toEqual(['state-diverged']);
    ask(1);
    expect(events).toEqual(['state-diverged', 'state-undecided']);
    expect(questions).toBe(25);
  });

  it('are undecided at once when all have answered and all differ', () => {
    differ();
    ask(1);
    answerOf(3, (own) => own ^ 2);
    expect(events).toEqual(['state-diverged', 'state-undecided']);
  });

  it('are undecided when one question after the other gives way and none is decided', () => {
    for (let window = 0; window < 5; window++) {
      differ();
      ask(5);
    }
    expect(events).not.toContain('state-undecided');
    for (let window = 0; window < 5; window++) {
      differ();
      ask(5);
    }
    expect(events.filter((event) => event === 'state-undecided')).toHaveLength(1);
  });
});
