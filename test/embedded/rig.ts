/** An engine over a simulated disk, for tests that crash it. */
import { SimClock } from '../../sim/clock.ts';
import { type CrashShapes, SimDisk } from '../../sim/disk.ts';
import { SimProcess } from '../../sim/process.ts';
import { SimRandom } from '../../sim/random.ts';
import { Scheduler } from '../../sim/scheduler.ts';
import { Trace } from '../../sim/trace.ts';
import { Engine, type EngineOptions } from '../../src/embedded/engine.ts';

const OPENING_US = 60_000_000;

export class EngineRig {
  readonly scheduler = new Scheduler();
  readonly disk: SimDisk;
  readonly process: SimProcess;
  readonly clock: SimClock;
  readonly #tuning: Partial<EngineOptions>;

  constructor(seed: string, tuning: Partial<EngineOptions> = {}) {
    const { scheduler } = this;
    const random = new SimRandom(seed);
    const faults = { syncUs: { min: 100, max: 2000 } };
    this.disk = new SimDisk({ scheduler, random, trace: new Trace(), faults });
    this.process = new SimProcess('embedded', scheduler);
    this.clock = new SimClock(scheduler, this.process, { offsetMs: 0, driftPpm: 0 });
    this.#tuning = tuning;
  }

  /** The engine, or why it does not open. */
  open(): Engine | Error {
    let opened: Engine | Error | null = null;
    const options: EngineOptions = {
      disk: this.disk.attach(this.process),
      directory: '/db',
      clock: this.clock,
      logger: { log: () => {} },
      bufferedMs: 50,
      ...this.#tuning,
    };
    this.process.run(() =>
      Engine.open(options, (outcome) => {
        opened = outcome.ok ? outcome.value : outcome.error;
      }),
    );
    const end = this.scheduler.nowUs + OPENING_US;
    while (opened === null && this.scheduler.stepUntil(end)) {
      // Until it is open.
    }
    return opened ?? new Error('it does not open');
  }

  mustOpen(): Engine {
    const opened = this.open();
    if (opened instanceof Error) throw opened;
    return opened;
  }

  /** Lets this much time pass. */
  pass(us: number): void {
    this.scheduler.runUntil(this.scheduler.nowUs + us);
  }

  /** The machine loses its power and is started again. */
  crash(shapes: CrashShapes = {}): void {
    this.process.crash();
    this.disk.crash(shapes);
    this.disk.heal();
    this.process.restart();
  }
}
