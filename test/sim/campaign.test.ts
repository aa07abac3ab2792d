/** What a campaign does beside running seeds. */
import { describe, expect, it } from 'vitest';
import { Campaign } from '../../sim/campaign.ts';

const OPTIONS = {
  first: 1,
  seeds: 1000,
  seconds: null,
  stormMs: 200,
  jobs: 1,
  untilFailure: false,
  failures: null,
  requireMarks: false,
};

describe('a campaign', () => {
  it('names the seed whose thread has died', async () => {
    // A number that no code there can count with.
    const campaign = new Campaign({ ...OPTIONS, first: 77, stormMs: 1n as unknown as number });
    await expect(campaign.run()).rejects.toThrow(/^the thread that ran seed 77 has died: ./);
  });

  it('that is stopped ends with what there is', async () => {
    const campaign = new Campaign(OPTIONS);
    const running = campaign.run();
    campaign.stop();
    const summary = await running;
    // The seed that had been begun.
    expect(summary).toMatchObject({ ok: true, seeds: 1, failed: [] });
  });
});
