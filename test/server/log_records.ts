/** The records of a machine's log, read by the format's description alone, to damage them. */
import { SimProcess } from '../../sim/process.ts';
import type { ServerRig, TestMachine } from './rig.ts';

const SEGMENT_HEADER_BYTES = 32;
const RECORD_HEADER_BYTES = 40;

export interface LogRecord {
  readonly path: string;
  readonly offset: number;
  readonly kind: 'entry' | 'marker' | 'reset' | 'mend' | 'fence';
  readonly index: number;
  readonly term: number;
  readonly payloadBytes: number;
}

const KINDS = ['entry', 'marker', 'reset', 'mend', 'fence'] as const;

/** In the order of the log; of a log whose headers are intact. */
export function recordsOf(rig: ServerRig, { disk }: TestMachine): LogRecord[] {
  const seam = disk.attach(new SimProcess('looker', rig.scheduler));
  const records: LogRecord[] = [];
  for (const name of seam.list('/data/log').sort()) {
    if (!name.endsWith('.log')) continue;
    const path = `/data/log/${name}`;
    const file = seam.open(path);
    const bytes = file.view(0, file.size).slice();
    file.close();
    const view = new DataView(bytes.buffer);
    let offset = SEGMENT_HEADER_BYTES;
    while (offset + RECORD_HEADER_BYTES <= bytes.length && bytes[offset] !== 0) {
      const payloadBytes = view.getUint32(offset + 12, true);
      const kind = KINDS[bytes[offset + 4] - 1];
      const index = Number(view.getBigUint64(offset + 16, true));
      const term = Number(view.getBigUint64(offset + 24, true));
      if (kind === undefined) throw new Error(`a record of unknown kind at ${path}:${offset}`);
      records.push({ path, offset, kind, index, term, payloadBytes });
      offset += RECORD_HEADER_BYTES + Math.ceil(payloadBytes / 8) * 8;
    }
  }
  return records;
}

/** One byte of the payload changes. */
export function rotPayload({ disk }: TestMachine, { path, offset }: LogRecord): void {
  disk.flipByte(path, offset + RECORD_HEADER_BYTES);
}

/** One byte of the header changes: nobody can say any more what it was. */
export function rotHeader({ disk }: TestMachine, { path, offset }: LogRecord): void {
  disk.flipByte(path, offset + 20);
}
