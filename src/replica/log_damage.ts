/**
 * What a replica does about damage of its log, beside what consensus does about it (`raft/mending.ts`): at the start it
 * fences off what the log has forgotten and lets go of what tables cover; while entries are damaged it says so.
 */
import { CorruptionError } from '../base/errors.ts';
import { rarely } from '../base/rare.ts';
import type { Logger } from '../io/logger.ts';
import type { LogDamage } from '../log/damage.ts';
import type { Index } from '../log/entry.ts';
import type { GroupLog } from '../log/group_log.ts';
import type { Store } from '../lsm/store.ts';
import type { MendingStatus } from '../raft/mending.ts';
import type { NodeId } from '../raft/message.ts';
import type { HardState } from '../raft/output.ts';

/** How often a line says what is waited for. */
const REPORT_MS = 10_000;

/**
 * For the start, before anything else is done with the log. Ends in a record that is to be flushed, if the log may have
 * lost entries without a name; `term` is durable and so at least that of any entry that was ever acknowledged.
 */
export function fenceForgotten(log: GroupLog, { term }: HardState, logger: Logger): void {
  if (!log.isOpen) return;
  rarely('a log has forgotten entries and is fenced off');
  const fenceTerm = Math.max(term, log.lastTerm);
  logger.log('warn', 'log-entries-forgotten', { lastIndex: log.lastIndex, term: fenceTerm });
  log.fence(fenceTerm);
}

/** Damaged entries whose effects tables hold are of no use any more: who needs them is given a snapshot. */
export function dropCovered(log: GroupLog, store: Pick<Store, 'flushedIndex'>): void {
  let highest: Index = 0;
  for (let index = log.firstDamaged; index <= store.flushedIndex; index = log.damagedFrom(index + 1)) {
    highest = index;
  }
  if (highest === 0) return;
  rarely('damaged entries are let go that tables cover');
  log.compact(highest);
}

/** @throws CorruptionError when there are entries that neither the tables cover nor the log holds. */
export function checkFit(
  log: Pick<GroupLog, 'firstIndex' | 'lastIndex'>,
  { flushedIndex }: Pick<Store, 'flushedIndex'>,
): void {
  if (flushedIndex > log.lastIndex) {
    throw new CorruptionError(
      'log',
      0,
      `the tables cover index ${flushedIndex}, the log ends at ${log.lastIndex}: log records are missing, its last segments maybe: put them back, or replace the node`,
    );
  }
  if (flushedIndex < log.firstIndex - 1) {
    throw new CorruptionError(
      'log',
      0,
      `the log begins behind index ${log.firstIndex - 1}, the tables cover ${flushedIndex}: log records are missing, its first segments maybe: put them back, or replace the node`,
    );
  }
}

/** Tells the node's log what is damaged, what is waited for, and when all is well again. */
export class DamageReport {
  readonly #node: NodeId;
  readonly #logger: Logger;
  #reportedAtMs = Number.NEGATIVE_INFINITY;
  #damaged = 0;

  constructor(node: NodeId, logger: Logger) {
    this.#node = node;
    this.#logger = logger;
  }

  review(status: MendingStatus | null, damage: LogDamage, nowMs: number): void {
    if (status === null) {
      if (this.#damaged === 0) return;
      this.#logger.log('info', 'log-whole', { node: this.#node });
      this.#damaged = 0;
      return;
    }
    if (this.#damaged > 0 && nowMs - this.#reportedAtMs < REPORT_MS) return;
    this.#damaged = status.damaged;
    this.#reportedAtMs = nowMs;
    this.#logger.log('warn', 'log-mending', { node: this.#node, ...describeMending(status, damage) });
  }
}

/** Flat, as INFO and the node's log show it. */
export function describeMending(
  status: MendingStatus | null,
  { isFenced, fenceTerm }: LogDamage,
): Record<string, string | number> {
  const fence = isFenced ? { fenced_term: fenceTerm } : {};
  if (status === null) return { damaged_entries: 0, ...fence };
  const { damaged, index, unheard, cannotSay } = status;
  return {
    ...fence,
    damaged_entries: damaged,
    mending_index: index,
    mending_unheard: unheard.join(' ') || 'none',
    mending_cannot_say: cannotSay.join(' ') || 'none',
  };
}
