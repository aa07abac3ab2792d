/** A small record, made by hand, for tests of what is made of records. */
import { drawOptions } from '../../../sim/options.ts';
import { SimRandom } from '../../../sim/random.ts';
import {
  type MessageRecord,
  type OperationRecord,
  RECORD_FORMAT,
  type RunRecord,
} from '../../../sim/report/record.ts';

export const APPEND: MessageRecord = {
  from: 1,
  to: 2,
  sentUs: 2000,
  endUs: 3500,
  fate: 'arrived',
  kind: 'append',
  isReply: false,
  term: 1,
  name: 'append 1',
  text: 'term 1, 1 [no-op] after 0 of term 0, commit 0',
  connection: 1,
};

export const ACCEPTED: MessageRecord = {
  ...APPEND,
  from: 2,
  to: 1,
  sentUs: 3600,
  endUs: 5000,
  fate: 'lost',
  isReply: true,
  name: 'accepted 1',
  text: 'term 1, up to 1',
};

export const WRITE: OperationRecord = {
  lane: 3,
  node: 1,
  key: '0/k',
  isWrite: true,
  text: 'set 0/k v',
  answer: null,
  invokedUs: 1000,
  endUs: 9000,
  outcome: 'ok',
  isOffending: false,
};

export const READ: OperationRecord = {
  ...WRITE,
  isWrite: false,
  text: 'get 0/k',
  answer: 'none',
  invokedUs: 9500,
  endUs: 9900,
  isOffending: true,
};

export const SAMPLE: RunRecord = {
  format: RECORD_FORMAT,
  header: {
    seed: '5',
    commit: null,
    replay: 'npm run sim -- --seed 5',
    check: 'linearizability',
    message: 'key 0/k: no order\nof these operations',
    hash: '0123456789abcdef',
    endUs: 10_000,
    figures: { events: 12 },
    options: drawOptions(new SimRandom('sample')),
  },
  lanes: [
    { kind: 'world', number: 0, name: 'world' },
    { kind: 'node', number: 1, name: 'node 1' },
    { kind: 'node', number: 2, name: 'node 2' },
    { kind: 'client', number: 1, name: 'client 1' },
  ],
  messages: [APPEND, ACCEPTED],
  spans: [
    { lane: 1, kind: 'leader', fromUs: 500, toUs: 10_000, term: 1, text: 'leader, term 1' },
    { lane: 2, kind: 'slow-disk', fromUs: 4000, toUs: 8000, term: 0, text: 'syncs take long' },
  ],
  marks: [
    { lane: 1, kind: 'elected', atUs: 500, text: 'leads term 1' },
    { lane: 1, kind: 'disk', atUs: 600, text: 'append to log at 0' },
    { lane: 0, kind: 'failure', atUs: 10_000, text: 'linearizability: key 0/k' },
  ],
  operations: [WRITE, READ],
};
