import fc from 'fast-check';
import { describe, it } from 'vitest';
import { limitMs, runs } from '../long.ts';
import { Cluster, type Mail, TIMING } from './cluster.ts';

/**
 * Any order of deliveries, losses, repetitions, timeouts, syncs, crashes and proposals keeps the safety properties of
 * figure 3.2 of the thesis. Pure core, no simulator: a counterexample is a short list of steps.
 */
type Step =
  | { readonly do: 'deliver' | 'lose' | 'repeat'; readonly at: number }
  | {
      readonly do:
        | 'tick'
        | 'sync'
        | 'crash'
        | 'propose'
        | 'read'
        | 'reset'
        | 'transfer'
        | 'compact'
        | 'restore';
      readonly node: number;
    }
  | { readonly do: 'wait'; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant('deliver' as const), at: fc.nat(7) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom('lose' as const, 'repeat' as const), at: fc.nat(7) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('tick' as const), node: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('sync' as const), node: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'crash' as const,
        'propose' as const,
        'read' as const,
        'reset' as const,
        'transfer' as const,
        'compact' as const,
        'restore' as const,
      ),
      node: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(2 * TIMING.electionTimeoutMs) }),
  },
);

class Run {
  readonly #cluster = new Cluster(3);
  readonly #leaders = new Map<number, number>();
  readonly #committed: string[] = [];
  #proposals = 0;
  #reads = 0;

  apply(step: Step): void {
    const cluster = this.#cluster;
    switch (step.do) {
      case 'deliver': {
        const mail = this.#take(step.at);
        if (mail !== null) cluster.deliver(mail);
        break;
      }
      case 'lose':
        this.#take(step.at);
        break;
      case 'repeat': {
        const mail = cluster.inbox[step.at];
        if (mail !== undefined) cluster.inbox.push(mail);
        break;
      }
      case 'tick':
        cluster.tick(step.node);
        break;
      case 'sync':
        cluster.sync(step.node);
        break;
      case 'crash':
        cluster.restart(step.node);
        break;
      case 'propose':
        cluster.propose(step.node, `p${++this.#proposals}`);
        break;
      case 'read':
        cluster.raft(step.node).readIndex(++this.#reads, 'round', cluster.nowMs);
        cluster.collect(step.node);
        break;
      case 'reset':
        for (const peer of [1, 2, 3]) cluster.raft(step.node).onPeerReset(peer);
        cluster.collect(step.node);
        break;
      case 'transfer':
        cluster.raft(step.node).transferLeadership(null);
        cluster.collect(step.node);
        break;
      case 'compact': {
        // Only what is committed and durable is in a snapshot.
        const { raft, log } = cluster.member(step.node);
        const index = Math.min(raft.commitIndex, log.durableIndex);
        if (index >= log.firstIndex) cluster.compact(step.node, index);
        break;
      }
      case 'restore':
        if (cluster.member(step.node).offer !== null) cluster.restore(step.node);
        break;
      case 'wait':
        cluster.nowMs += step.ms;
        break;
    }
    this.#check();
  }

  #take(at: number): Mail | null {
    return this.#cluster.inbox.splice(at, 1)[0] ?? null;
  }

  #check(): void {
    for (const { id, raft, log } of this.#cluster.members) {
      if (raft.role === 'leader') {
        const other = this.#leaders.get(raft.term);
        if (other !== undefined && other !== id) throw new Error(`two leaders in term ${raft.term}`);
        if (other === undefined) this.#checkComplete(log);
        this.#leaders.set(raft.term, id);
      }
      if (raft.commitIndex < log.firstIndex) continue;
      const entries = log.entries(log.firstIndex, raft.commitIndex + 1, Number.MAX_SAFE_INTEGER);
      for (const entry of entries) {
        const mark = `${entry.term}:${entry.payload.join()}`;
        const at = entry.index - 1;
        if (at === this.#committed.length) this.#committed.push(mark);
        if (this.#committed[at] !== mark) throw new Error(`node ${id} commits ${mark} at ${entry.index}`);
      }
    }
  }

  #checkComplete(log: { readonly lastIndex: number }): void {
    if (log.lastIndex < this.#committed.length) throw new Error('a leader lacks a committed entry');
  }
}

describe('any schedule', () => {
  it(
    'keeps election safety, leader completeness and state machine safety',
    () => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
          const run = new Run();
          for (const one of steps) run.apply(one);
        }),
        { numRuns: runs(400) },
      );
    },
    limitMs(60_000),
  );
});
