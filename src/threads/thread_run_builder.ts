/**
 * Has runs written by a thread of their own (see `run_writer_thread.ts`), which is started with the first order, or when one
 * is announced, and keeps the process from ending only while it works.
 */
import { existsSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { assert } from '../base/assert.ts';
import { EnvelopeError, type Outcome } from '../base/errors.ts';
import type { Reads } from '../io/node/read_file.ts';
import type { BuildOrder, RunBuilder, StartedBuild } from '../lsm/run_builder.ts';
import {
  type BuildMessage,
  type BuildReply,
  END,
  PHASE_WORDS,
  Phase,
  receivedError,
  STEPS_WORD,
  type WriterSettings,
} from './messages.ts';

type Done = (outcome: Outcome<readonly number[]>) => void;

/** How long a stop waits for the thread before it says that something is wrong: a sync of a slow disk may take seconds. */
const STOP_MS = 60_000;

export class ThreadRunBuilder implements RunBuilder {
  readonly #settings: WriterSettings;
  readonly #waiting = new Map<number, Done>();
  #worker: Worker | null = null;
  #orders = 0;

  /**
   * @param reads How the tables to be merged are read.
   * @throws EnvelopeError `UNSUPPORTED` when the file that the thread runs is not there.
   */
  constructor(reads: Reads) {
    entry();
    this.#settings = { reads };
  }

  prepare(): void {
    this.#worker ??= this.#start();
    this.#rest();
  }

  build(order: BuildOrder, done: Done): StartedBuild {
    const id = ++this.#orders;
    const phase = new Int32Array(new SharedArrayBuffer(PHASE_WORDS * Int32Array.BYTES_PER_ELEMENT));
    this.#waiting.set(id, done);
    this.#worker ??= this.#start();
    this.#worker.ref();
    this.#worker.postMessage({ id, order, phase } satisfies BuildMessage);
    return {
      get steps(): number {
        return Atomics.load(phase, STEPS_WORD);
      },
      stop: () => {
        if (this.#waiting.delete(id)) stop(phase);
        this.#rest();
      },
    };
  }

  /**
   * Ends the thread, and says when it has: when it has given back what it had mapped, which would stay until the process
   * ends if it were cut off. No build may be under way.
   */
  async close(): Promise<void> {
    assert(this.#waiting.size === 0, 'a thread is ended when it has nothing to do', {
      builds: this.#waiting.size,
    });
    const worker = this.#worker;
    this.#worker = null;
    if (worker === null) return;
    await new Promise((resolve) => {
      worker.once('exit', resolve);
      worker.ref();
      worker.postMessage(END);
    });
  }

  #start(): Worker {
    const worker = new Worker(entry(), { workerData: this.#settings });
    worker.on('message', (reply: BuildReply) => {
      const done = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      this.#rest();
      if (reply.type === 'built') done?.({ ok: true, value: reply.numbers });
      else done?.({ ok: false, error: receivedError(reply.error) });
    });
    worker.on('error', (error) => this.#onGone(worker, error.message));
    worker.on('exit', (code) => this.#onGone(worker, `exit code ${code}`));
    return worker;
  }

  /** A thread that has nothing to do keeps no process from ending. */
  #rest(): void {
    if (this.#waiting.size === 0) this.#worker?.unref();
  }

  /** Files that it was writing are there in part, and nobody writes them any more. */
  #onGone(worker: Worker, why: string): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    const error = new EnvelopeError('INTERNAL', `the thread that writes tables has ended: ${why}`);
    for (const done of waiting) done({ ok: false, error });
  }
}

/** Returns when the other thread does nothing more for the build. */
function stop(phase: Int32Array): void {
  if (Atomics.compareExchange(phase, 0, Phase.Waiting, Phase.Cancelled) === Phase.Waiting) return;
  Atomics.compareExchange(phase, 0, Phase.Begun, Phase.Stopping);
  const outcome =
    Atomics.load(phase, 0) === Phase.Ended ? 'not-equal' : Atomics.wait(phase, 0, Phase.Stopping, STOP_MS);
  assert(outcome !== 'timed-out', 'a thread that writes tables ends a build when it is told to');
}

/**
 * Sources are loaded through the loader that the project's scripts use; Node hands none down to its threads. A bundler takes
 * the file for none of those that are needed, and one that makes CommonJS takes away where this one is: the store would fail
 * only when its first memtable fills.
 */
function entry(): URL {
  const here: string | undefined = import.meta.url;
  const name = here?.endsWith('.ts') === true ? 'from_sources.mjs' : 'run_writer_thread.js';
  const file = here === undefined ? null : new URL(name, here);
  if (file !== null && existsSync(file)) return file;
  throw new EnvelopeError(
    'UNSUPPORTED',
    `${name} is missing, which the thread that writes tables runs: tell the bundler that envelopedb is external, or open with background: 'steps'`,
  );
}
