/**
 * What if the power failed now? A node makes promises (a vote, an acknowledged entry, a table in place of a part of the
 * log) on the strength of what it believes to be durable. Here that belief is tested without disturbing the run: what
 * the worst crash would leave on the machine's disk is copied, the production code recovers from the copy in a little
 * world of its own, and what it finds must not be less than the node believes.
 *
 * A crash in the run itself finds such a bug only when what was lost is missed later; this finds it at the spot.
 */
import { Node, type NodeOptions } from '../src/server/node.ts';
import { SimClock } from './clock.ts';
import type { SimDisk } from './disk.ts';
import { SimNetwork } from './network.ts';
import { SimProcess } from './process.ts';
import { SimRandom } from './random.ts';
import { Scheduler } from './scheduler.ts';
import { Trace } from './trace.ts';

/** Virtual time that recovery may take. */
const RECOVERY_US = 60_000_000;

/** What of a node's options is not of the machine that it runs on. */
export type Settings = Omit<NodeOptions, 'disk' | 'clock' | 'network' | 'random' | 'logger' | 'onFailure'>;

/** What a node would have lost, had the power failed now; null: nothing that it believes to be durable. */
export function lossAtPowerCut(node: Node, disk: SimDisk, settings: Settings): string | null {
  const world = new AfterCut(disk, settings);
  try {
    return lossBetween(node, world.recover());
  } finally {
    world.end();
  }
}

function lossBetween(node: Node, found: Node | Error): string | null {
  if (found instanceof Error) return `it would not start: ${found.stack ?? found.message}`;
  const { term, vote } = node.hardState.durable;
  const kept = found.hardState.initial;
  if (kept.term < term || (kept.term === term && vote !== null && kept.vote !== vote)) {
    return `its term ${term} and vote ${vote} are durable, it says; term ${kept.term} and vote ${kept.vote} are`;
  }
  const { durableIndex } = node.groupLog;
  const { lastIndex } = found.groupLog;
  if (lastIndex < durableIndex) {
    return `its log is durable up to ${durableIndex}, it says; it ends at ${lastIndex}`;
  }
  const first = Math.max(node.groupLog.firstIndex, found.groupLog.firstIndex);
  for (let index = first; index <= durableIndex; index++) {
    const [believed, real] = [node.groupLog.termAt(index), found.groupLog.termAt(index)];
    if (believed !== real) {
      return `entry ${index} of term ${believed} is durable, it says; there is one of term ${real}`;
    }
  }
  const [damaged] = found.store.quarantined;
  if (damaged !== undefined) return `a table of its would be damaged: ${damaged.damage?.message}`;
  if (found.store.flushedIndex < node.store.flushedIndex) {
    return `its tables cover ${node.store.flushedIndex} entries, it says; they cover ${found.store.flushedIndex}`;
  }
  return null;
}

/** A world of one machine, with the disk that is left, in which nothing else happens. */
class AfterCut {
  readonly #scheduler = new Scheduler();
  readonly #process: SimProcess;
  readonly #options: NodeOptions;
  #failure: Error | null = null;

  constructor(disk: SimDisk, settings: Settings) {
    const scheduler = this.#scheduler;
    const random = new SimRandom('after the power cut');
    const trace = new Trace();
    const syncUs = { min: 100, max: 100 };
    const left = disk.survivor({ scheduler, random, trace, faults: { syncUs } });
    const network = new SimNetwork({ scheduler, random, trace, faults: {} });
    const process = new SimProcess('survivor', scheduler);
    process.onPanic = (error) => {
      this.#failure = error;
    };
    this.#process = process;
    this.#options = {
      ...settings,
      disk: left.attach(process),
      clock: new SimClock(scheduler, process, { offsetMs: 0, driftPpm: 0 }),
      network: network.attach(process, (settings.listen ?? settings.members[settings.id - 1])?.host ?? ''),
      random,
      logger: { log: () => {} },
      onFailure: (error) => {
        this.#failure = error;
      },
    };
  }

  recover(): Node | Error {
    let found: Node | Error | null = null;
    this.#process.run(() =>
      Node.open(this.#options, (outcome) => {
        found = outcome.ok ? outcome.value : outcome.error;
      }),
    );
    while (found === null && this.#failure === null && this.#scheduler.stepUntil(RECOVERY_US)) {
      // Until the node says that it is open.
    }
    return this.#failure ?? found ?? new Error('it did not come to an end of its recovery');
  }

  end(): void {
    this.#process.crash();
  }
}
