/** Copies of simulated stores: what is in a store, and how a task of the backup layer runs in a simulated process. */
import { runLength } from '../../sim/run_length.ts';
import { runSteps, type Steps } from '../../src/backup/steps.ts';
import type { Outcome } from '../../src/base/errors.ts';
import { fromUtf8 } from '../../src/codec/bytes.ts';
import { Engine } from '../../src/embedded/engine.ts';
import { userKeyOf, userRange } from '../../src/kv/key_space.ts';
import { decodeStored } from '../../src/kv/stored_value.ts';
import type { EngineRig } from '../embedded/rig.ts';

const US_MAX = 600_000_000;

/** Bucket and key, and the value, of all that is there. */
export function contentsOf(engine: Engine): Record<string, string> {
  const contents: Record<string, string> = {};
  const iterator = engine.iterator(userRange, null);
  while (iterator.next()) {
    const { bucket, key } = userKeyOf(iterator.key());
    contents[`${bucket}/${fromUtf8(key)}`] = fromUtf8(decodeStored(iterator.value()).value);
  }
  iterator.close();
  return contents;
}

/** What a store holds when it is opened; or why it does not open. */
export function contentsIn(rig: EngineRig, directory: string): Record<string, string> | Error {
  const opened = outcomeOf<Engine>(rig, (done) => {
    const { process, clock } = rig;
    const disk = rig.disk.attach(process);
    Engine.open(
      {
        disk,
        directory,
        clock,
        logger: { log: () => {} },
        bufferedMs: 50,
        compressions: [runLength],
        // Some tests look into thousands of stores: the default is more than is collected in time.
        store: { memtableBytes: 1 << 16 },
      },
      done,
    );
  });
  if (opened === null) throw new Error('it does not open');
  if (!opened.ok) return opened.error;
  const contents = contentsOf(opened.value);
  rig.process.run(() => opened.value.close(() => {}));
  rig.pass(1_000_000);
  return contents;
}

/** Null: the process crashed. */
export function outcomeOf<T>(
  rig: EngineRig,
  start: (done: (outcome: Outcome<T>) => void) => void,
): Outcome<T> | null {
  let outcome: Outcome<T> | null = null;
  const { generation } = rig.process;
  rig.process.run(() => {
    start((found) => {
      outcome = found;
    });
  });
  const end = rig.scheduler.nowUs + US_MAX;
  while (outcome === null && rig.process.generation === generation && rig.scheduler.stepUntil(end)) {
    // Until it has ended.
  }
  return rig.process.generation === generation ? outcome : null;
}

/** As `outcomeOf`. */
export function run<T>(rig: EngineRig, steps: () => Steps<T>): Outcome<T> | null {
  return outcomeOf(rig, (done) => runSteps(steps(), rig.clock, () => null, done));
}
