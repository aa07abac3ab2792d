/** Replicas that have applied the same entries hold the same keys and values, byte for byte. */
import { compareBytes } from '../src/codec/bytes.ts';
import type { Node } from '../src/server/node.ts';
import type { Machine } from './machine.ts';

/** Compares each with the first of those that have applied as much; what differs, or null. */
export function compareReplicas(machines: readonly Pick<Machine, 'node'>[]): string | null {
  const [first, ...rest] = machines.map(({ node }) => node).filter((node) => node !== null);
  if (first === undefined) return null;
  for (const other of rest) {
    if (other.replica.appliedIndex !== first.replica.appliedIndex) continue;
    const difference = firstDifference(first, other);
    if (difference !== null) return difference;
  }
  return null;
}

/** Also in the middle of a run, where a replica is just as far as another. Changes no disk. */
export function compareWithEquals(machine: Machine, others: readonly Machine[]): string | null {
  const { node } = machine;
  if (node === null || node.isStopped) return null;
  for (const other of others) {
    if (other === machine || other.node === null || other.node.isStopped) continue;
    if (other.node.replica.appliedIndex !== node.replica.appliedIndex) continue;
    machine.disk.setLookedAt(true);
    other.disk.setLookedAt(true);
    const difference = firstDifference(node, other.node);
    machine.disk.setLookedAt(false);
    other.disk.setLookedAt(false);
    if (difference !== null) return difference;
  }
  return null;
}

function firstDifference(a: Node, b: Node): string | null {
  const left = a.store.iterator();
  const right = b.store.iterator();
  try {
    for (;;) {
      const more = left.next();
      if (more !== right.next()) return 'one replica holds more keys than another';
      if (!more) return null;
      if (compareBytes(left.key(), right.key()) !== 0) return `replicas differ at key ${String(left.key())}`;
      if (compareBytes(left.value(), right.value()) !== 0)
        return `replicas differ in the value of ${String(left.key())}`;
    }
  } finally {
    left.close();
    right.close();
  }
}
