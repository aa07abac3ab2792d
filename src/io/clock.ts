/**
 * The clock seam: time and timers.
 *
 * Promises: `monotonicMs` never goes back while the process lives, and a timer never fires before its delay has
 * passed on it. A timer may fire any time later (a paused process wakes late), so whoever acts on one reads the
 * clock again. `wallMs` may jump either way: it is shown to people, and a leader writes it into log entries, where the
 * state machine takes the latest that it has seen.
 */
export interface Clock {
  /** Milliseconds since an arbitrary start, with fractions. */
  monotonicMs(): number;
  /** Milliseconds since the Unix epoch. */
  wallMs(): number;
  /** Calls `task` once, no sooner than `delayMs` (>= 0) from now. */
  after(delayMs: number, task: () => void): Timer;
  /**
   * Calls `task` once, after everything that is ready in this turn of the loop has been handled, and before
   * time passes: the place to send, in one piece, what a turn has gathered. Tasks run in the order given.
   */
  later(task: () => void): void;
}

export interface Timer {
  /** Idempotent; a cancelled timer never fires. */
  cancel(): void;
}
