/**
 * Long tasks over the seams as generators: written one step after the other, although the event loop has its turns between
 * them. A task yields null to give way, or what it waits for; an error of that is thrown where it waits. The same task
 * runs on the real disk and in the simulator, which crashes it between any two steps.
 */
import { type Outcome, toError } from '../base/errors.ts';
import type { Clock } from '../io/clock.ts';

type Done = (error: Error | null) => void;

/** Starts something; `done` comes later, once. */
export type Wait = (done: Done) => void;

export type Steps<T> = Generator<Wait | null, T, void>;

/** Waits for a call that hands over a value. */
export function* resultOf<T>(start: (done: (outcome: Outcome<T>) => void) => void): Steps<T> {
  let found: { readonly value: T } | null = null;
  yield (done) =>
    start((outcome) => {
      if (outcome.ok) found = { value: outcome.value };
      done(outcome.ok ? null : outcome.error);
    });
  if (found === null) throw new Error('a step has ended without a value');
  return (found as { readonly value: T }).value;
}

/**
 * Runs a task to its end. `done` comes later, with what it returns or throws.
 * @param whyStop Asked between steps: an error ends the task, being thrown where it rests, so that it can clean up.
 */
export function runSteps<T>(
  steps: Steps<T>,
  clock: Clock,
  whyStop: () => Error | null,
  done: (outcome: Outcome<T>) => void,
): void {
  let hasStopped = false;
  let isOver = false;
  const end = (outcome: Outcome<T>): void => {
    isOver = true;
    done(outcome);
  };
  const proceed = (error: Error | null): void => {
    if (isOver) return;
    // Told once: what it does to clean up is let go to its end.
    const reason = error ?? (hasStopped ? null : whyStop());
    if (error === null && reason !== null) hasStopped = true;
    let next: IteratorResult<Wait | null, T>;
    try {
      next = reason === null ? steps.next() : steps.throw(reason);
    } catch (thrown) {
      end({ ok: false, error: toError(thrown) });
      return;
    }
    if (next.done === true) end({ ok: true, value: next.value });
    else if (next.value === null) clock.later(() => proceed(null));
    else begin(next.value);
  };
  const begin = (wait: Wait): void => {
    try {
      wait(proceed);
    } catch (thrown) {
      proceed(toError(thrown));
    }
  };
  clock.later(() => proceed(null));
}
