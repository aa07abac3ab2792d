/**
 * Tells how far something is: a bar that is drawn over and over on a terminal, elsewhere a line from time to time, so that
 * a log of it stays short.
 */

export interface ProgressOutput {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const BAR_CELLS = 24;
const REDRAW_MS = 100;
const LINE_MS = 5000;

export class Progress {
  readonly #output: ProgressOutput;
  readonly #nowMs: () => number;
  #label = '';
  #beganMs = 0;
  #shownMs = 0;
  #isDrawn = false;

  /** @param nowMs Monotonic. */
  constructor(output: ProgressOutput, nowMs: () => number = () => performance.now()) {
    this.#output = output;
    this.#nowMs = nowMs;
  }

  /** @param label What is being done; another one than before begins anew. */
  readonly show = (label: string, bytes: number, of: number): void => {
    const now = this.#nowMs();
    if (label !== this.#label) {
      this.#label = label;
      this.#beganMs = now;
      // Nothing is told of what is over at once.
      this.#shownMs = now;
    }
    const isTerminal = this.#output.isTTY === true;
    if (now - this.#shownMs < (isTerminal ? REDRAW_MS : LINE_MS)) return;
    this.#shownMs = now;
    const share = of === 0 ? 1 : Math.min(1, bytes / of);
    const percent = `${Math.floor(100 * share)} %`;
    const amount = `${describeBytes(Math.min(bytes, of))} of ${describeBytes(of)}`;
    if (!isTerminal) {
      this.#output.write(`${label}: ${percent}, ${amount}\n`);
      return;
    }
    const cells = Math.round(BAR_CELLS * share);
    const bar = `${'#'.repeat(cells)}${'.'.repeat(BAR_CELLS - cells)}`;
    const rest = share === 0 ? '' : `, ${describeMs(((now - this.#beganMs) * (1 - share)) / share)} left`;
    this.#output.write(`\r\x1b[K${label} [${bar}] ${percent}, ${amount}${rest}`);
    this.#isDrawn = true;
  };

  /** Takes the bar away. */
  end(): void {
    if (this.#isDrawn) this.#output.write('\r\x1b[K');
    this.#isDrawn = false;
  }
}

export function describeBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;
  let unit = 0;
  let amount = bytes;
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024;
    unit++;
  }
  return `${unit === 0 ? amount : amount.toFixed(1)} ${units[unit]}`;
}

function describeMs(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 100) return `${seconds} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.ceil(minutes / 60)} h`;
}
