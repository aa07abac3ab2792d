/**
 * What the nemesis can do to a disk, as plain data. A fault of an operation is armed and strikes later, or never; damage
 * is done at once. The atlas may forbid a stroke (`atlas.ts`): then it does nothing.
 */
import { type Aim, type FileKind, fileKindOf, type InjuryKind, type Seen, type SimDisk } from './disk.ts';
import type { Machine } from './machine.ts';
import type { World } from './world.ts';

export type DiskStroke =
  /** The n-th next operation of this sort on a file of this kind fails with EIO, n from 1. */
  | {
      readonly kind: 'disk-error';
      readonly node: number;
      readonly operation: 'read' | 'write' | 'sync';
      readonly file: FileKind | 'any';
      readonly after: number;
      /** When it shows that a failed sync has lost what it covered. */
      readonly seen: Seen;
    }
  /** The n-th next append to such a file is acknowledged and goes elsewhere, or nowhere. */
  | {
      readonly kind: 'stray-write';
      readonly node: number;
      readonly file: FileKind | 'any';
      readonly after: number;
      readonly goes: 'nowhere' | 'same-file' | 'other-file';
      readonly seen: Seen;
    }
  /** No more than this fits from now on. */
  | { readonly kind: 'disk-full'; readonly node: number; readonly leftBytes: number }
  | { readonly kind: 'disk-free'; readonly node: number }
  /** A file of this kind is damaged; which one and where, in thousandths of what there is. */
  | {
      readonly kind: 'damage';
      readonly node: number;
      readonly how: 'rot' | 'lost-write' | 'overwritten' | 'bad-sector' | 'lost-name';
      readonly file: FileKind;
      readonly which: number;
      readonly where: number;
    }
  /** The disk is gone, with all that was on it. */
  | { readonly kind: 'disk-lost'; readonly node: number };

export function isDiskStroke(stroke: { readonly kind: string }): stroke is DiskStroke {
  return (DISK_STROKES as readonly string[]).includes(stroke.kind);
}

const DISK_STROKES = [
  'disk-error',
  'stray-write',
  'disk-full',
  'disk-free',
  'damage',
  'disk-lost',
] as const satisfies readonly DiskStroke['kind'][];

export function applyDiskStroke(world: World, machine: Machine, stroke: DiskStroke): void {
  const { disk, id } = machine;
  if (!world.atlas.allows(id, injuryOf(stroke))) return;
  switch (stroke.kind) {
    case 'disk-error': {
      const aim = aimOf(stroke);
      if (stroke.operation === 'read') disk.failRead(aim);
      else if (stroke.operation === 'write') disk.failWrite(aim);
      else disk.failSync({ ...aim, seen: stroke.seen });
      return;
    }
    case 'stray-write': {
      const { goes, seen } = stroke;
      if (goes === 'nowhere') disk.loseWrite({ ...aimOf(stroke), seen });
      else disk.misdirectWrite({ ...aimOf(stroke), onto: goes });
      return;
    }
    case 'disk-full':
      disk.fill(stroke.leftBytes);
      return;
    case 'disk-free':
      disk.restoreSpace();
      return;
    case 'damage':
      damage(disk, stroke);
      return;
    case 'disk-lost':
      if (machine.process.alive) world.lifecycle.crash(machine);
      disk.wipe();
      world.atlas.onEnded(id);
  }
}

function aimOf({ after, file }: { readonly after: number; readonly file: FileKind | 'any' }): Aim {
  return file === 'any' ? { after } : { after, kind: file };
}

function damage(disk: SimDisk, { how, file, which, where }: DiskStroke & { kind: 'damage' }): void {
  const paths = disk.files().filter((path) => fileKindOf(path) === file);
  const path = paths[Math.floor((which * paths.length) / 1000)];
  if (path === undefined) return;
  if (how === 'lost-name') {
    disk.loseName(path);
    return;
  }
  const size = disk.sizeOf(path);
  if (size === 0) return;
  const offset = Math.floor((where * size) / 1000);
  if (how === 'rot') disk.flipByte(path, offset);
  else if (how === 'lost-write') disk.loseSector(path, offset);
  else if (how === 'bad-sector') disk.breakSector(path, offset);
  else disk.misdirectSector(path, Math.floor(((999 - where) * size) / 1000), offset);
}

function injuryOf(stroke: DiskStroke): InjuryKind {
  switch (stroke.kind) {
    case 'disk-error':
      return stroke.operation === 'sync' ? 'failed-sync' : `failed-${stroke.operation}`;
    case 'stray-write':
      return 'lost-write';
    case 'disk-full':
    case 'disk-free':
      return 'full';
    case 'damage':
      return stroke.how;
    case 'disk-lost':
      return 'wiped';
  }
}

export function describeDiskStroke(stroke: DiskStroke): string {
  const node = `node ${stroke.node}`;
  switch (stroke.kind) {
    case 'disk-error':
      return `on ${node} the ${nth(stroke.after)} ${stroke.operation} of ${fileOf(stroke.file)} from now fails`;
    case 'stray-write': {
      const goes = { nowhere: 'is lost', 'same-file': 'goes astray', 'other-file': 'goes astray' }[
        stroke.goes
      ];
      return `on ${node} the ${nth(stroke.after)} write to ${fileOf(stroke.file)} from now ${goes}`;
    }
    case 'disk-full':
      return `the disk of ${node} has ${stroke.leftBytes} bytes left`;
    case 'disk-free':
      return `the disk of ${node} has space again`;
    case 'damage':
      return `${stroke.how} in ${fileOf(stroke.file)} of ${node}`;
    case 'disk-lost':
      return `${node} loses its disk`;
  }
}

function fileOf(kind: FileKind | 'any'): string {
  return kind === 'any' ? 'any file' : `a file of the kind '${kind}'`;
}

function nth(count: number): string {
  if (count === 1) return 'next';
  const tens = count % 100;
  const ending = tens > 10 && tens < 14 ? 'th' : (['th', 'st', 'nd', 'rd'][count % 10] ?? 'th');
  return `${count}${ending}`;
}
