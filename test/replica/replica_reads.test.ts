/** Long reads of a replica that stops in the middle of them. */
import { expect, it } from 'vitest';
import { SimClock } from '../../sim/clock.ts';
import { SimProcess } from '../../sim/process.ts';
import { Scheduler } from '../../sim/scheduler.ts';
import type { Result } from '../../src/kv/request.ts';
import type { GroupTime } from '../../src/replica/group_time.ts';
import { ReplicaReads } from '../../src/replica/replica_reads.ts';

it('answers and lets go of a long read that is under way when the replica stops', () => {
  const scheduler = new Scheduler();
  const clock = new SimClock(scheduler, new SimProcess('node', scheduler), { offsetMs: 0, driftPpm: 0 });
  let asked = 0;
  let steps = 0;
  let cancelled = 0;
  const reads = new ReplicaReads({
    raft: { readIndex: (id) => (asked = id), commitIndex: 1, leader: 1 },
    store: { appliedIndex: 1 },
    stateMachine: {
      read: () => ({ type: 'ok' }),
      readLong: () => ({
        step: () => {
          steps++;
          return null;
        },
        cancel: () => cancelled++,
      }),
    },
    clock,
    time: { wallMs: () => 0 } as unknown as GroupTime,
    answerTimeoutMs: 1000,
    staleWaitMs: 100,
    refusal: () => null,
    planTurn: () => {},
  });
  const answers: Result[] = [];
  reads.add('round', { type: 'list-buckets' }, (result) => answers.push(result));
  reads.ask(0);
  reads.review([{ id: asked, index: 1 }], 0);
  for (let n = 0; n < 5; n++) scheduler.stepUntil(1000);
  expect(steps).toBe(6);
  expect(answers).toEqual([]);
  expect(reads.isIdle).toBe(false);
  reads.stop();
  expect(answers).toMatchObject([{ type: 'error', message: 'the node is stopping' }]);
  expect(cancelled).toBe(1);
  expect(reads.isIdle).toBe(true);
  scheduler.runUntil(10_000);
  expect([steps, cancelled, answers.length]).toEqual([6, 1, 1]);
});
