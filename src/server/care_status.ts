/** What INFO shows of how a replica looks after what it holds. */
import type { Store } from '../lsm/store.ts';
import type { Replica } from '../replica/replica.ts';

export function careStatus(
  { mender, comparison, repair }: Replica,
  store: Store,
): Record<string, string | number> {
  const { scrubbedBytes, scrubs } = store.statistics();
  return {
    damaged_tables: store.quarantined.length,
    mending: mender.phase,
    mending_bytes: mender.fetchedBytes,
    mended_tables: mender.mended,
    rebuilt: mender.rebuilt,
    scrubbed_bytes: scrubbedBytes,
    scrubs,
    compared_index: comparison?.comparedIndex ?? 0,
    diverged_index: comparison?.divergedIndex ?? 0,
    diverged_with: comparison?.divergedWith.join(' ') || 'none',
    odd_one_out: repair.phase,
  };
}
