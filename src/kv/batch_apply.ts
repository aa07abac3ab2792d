/** Carries out the edits of a batch. */
import { BatchReader, EditKind } from './batch.ts';
import type { LiveKeys } from './live_keys.ts';
import { TIME_MS_MAX } from './request.ts';

/** @throws EnvelopeError `FORMAT` at the first edit that is none: see `checkEdits`, by which nothing has been written. */
export function applyEdits(keys: LiveKeys, edits: Uint8Array): void {
  const reader = new BatchReader(edits);
  const { nowMs } = keys.state;
  while (reader.next()) {
    switch (reader.kind) {
      case EditKind.Delete:
        keys.delete(reader.bucket, reader.key);
        break;
      case EditKind.PutForTime:
        keys.put(reader.bucket, reader.key, reader.value, Math.min(nowMs + reader.ttlMs, TIME_MS_MAX));
        break;
      default:
        reader.putInto(keys);
    }
  }
}
