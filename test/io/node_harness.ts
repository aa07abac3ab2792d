/** The real seams under the compliance suites: a directory of its own under the system's temporary one, the loopback. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PATIENCE_MS = 10_000;

/** Lets the event loop turn until `isDone` returns true. The limit is for a defect only: no test needs it to be right. */
export async function settle(isDone: () => boolean): Promise<void> {
  const startMs = performance.now();
  while (!isDone()) {
    if (performance.now() - startMs > PATIENCE_MS) throw new Error(`nothing came for ${PATIENCE_MS} ms`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export function makeRoot(): { root: string; cleanup: () => void } {
  const root = mkdtempSync(join(tmpdir(), 'envelopedb-io-'));
  return { root, cleanup: () => rmSync(root, { recursive: true, force: true }) };
}
