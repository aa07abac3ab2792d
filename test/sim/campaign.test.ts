/** What a campaign does beside running seeds. */
import { describe, expect, it } from 'vitest';
import { Campaign, type CampaignSummary, formatSummary } from '../../sim/campaign.ts';
import { describeRun } from '../../sim/commands/run.ts';
import { ProgressLine } from '../../sim/progress_line.ts';
import type { RunResult } from '../../sim/result.ts';
import { runSeed } from '../../sim/world.ts';

const OPTIONS = {
  first: 1,
  seeds: 1000,
  seconds: null,
  stormMs: 200,
  trials: 'all',
  jobs: 1,
  untilFailure: false,
  failures: null,
  requireMarks: false,
} as const;

describe('a campaign', () => {
  it('names the seed whose thread has died', async () => {
    // A number that no code there can count with.
    const campaign = new Campaign({ ...OPTIONS, first: 77, stormMs: 1n as unknown as number });
    await expect(campaign.run()).rejects.toThrow(/^the thread that ran seed 77 has died: ./);
  });

  it('counts a history that was too hard for neither', () => {
    const figures = {
      simulatedSeconds: 1,
      events: 1,
      operations: 1,
      entries: 1,
      faults: 0,
      crashes: 0,
      elections: 1,
    };
    const result: RunResult = {
      ...figures,
      seed: '1',
      failure: null,
      operationsHeldMax: 1,
      wholeChecks: 0,
      undecided: 1,
      marks: [],
      injuries: 0,
      machinesLost: 0,
      waited: 0,
      hash: '0',
    };
    expect(describeRun(result, 1, '--seed 1')).toMatch(
      /^seed 1: no check failed\n(.*\n)* {2}NOT DECIDED whether/,
    );
    const summary: CampaignSummary = {
      ...result,
      ok: true,
      seeds: 3,
      failed: [{ seed: '2', check: 'feed', message: '' }],
      seconds: 1,
      threads: 1,
      simulatedSecondsPerSecond: 1,
      eventsPerSecondPerThread: 1,
      undecidedSeeds: ['3'],
      marks: {},
      marksNeverReached: [],
      rareMarksNotReached: [],
    };
    expect(formatSummary(summary)).toMatch(
      /^3 seeds: 1 held, 1 failed\n(.*\n)* {2}1 histories NOT DECIDED, .*: those of seeds 3\n/,
    );
  });

  it('of whole clusters alone has their marks and no others', async () => {
    const summary = await new Campaign({ ...OPTIONS, seeds: 1, trials: 'none' }).run();
    const { events, marks } = runSeed('1', { stormMs: OPTIONS.stormMs, trials: 'none' });
    expect(summary).toMatchObject({ ok: true, events });
    expect(Object.keys(summary.marks)).toEqual(marks);
  }, 60_000);

  it('shows how far it is, after each seed that it has time for', async () => {
    const shown: string[] = [];
    let nowMs = 0;
    const line = new ProgressLine({ isTTY: false, write: (text) => shown.push(text) }, () => {
      nowMs += 60_000;
      return nowMs;
    });
    const summary = await new Campaign({ ...OPTIONS, seeds: 2, trials: 'none' }, line).run();
    const marks = Object.keys(summary.marks).length;
    expect(shown).toHaveLength(2);
    expect(shown[0]).toMatch(/^1\/2 seeds, \d+ events, \d+ s simulated \(\d+ s\/s\), \d+ marks, 0 failed\n$/);
    expect(shown[1]).toContain(`2/2 seeds, ${summary.events} events, `);
    expect(shown[1]).toContain(`, ${marks} marks, 0 failed`);
  }, 60_000);

  it('that is stopped ends with what there is', async () => {
    const campaign = new Campaign(OPTIONS);
    const running = campaign.run();
    campaign.stop();
    const summary = await running;
    // The seed that had been begun.
    expect(summary).toMatchObject({ ok: true, seeds: 1, failed: [] });
  });
});
