/** What a client is told when consensus does not take what it asks for. */
import { unreachable } from '../base/assert.ts';
import { errorResult, type Result } from '../kv/request.ts';
import type { Refusal } from '../raft/leader.ts';
import { MENDING, NOT_LEADER } from './proposals.ts';
import type { ReplicaOptions } from './replica_options.ts';

export const HANDING_OVER = errorResult('unavailable', 'leadership is being handed over');
export const BEING_REBUILT = errorResult(
  'unavailable',
  'what this node holds is being rebuilt from another node',
);
export const ODD_ONE_OUT = errorResult(
  'unavailable',
  'what this node holds differs from what a majority of the nodes holds, and is being rebuilt from one of them',
);

export function refusalResult(
  why: Refusal,
  { proposalBytesMax, flow }: Pick<ReplicaOptions, 'proposalBytesMax' | 'flow'>,
): Result {
  switch (why) {
    case 'not-leader':
      return NOT_LEADER;
    case 'handing-over':
      return HANDING_OVER;
    case 'mending':
      return MENDING;
    case 'overloaded': {
      const bytesMax = Math.min(proposalBytesMax, flow.uncommittedBytesMax);
      return errorResult('overloaded', `overloaded: more than ${bytesMax} bytes of writes wait`);
    }
    default:
      return unreachable(why);
  }
}
