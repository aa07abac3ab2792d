/** What a campaign does beside running seeds. */
import { describe, expect, it } from 'vitest';
import { Campaign } from '../../sim/campaign.ts';

describe('a campaign', () => {
  it('that is stopped ends with what there is', async () => {
    const campaign = new Campaign({
      first: 1,
      seeds: 1000,
      seconds: null,
      stormMs: 200,
      jobs: 1,
      untilFailure: false,
      failures: null,
      requireMarks: false,
    });
    const running = campaign.run();
    campaign.stop();
    const summary = await running;
    // The seed that had been begun.
    expect(summary).toMatchObject({ ok: true, seeds: 1, failed: [] });
  });
});
