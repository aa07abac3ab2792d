/** What nodes do to their disks, from the labels of the trace. Files have numbers there; here they get names again. */
import type { MarkKind } from './record.ts';
import type { SpanLog } from './span_log.ts';

export class DiskLog {
  readonly #spans: SpanLog;
  readonly #mark: (lane: number, kind: MarkKind, text: string) => void;
  /** By lane, then by number of the file. */
  readonly #names = new Map<number, Map<number, string>>();

  constructor(spans: SpanLog, mark: (lane: number, kind: MarkKind, text: string) => void) {
    this.#spans = spans;
    this.#mark = mark;
  }

  /** @param what A label of `Life`: `append`, `sync`, `rename` ... Unknown ones are shown as they are. */
  onEvent(nowUs: number, lane: number, what: string, name: string | null, a: number, b: number): void {
    switch (what) {
      case 'create':
      case 'rename':
        this.#rename(lane, a, name?.split(' ').at(-1) ?? '');
        this.#mark(lane, 'disk', `${what} ${(name ?? '').split(' ').map(short).join(' → ')}`);
        return;
      case 'append':
        this.#mark(lane, 'disk', `append to ${this.#nameOf(lane, a)} at ${b}`);
        return;
      case 'sync':
        this.#spans.open(nowUs, `sync ${lane} ${a} ${b}`, {
          lane,
          kind: 'sync',
          term: 0,
          text: `sync ${this.#nameOf(lane, a)} up to ${b}`,
        });
        return;
      case 'synced':
        this.#spans.close(nowUs, `sync ${lane} ${a} ${b}`);
        return;
      case 'sync-failed':
        this.#spans.close(nowUs, `sync ${lane} ${a} ${b}`, ', failed');
        this.#mark(lane, 'disk', `sync of ${this.#nameOf(lane, a)} fails`);
        return;
      default:
        this.#mark(lane, 'disk', `${what} ${name === null ? this.#nameOf(lane, a) : short(name)}`);
    }
  }

  #rename(lane: number, number: number, path: string): void {
    let names = this.#names.get(lane);
    if (names === undefined) {
      names = new Map();
      this.#names.set(lane, names);
    }
    names.set(number, short(path));
  }

  #nameOf(lane: number, number: number): string {
    return this.#names.get(lane)?.get(number) ?? `file ${number}`;
  }
}

/** Without the directory that all files are in. */
function short(path: string): string {
  return path.replace(/^\/data\//, '');
}
