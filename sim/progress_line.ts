/**
 * One line that says how far long work is: on a terminal it is drawn over itself, elsewhere it is a line of its own from
 * time to time, so that a log of it stays short.
 */

export interface ProgressOutput {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const REDRAW_MS = 500;
const LINE_MS = 60_000;

export class ProgressLine {
  readonly #output: ProgressOutput;
  readonly #nowMs: () => number;
  #shownAtMs: number;
  #isDrawn = false;

  /** @param nowMs Monotonic. */
  constructor(
    output: ProgressOutput = process.stderr,
    nowMs: () => number = () => globalThis.performance.now(),
  ) {
    this.#output = output;
    this.#nowMs = nowMs;
    this.#shownAtMs = nowMs();
  }

  /** @param describe Called when it is time to show something. */
  show(describe: () => string): void {
    const isTerminal = this.#output.isTTY === true;
    const nowMs = this.#nowMs();
    if (nowMs - this.#shownAtMs < (isTerminal ? REDRAW_MS : LINE_MS)) return;
    this.#shownAtMs = nowMs;
    this.#output.write(isTerminal ? `\r\x1b[K${describe()}` : `${describe()}\n`);
    this.#isDrawn = isTerminal;
  }

  /** Takes the line away from a terminal: other text comes, or all is done. */
  end(): void {
    if (this.#isDrawn) this.#output.write('\r\x1b[K');
    this.#isDrawn = false;
  }
}
