/** What lasts: opened under a key, closed under the same, or by lane or kind, or when the run ends. */
import type { SpanKind, SpanRecord } from './record.ts';

interface OpenSpan {
  readonly lane: number;
  readonly kind: SpanKind;
  readonly fromUs: number;
  readonly term: number;
  readonly text: string;
}

export class SpanLog {
  readonly #open = new Map<string, OpenSpan>();
  readonly #spans: SpanRecord[] = [];

  /** What is open under the key is closed first. */
  open(nowUs: number, key: string, span: Omit<OpenSpan, 'fromUs'>): void {
    this.close(nowUs, key);
    this.#open.set(key, { ...span, fromUs: nowUs });
  }

  isOpen(key: string): boolean {
    return this.#open.has(key);
  }

  /** Does nothing when nothing is open under the key. `note` is added to the text. */
  close(nowUs: number, key: string, note = ''): void {
    const span = this.#open.get(key);
    if (span === undefined) return;
    this.#open.delete(key);
    const { lane, kind, fromUs, term, text } = span;
    // What was undone at the moment it was done has not been.
    if (fromUs < nowUs) this.#spans.push({ lane, kind, fromUs, toUs: nowUs, term, text: text + note });
  }

  /** Closes all that the test holds for. */
  closeAll(nowUs: number, test: (span: { lane: number; kind: SpanKind }) => boolean, note = ''): void {
    for (const [key, span] of [...this.#open]) if (test(span)) this.close(nowUs, key, note);
  }

  /** All spans, those still open until now, by their beginning. */
  finish(nowUs: number): SpanRecord[] {
    this.closeAll(nowUs, () => true);
    return this.#spans.sort((a, b) => a.fromUs - b.fromUs || a.toUs - b.toUs);
  }
}
