import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Machine } from './harness.ts';
import { expectEqual, GROUPS, Model, stepsWithReopens } from './steps.ts';

describe('a log of several groups', () => {
  it('equals a list of entries per group, whatever is appended, replaced, flushed and opened again', () => {
    const segmentBytes = fc.constantFrom(256, 1024, 8192);
    const cacheBytes = fc.constantFrom(0, 2048, 1_000_000);
    fc.assert(
      fc.property(segmentBytes, cacheBytes, stepsWithReopens, (segment, cache, steps) => {
        const machine = new Machine({ segmentBytes: segment, cacheBytes: cache });
        const model = new Model();
        let log = machine.open();
        for (const step of steps) {
          if (step.do === 'append') {
            const appended = model.next(step);
            model.apply(appended);
            log.group(appended.group).append(appended.entry);
          } else if (step.do === 'flush') log.flush();
          else if (step.do === 'task') machine.clock.runTask();
          else if (step.do === 'timer') machine.clock.runTimer();
          else if (step.do === 'complete') {
            for (let i = 0; i < step.count; i++) machine.disk.completeNext();
          } else if (step.do === 'reopen') {
            expect(machine.close(log)).toBe(null);
            log = machine.open();
          }
        }
        expectEqual(log, model);
        log.flush();
        machine.settle();
        for (const group of GROUPS) {
          expect(log.group(group).durableIndex).toBe(log.group(group).lastIndex);
        }
        expectEqual(log, model);
        machine.close(log);
        const again = machine.open();
        expectEqual(again, model);
        const held = GROUPS.filter((group) => model.entries(group).length > 0);
        expect(again.groups()).toEqual(held);
      }),
      { numRuns: 200 },
    );
  });
});
