/**
 * What a turn leaves behind for the disk and for others, in the order that safety rests on: no message leaves before the
 * hard state it was made under, and those of earlier turns, are durable.
 */
import { sometimes } from '../base/rare.ts';
import type { Clock } from '../io/clock.ts';
import type { Term } from '../log/entry.ts';
import type { Envelope, Output } from '../raft/output.ts';
import type { Raft } from '../raft/raft.ts';
import type { ReplicaOptions } from './replica_options.ts';

export interface OutboxOptions extends Pick<ReplicaOptions, 'send' | 'onFailure'> {
  readonly raft: Pick<Raft, 'onHardStateDurable'>;
  readonly hardState: Pick<ReplicaOptions['hardState'], 'save'>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** All that was held back has left. */
  readonly onReleased: () => void;
}

export class Outbox {
  readonly #options: OutboxOptions;
  /** Set while a hard state is being written: messages made under it wait. */
  #heldBack: Envelope[] | null = null;
  #savesUnderWay = 0;
  #stopped = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** A hard state is not durable yet. */
  get isHoldingBack(): boolean {
    return this.#heldBack !== null;
  }

  persistAndSend(output: Output): void {
    const { hardState, send } = this.#options;
    if (output.hardState !== null) {
      this.#heldBack ??= [];
      this.#savesUnderWay++;
      const { term } = output.hardState;
      hardState.save(output.hardState, (error) => this.#onSaved(term, error));
    }
    if (this.#heldBack !== null) {
      if (this.#savesUnderWay > 1) sometimes('messages wait for more than one save');
      for (const envelope of output.messages) this.#heldBack.push(envelope);
      return;
    }
    for (const { to, message } of output.messages) send(to, message);
  }

  /** Nothing leaves any more. */
  stop(): void {
    this.#stopped = true;
  }

  #onSaved(term: Term, error: Error | null): void {
    if (this.#stopped) return;
    const { raft, clock, send, onReleased, onFailure } = this.#options;
    if (error !== null) {
      onFailure(error);
      return;
    }
    this.#savesUnderWay--;
    raft.onHardStateDurable(term, clock.monotonicMs());
    if (this.#savesUnderWay > 0 || this.#heldBack === null) return;
    const messages = this.#heldBack;
    this.#heldBack = null;
    for (const { to, message } of messages) send(to, message);
    onReleased();
  }
}
