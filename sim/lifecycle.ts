/**
 * How nodes come and go: the process of a machine is started, stopped in order, killed, or ends with the machine's power;
 * or a node gives up, which it may where its disk has given it reason to.
 */

import type { LogFields, Logger, LogLevel } from '../src/io/logger.ts';
import type { Address } from '../src/io/network.ts';
import { DEFAULT_FLOW } from '../src/raft/flow.ts';
import { Node } from '../src/server/node.ts';
import type { Machine } from './machine.ts';
import type { Settings } from './power_cut.ts';
import type { PowerCutWatch } from './power_cut_watch.ts';
import { SimCrash } from './process.ts';
import type { Probe } from './report/probe.ts';
import type { World } from './world.ts';

const DATA = '/data';
/** Of a window after which replicas compare what they have applied. */
const DIGEST_WINDOW_ENTRIES = 8;

export interface LifecycleParts {
  readonly powerCuts: PowerCutWatch;
  readonly founders: readonly Address[];
  /** Null: nobody is told. */
  readonly probe: Probe | null;
  readonly onLine: ((line: string) => void) | null;
}

export class Lifecycle {
  readonly #world: World;
  readonly #parts: LifecycleParts;
  #incarnations = 0;

  constructor(world: World, parts: LifecycleParts) {
    this.#world = world;
    this.#parts = parts;
  }

  /** Starts the node of a machine whose process is not running. */
  boot(machine: Machine): void {
    if (!this.#world.atlas.mayStart(machine.id)) {
      this.#world.atlas.onEnded(machine.id);
      return;
    }
    this.#world.note('boot', machine.id);
    this.#world.members.want(machine.id);
    machine.process.restart();
    machine.process.run(() => this.#open(machine));
    this.#world.onBoot(machine.id);
  }

  /** Ends a machine's process at once; what its disk had not synced may be lost. */
  crash(machine: Machine): void {
    this.#world.note('crash', machine.id);
    this.#world.crashes++;
    machine.node = null;
    machine.process.crash();
    machine.disk.crash();
    this.#world.atlas.onEnded(machine.id);
  }

  /** Ends the process alone. */
  kill(machine: Machine): void {
    this.#world.note('kill', machine.id);
    this.#world.crashes++;
    machine.node = null;
    machine.process.crash();
    this.#world.atlas.onEnded(machine.id);
  }

  /** As an operator does it; the process ends by itself, a little later. */
  stopInOrder(machine: Machine): void {
    const { node, process } = machine;
    if (node === null || !process.alive || process.paused) return;
    process.run(() =>
      node.stop((error) => {
        if (error !== null) this.onNodeError(machine, 'stop', 'did not stop in order', error);
        // Not from inside of its own callback.
        this.#world.scheduler.soon(
          process.guard(() => this.#world.scheduler.soon(() => this.#exit(machine, node))),
        );
      }),
    );
  }

  #open(machine: Machine): void {
    const { process, id } = machine;
    Node.open(
      {
        ...this.settings(id),
        disk: machine.disk.attach(process),
        clock: machine.clock,
        network: this.#parts.powerCuts.watch(machine, this.#world.network.attach(process, machine.host)),
        random: this.#world.random.fork(`node${id}.${++this.#incarnations}`),
        logger: this.#logger(id),
        onFailure: (error) => this.onNodeError(machine, 'node failure', 'stopped', error),
      },
      (outcome) => {
        if (!outcome.ok) {
          this.onNodeError(machine, 'recovery', 'did not start', outcome.error);
          return;
        }
        machine.node = outcome.value;
        this.checkTables(machine);
        this.#parts.probe?.onUp(id);
        this.#parts.powerCuts.consider(machine);
        this.#parts.powerCuts.considerLater(machine);
      },
    );
  }

  /** Other replicas mend what a disk has damaged: what a node itself has got wrong must not pass for that. */
  checkTables({ id, node }: Machine): void {
    const [table] = node?.store.quarantined ?? [];
    if (table === undefined || this.#world.atlas.isInjured(id)) return;
    this.#world.fail('tables', `nothing has harmed ${table.path} of node ${id}: ${table.damage?.message}`);
  }

  settings(id: number): Settings {
    const { timing, tuning } = this.#world.options;
    return {
      id,
      ...this.#world.members.placeOf(id, this.#parts.founders),
      directory: DATA,
      timing,
      flow: { ...DEFAULT_FLOW, ...tuning.flow },
      snapshots: tuning.snapshots,
      clockDriftPpmMax: tuning.clockDriftPpmMax,
      digestWindowEntries: DIGEST_WINDOW_ENTRIES,
      timeouts: { noLeaderMs: tuning.noLeaderMs, answerMs: tuning.answerMs },
      log: { segmentBytes: tuning.segmentBytes, cacheBytes: tuning.cacheBytes },
      store: {
        memtableBytes: tuning.memtableBytes,
        blockBytes: tuning.blockBytes,
        mergeAtTables: tuning.mergeAtTables,
        tableBytes: tuning.memtableBytes,
        levelBytes: 2 * tuning.memtableBytes,
        levelGrowth: 3,
        immutableMemtablesMax: tuning.immutableMemtablesMax,
        stepBytes: tuning.stepBytes,
        scrubBytesPerSecond: tuning.scrubBytesPerSecond,
      },
    };
  }

  /** What a start has not read yet it would take for what was always there: nobody could start this machine again. */
  endUnknowing(machine: Machine): void {
    const { id, process } = machine;
    if (machine.node !== null || !process.alive || this.#world.atlas.mayStart(id)) return;
    const { generation } = process;
    this.#world.scheduler.soon(() => {
      if (process.generation === generation && process.alive) this.kill(machine);
    });
  }

  #exit(machine: Machine, node: Node): void {
    if (machine.node !== node) return;
    this.#world.note('exit', machine.id);
    machine.node = null;
    machine.process.crash();
    this.#world.atlas.onEnded(machine.id);
  }

  /** A node gives up. Where its disk gave it reason to, its process ends; else that is a failure of the run. */
  onNodeError(machine: Machine, check: string, what: string, error: Error): void {
    // The process has just crashed inside an operation; production code may well catch what unwinds it.
    if (error instanceof SimCrash) return;
    const { id, process } = machine;
    const verdict = this.#world.atlas.onStopped(id, error);
    if (!verdict.right) {
      this.#world.fail(check, `node ${id} ${what}, though ${verdict.why}: ${error.stack ?? error.message}`);
      return;
    }
    this.#world.note('gives-up', id);
    const { generation } = process;
    this.#world.scheduler.soon(() => {
      if (process.generation === generation && process.alive) this.kill(machine);
    });
  }

  #logger(id: number): Logger {
    const onLine = this.#parts.onLine;
    const probe = this.#parts.probe;
    return {
      log: (level: LogLevel, event: string, fields: LogFields = {}) => {
        // No disk that rots may bring that about.
        if (event === 'state-diverged')
          this.#world.fail('divergence', `node ${id}: ${JSON.stringify(fields)}`);
        probe?.onLog(id, level, event, fields);
        onLine?.(
          `${(this.#world.scheduler.nowUs / 1000).toFixed(3)} node${id} ${level} ${event} ${JSON.stringify(fields)}`,
        );
      },
    };
  }
}
