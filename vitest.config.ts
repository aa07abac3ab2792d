import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Two cores are the smallest machine that the whole run must fit.
    maxWorkers: 2,
    testTimeout: 30_000,
  },
});
