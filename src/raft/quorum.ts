/** Majorities. */
import { type Configuration, isJoint } from './configuration.ts';
import type { NodeId } from './message.ts';

export function majorityOf(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/**
 * The largest value that a majority has reached: the median of the sorted values, the lower one of an even count.
 * Sorts `values` in place. O(n log n) in the handful of voters.
 */
export function quorumValue(values: number[]): number {
  values.sort(ascending);
  return values[values.length - majorityOf(values.length)];
}

function ascending(a: number, b: number): number {
  return a - b;
}

/** Whether a majority of the voters is among those for which `holds`; of a joint configuration, one of each half. */
export function isQuorum(configuration: Configuration, holds: (id: NodeId) => boolean): boolean {
  const { voters, outgoing } = configuration;
  return isMajority(voters, holds) && (!isJoint(configuration) || isMajority(outgoing, holds));
}

/** No majority of no voters: a node that does not know its group decides nothing. */
export function isMajority(voters: readonly NodeId[], holds: (id: NodeId) => boolean): boolean {
  let count = 0;
  for (const voter of voters) if (holds(voter)) count++;
  return count >= majorityOf(voters.length);
}
