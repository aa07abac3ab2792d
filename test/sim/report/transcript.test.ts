import { describe, expect, it } from 'vitest';
import { formatTranscript } from '../../../sim/report/transcript.ts';
import { SAMPLE } from './sample.ts';

describe('formatTranscript', () => {
  it('has a line for each thing that happened, cause before effect', () => {
    expect(formatTranscript(SAMPLE)).toBe(`\
# seed 5: failed: linearizability
# commit unknown, hash 0123456789abcdef
# replay: npm run sim -- --seed 5
# key 0/k: no order
# of these operations
      0.500 ms  node 1     leads term 1
      0.500 ms  node 1     leader, term 1
      0.600 ms  node 1     append to log at 0
      1.000 ms  client 1   asks node 1: set 0/k v
      2.000 ms  node 1     append 1 → node 2: term 1, 1 [no-op] after 0 of term 0, commit 0
      3.500 ms  node 2     append 1 ← node 1 after 1.5 ms
      3.600 ms  node 2     accepted 1 → node 1: term 1, up to 1
      4.000 ms  node 2     syncs take long
      5.000 ms  node 1     accepted 1 ← node 2: lost
      8.000 ms  node 2     ends after 4 ms: syncs take long
      9.000 ms  client 1   is told: OK (set 0/k v, 8 ms)
      9.500 ms  client 1   asks node 1: get 0/k
      9.900 ms  client 1   is told: none (get 0/k, 400 µs)  <== contradicts
     10.000 ms  world      linearizability: key 0/k
`);
  });
});
