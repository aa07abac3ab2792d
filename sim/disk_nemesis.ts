/** Draws what happens to disks: errors that pass, damage that stays. */
import type { Atlas } from './atlas.ts';
import type { FileKind } from './disk.ts';
import type { DiskStroke } from './disk_strokes.ts';
import type { SimRandom } from './random.ts';

const DAMAGED: readonly FileKind[] = ['log', 'log', 'log', 'table', 'table', 'manifest', 'vote', 'current'];
const WRITTEN: readonly (FileKind | 'any')[] = ['log', 'log', 'vote', 'table', 'manifest', 'any'];

/** An error of a read or a write, on any node. */
export function drawDiskError(node: number, random: SimRandom): DiskStroke {
  return {
    kind: 'disk-error',
    node,
    operation: random.pick(['read', 'write']),
    file: random.pick(WRITTEN),
    after: random.between(1, 12),
    seen: 'at-crash',
  };
}

export function drawFailedSync(node: number, random: SimRandom): DiskStroke {
  return {
    kind: 'disk-error',
    node,
    operation: 'sync',
    file: random.pick(WRITTEN),
    after: random.between(1, 10),
    seen: random.pick(['at-crash', 'at-once']),
  };
}

export function drawDamage(node: number, random: SimRandom): DiskStroke {
  return {
    kind: 'damage',
    node,
    how: random.pick(['rot', 'rot', 'lost-write', 'overwritten', 'bad-sector', 'lost-name']),
    file: random.pick(DAMAGED),
    which: random.below(1000),
    where: random.below(1000),
  };
}

export function drawTableRot(node: number, random: SimRandom): DiskStroke {
  return {
    kind: 'damage',
    node,
    how: random.pick(['rot', 'rot', 'lost-write', 'overwritten', 'lost-name']),
    file: 'table',
    which: random.below(1000),
    where: random.below(1000),
  };
}

export function drawStrayWrite(node: number, random: SimRandom): DiskStroke {
  return {
    kind: 'stray-write',
    node,
    file: random.pick(WRITTEN),
    after: random.between(1, 12),
    goes: random.pick(['nowhere', 'nowhere', 'same-file', 'other-file']),
    seen: random.pick(['at-crash', 'at-once']),
  };
}

/** One that may be damaged; null: none may. */
export function pickDamageable(atlas: Atlas, nodes: readonly number[], random: SimRandom): number | null {
  const allowed = nodes.filter((node) => atlas.allows(node, 'rot'));
  return allowed.length === 0 ? null : random.pick(allowed);
}
