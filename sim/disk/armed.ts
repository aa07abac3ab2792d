/**
 * Faults that are armed: each strikes once, at the n-th operation of its sort that comes after it was armed, and is then
 * spent. What they do is fixed when they are armed, but for what the seed decides in them (how much of a short write is
 * written, where a misdirected one lands), so that a run can be played again from a list of them.
 */
import { assert } from '../../src/base/assert.ts';
import { type FileKind, fileKindOf } from './file_kind.ts';

/** Which operation is meant. */
export interface Aim {
  /** It is the n-th such operation from now, n from 1. Default 1. */
  readonly after?: number;
  /** Counts operations on files of this kind only; default: on all. A directory is of the kind `other`. */
  readonly kind?: FileKind;
}

/**
 * When it shows that something never came to the platter: when the machine has lost its memory (`at-crash`), or at the
 * next read, because the page was thrown out of memory and read again (`at-once`).
 */
export type Seen = 'at-crash' | 'at-once';

export type ArmedFault =
  /** EIO; the pages are marked clean and never written (Rebello et al., "Can applications recover from fsync
   * failures?", USENIX ATC 2020: ext4 in `ordered` mode and XFS keep them in memory, Btrfs brings back the old). */
  | { readonly what: 'sync'; readonly seen: Seen }
  | { readonly what: 'read' }
  /** EIO after a part, which may be nothing, was written. */
  | { readonly what: 'write' }
  /** The append is acknowledged and never comes to the platter. */
  | { readonly what: 'append'; readonly goes: 'nowhere'; readonly seen: Seen }
  /** The append comes to another place of the disk, over what is there. */
  | { readonly what: 'append'; readonly goes: 'same-file' | 'other-file' };

interface Armed {
  readonly fault: ArmedFault;
  readonly kind: FileKind | null;
  left: number;
}

export class ArmedFaults {
  #armed: Armed[] = [];

  /** Nothing is armed: the cheap question to ask before `take`. */
  get isEmpty(): boolean {
    return this.#armed.length === 0;
  }

  arm(fault: ArmedFault, { after = 1, kind }: Aim): void {
    assert(Number.isInteger(after) && after >= 1, 'operations are counted from 1', { after });
    this.#armed.push({ fault, kind: kind ?? null, left: after });
  }

  /** Counts an operation; the fault that strikes it, if one does. Of several due at once the oldest strikes. */
  take<What extends ArmedFault['what']>(
    what: What,
    path: string,
  ): Extract<ArmedFault, { what: What }> | null {
    let struck: Armed | null = null;
    for (const armed of this.#armed) {
      if (armed.fault.what !== what || (armed.kind !== null && armed.kind !== fileKindOf(path))) continue;
      // One that is due waits for the next operation while an older one strikes this.
      if (armed.left > 1) armed.left--;
      else struck ??= armed;
    }
    if (struck === null) return null;
    this.#armed = this.#armed.filter((armed) => armed !== struck);
    return struck.fault as Extract<ArmedFault, { what: What }>;
  }

  clear(): void {
    this.#armed = [];
  }
}
