import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Two cores are the smallest machine that the whole run must fit.
    maxWorkers: 2,
    testTimeout: process.env.ENVELOPEDB_LONG_TESTS === '1' ? 3_600_000 : 30_000,
  },
});
