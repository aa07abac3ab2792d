/** When writers are slowed and when they are stopped, by what waits to be compacted. See docs/storage.md. */
import { rarely } from '../base/rare.ts';
import { debtBytes, pendingRuns } from './compaction.ts';
import type { StoreSettings, WritePressure } from './store_options.ts';
import type { Version } from './version.ts';

/** @param isCompacting Nobody is held back by what cannot become less: runs that nothing compacts. */
export function compactionPressure(
  version: Version,
  isCompacting: boolean,
  settings: StoreSettings,
): WritePressure {
  if (!isCompacting) return 'none';
  const { slowAtRuns, stopAtRuns, slowAtDebtBytes, stopAtDebtBytes, mergeAtTables } = settings;
  const runs = pendingRuns(version, settings);
  const debt = debtBytes(version, settings);
  if (runs >= Math.max(stopAtRuns, 2 * mergeAtTables) || debt >= stopAtDebtBytes) {
    rarely('writes wait for a compaction');
    return 'stop';
  }
  return runs >= Math.max(slowAtRuns, mergeAtTables + 1) || debt >= slowAtDebtBytes ? 'slow' : 'none';
}
