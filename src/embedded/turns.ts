/** Says when a loop over many items has to let the rest of the process have its turn. */
import { setImmediate } from 'node:timers/promises';

/** A loop gives way after this long; the clock is read every so many items. */
const TURN_MS = 2;
const ITEMS_A_LOOK = 32;

export class Turns {
  #items = 0;
  #beganMs = performance.now();

  /** Asked once for each item. True: `next` is due. */
  isOver(): boolean {
    return ++this.#items % ITEMS_A_LOOK === 0 && performance.now() - this.#beganMs >= TURN_MS;
  }

  /** Lets all others have their turn. */
  async next(): Promise<void> {
    await setImmediate();
    this.#beganMs = performance.now();
  }
}
