/**
 * The units of a log: who wrote what, where. The optional brands let plain numbers in but keep a term from being
 * handed over as an index.
 */

/** Position of an entry in its group's log, from 1. 0 stands for "before the first". */
export type Index = number & { readonly unit?: 'index' };

/** A Raft term, from 1. 0 stands for "before the first election". */
export type Term = number & { readonly unit?: 'term' };

/** One Raft group among those that share a log, 0 to 2^32 - 1. */
export type GroupId = number & { readonly unit?: 'group' };

export const EntryKind = {
  /** What a new leader writes to commit its predecessors' entries; no payload. */
  Noop: 0,
  /** A command for the state machine. */
  Command: 1,
  /** A change of membership; reserved. */
  Configuration: 2,
} as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

export interface Entry {
  readonly index: Index;
  readonly term: Term;
  readonly kind: EntryKind;
  /** Never changed once the entry exists. */
  readonly payload: Uint8Array;
}
