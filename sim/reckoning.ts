/**
 * What the clients of a world saw is held against what one copy of the store would have told them: while the run goes on,
 * piece by piece (`history_watch.ts`), and at its end, when it is known what became of each write that was not answered.
 *
 * Where the history is kept, as in all but long runs, it is checked as a whole when the pieces contradict each other, to
 * show the smallest beginning that does, or when they were too hard to search. The two checks must agree.
 */
import { findWrite, refusedButCommitted } from './acknowledgements.ts';
import type { Operation } from './check/history.ts';
import { checkLinearizability, formatOperations } from './check/linearizability.ts';
import type { StreamVerdict } from './check/stream.ts';
import { findOverdue } from './expiry.ts';
import type { World } from './world.ts';

type Refutation = Exclude<StreamVerdict, { type: 'linearizable' }>;

export class Reckoning {
  readonly #world: World;
  /** The pieces were too hard, and the whole was checked. */
  wholeChecks = 0;
  /** The whole was too hard as well. */
  isUndecided = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** After each event. What is kept is reckoned with at the end; what is forgotten can be shown now alone. */
  look(): void {
    const { history, historyWatch, scheduler } = this.#world;
    const refutation = historyWatch.look(scheduler.nowUs);
    if (refutation !== null && refutation.type !== 'linearizable' && !history.isKept)
      this.#refuse(refutation);
  }

  /** @param hasSettled All machines have started anew and the cluster serves: what is not committed never will be. */
  run(hasSettled: boolean): void {
    const { history, historyWatch, invariants, scheduler } = this.#world;
    const find = invariants.committedIndexOf.bind(invariants);
    const wronged = refusedButCommitted(historyWatch.refused, find) ?? historyWatch.findReturned();
    if (wronged !== null) this.#world.fail('wrong answer', wronged);
    const fateOf = hasSettled ? this.#fateOf : this.#fateInWaiting;
    // It looks at what became of operations before that is written into them.
    const verdict = historyWatch.finish(scheduler.nowUs, fateOf);
    history.narrow(fateOf);
    const overdue = historyWatch.overdue ?? findOverdue(history.operations());
    if (overdue !== null) {
      this.#world.onOffending(overdue);
      this.#world.fail('expiry', `a value was read after it had expired\n${formatOperations(overdue)}`);
    } else if (verdict.type !== 'linearizable') {
      if (history.isKept) this.#checkWhole(verdict);
      else this.#refuse(verdict);
    }
  }

  #checkWhole({ type, keys }: Refutation): void {
    const verdict = checkLinearizability(this.#world.history.operations());
    if (verdict.ok === false) {
      this.#world.onOffending(verdict.operations);
      this.#world.fail('linearizability', `${verdict.explanation}\n${formatOperations(verdict.operations)}`);
    } else if (type === 'not linearizable') {
      const whole = verdict.ok === true ? 'linearizable' : 'too hard to check';
      this.#world.fail(
        'checkers',
        `in pieces ${keys.join(' ')} contradicts itself, as a whole it is ${whole}`,
      );
    } else if (verdict.ok === null) {
      // Nothing is known to be wrong, nor to be right.
      this.isUndecided = true;
    } else this.wholeChecks++;
  }

  /** Of a history that is not kept what is held of it is shown. */
  #refuse({ type, keys, calls, before }: Refutation): void {
    const held = new Map(this.#world.history.operations().map((operation) => [operation.id, operation]));
    const operations = calls.flatMap(({ id }) => held.get(id) ?? []);
    const what = type === 'gave up' ? 'was too hard to check' : 'contradicts itself';
    this.#world.onOffending(operations);
    this.#world.fail(
      'linearizability',
      `what was seen of ${keys.join(' ')} ${what}; it may have held ${before} before\n${formatOperations(operations)}`,
    );
  }

  /** What became of each write of a value that was never answered. */
  readonly #fateOf = (operation: Operation): number | 'never' | null => {
    const { invariants } = this.#world;
    return findWrite(operation, (...write) => invariants.committedAtUs(...write) ?? 'never');
  };

  /** As `#fateOf`, of a cluster that waits: what stands in some log behind all that is committed may yet be. */
  readonly #fateInWaiting = (operation: Operation): number | 'never' | null => {
    const { invariants } = this.#world;
    return findWrite(operation, (...write) => {
      return invariants.committedAtUs(...write) ?? (invariants.mayYetCommit(...write) ? null : 'never');
    });
  };
}
