import { NodeClock } from '../../src/io/node/clock.ts';
import { describeClock } from './clock_compliance.ts';
import { settle } from './node_harness.ts';

describeClock('the clock of Node', () => ({ clock: new NodeClock(), settle, cleanup: () => {} }));
