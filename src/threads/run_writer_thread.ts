/**
 * The thread that writes runs for a store. It takes orders as they come and works on all of them in turn, a step of each at a
 * time: a flush, for which writers may be waiting, does not stand behind a long compaction. As long as there is a flush, it
 * gets most of the steps: what compactions put off then is no more in the end, and they are not put off for ever.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { AppendFile } from '../io/disk.ts';
import { nodeCompressions } from '../io/node/compression.ts';
import { NodeDisk } from '../io/node/disk.ts';
import { storedExpiry } from '../kv/stored_expiry.ts';
import { OrderedBuild } from '../lsm/run_builder.ts';
import {
  type BuildMessage,
  type BuildReply,
  END,
  Phase,
  STEPS_WORD,
  sentError,
  type WriterSettings,
} from './messages.ts';

const PARTS = { rule: storedExpiry, compressions: nodeCompressions };
const settings = workerData as WriterSettings;
// Merges read each block once, in order.
const disk = new NodeDisk({ reads: settings.reads, pageCacheBytes: 1024 * 1024 });

/** Of so many turns that a compaction gets beside a flush it uses one. */
const TURNS_PER_STEP = 4;
/** Under way. */
let flushes = 0;

class Work {
  readonly #message: BuildMessage;
  readonly #isFlush: boolean;
  #turns = 0;
  #build: OrderedBuild | null = null;
  #steps: Generator<AppendFile | null, void> | null = null;

  constructor(message: BuildMessage) {
    this.#message = message;
    this.#isFlush = message.order.source.type === 'memtable';
    if (this.#isFlush) flushes++;
    this.#guarded(() => {
      const build = new OrderedBuild(disk, message.order, PARTS);
      this.#build = build;
      this.#steps = build.writer.steps();
      this.#step();
    });
  }

  readonly #step = (): void => {
    this.#guarded(() => {
      if (!this.#isFlush && flushes > 0 && ++this.#turns % TURNS_PER_STEP !== 0) {
        setImmediate(this.#step);
        return;
      }
      const next = this.#steps?.next();
      Atomics.add(this.#message.phase, STEPS_WORD, 1);
      if (next === undefined || next.done === true) {
        const numbers = this.#build?.writer.numbers ?? [];
        this.#end({ id: this.#message.id, type: 'built', numbers });
      } else if (next.value === null) setImmediate(this.#step);
      else this.#sync(next.value);
    });
  };

  #sync(file: AppendFile): void {
    file.sync((error) =>
      this.#guarded(() => {
        if (error !== null) throw error;
        file.close();
        this.#step();
      }),
    );
  }

  /** Does nothing more once the store has said stop; what goes wrong is the store's to know. */
  #guarded(task: () => void): void {
    try {
      if (Atomics.load(this.#message.phase, 0) === Phase.Stopping) this.#end(null);
      else task();
    } catch (error) {
      this.#end({ id: this.#message.id, type: 'failed', error: sentError(error) });
    }
  }

  #end(reply: BuildReply | null): void {
    this.#steps = null;
    if (this.#isFlush) flushes--;
    this.#build?.close();
    Atomics.store(this.#message.phase, 0, Phase.Ended);
    Atomics.notify(this.#message.phase, 0);
    if (reply !== null) parentPort?.postMessage(reply);
  }
}

parentPort?.on('message', (message: BuildMessage | typeof END) => {
  if (message === END) {
    parentPort?.close();
    return;
  }
  const before = Atomics.compareExchange(message.phase, 0, Phase.Waiting, Phase.Begun);
  if (before === Phase.Waiting) new Work(message);
});
