/**
 * What the trials of whole nodes stand on: a few machines with a node each on one simulated network, started, crashed and
 * cut off by the trial. A crash takes what no sync has covered. The first error that a node panics or fails with ends
 * the trial, unless the trial says otherwise (`onFailure`).
 */
import { silentLogger } from '../../src/io/logger.ts';
import type { Address, Network } from '../../src/io/network.ts';
import { Node, type NodeOptions } from '../../src/server/node.ts';
import { SimClock } from '../clock.ts';
import { SimDisk } from '../disk.ts';
import type { Invariants } from '../invariants.ts';
import { SimNetwork } from '../network.ts';
import { SimProcess } from '../process.ts';
import type { SimRandom } from '../random.ts';
import { Scheduler } from '../scheduler.ts';
import { Trace } from '../trace.ts';

export const NODE_PORT = 9000;
const TIMING = { heartbeatMs: 30, electionTimeoutMs: 150 };
const US_PER_MS = 1000;
/**
 * Small: what is made, zeroed and copied at each start and each crash is most of what a group of nodes costs that does
 * little.
 */
const LOG = { segmentBytes: 1 << 14, cacheBytes: 1 << 14 };
const MEMTABLE_BYTES = 1 << 15;

export interface GroupMachine {
  readonly id: number;
  readonly host: string;
  readonly disk: SimDisk;
  readonly process: SimProcess;
  readonly clock: SimClock;
  /** Null: it is down, or starts. */
  node: Node | null;
  /** It was started; it takes part once it has a node. */
  isUp: boolean;
}

export interface NodeGroupOptions {
  readonly random: SimRandom;
  /** Machines, numbered from 1. */
  readonly machines: number;
  /** Of the machines, how many found the group: the first ones. Default: all. */
  readonly founders?: number;
  readonly networkFaults?: ConstructorParameters<typeof SimNetwork>[0]['faults'];
  /** Clocks are off by up to so many millionths, either way. Default: none. */
  readonly driftPpmMax?: number;
  /** What a node is opened with beyond its place and its seams; asked at each start. */
  readonly nodeOptions: (machine: GroupMachine) => Partial<NodeOptions>;
  /** A node failed, panicked or did not open. Default: the trial ends with it. */
  readonly onFailure?: (machine: GroupMachine, error: Error) => void;
  /** A node has opened. */
  readonly onOpen?: (machine: GroupMachine, node: Node) => void;
}

export class NodeGroup {
  readonly scheduler = new Scheduler();
  readonly network: SimNetwork;
  readonly machines: readonly GroupMachine[];
  /** Of the founders. */
  readonly members: readonly Address[];
  readonly #options: NodeGroupOptions;
  #boots = 0;
  #failure: Error | null = null;

  constructor(options: NodeGroupOptions) {
    this.#options = options;
    const { random, machines, founders = machines, networkFaults = {} } = options;
    const { scheduler } = this;
    const trace = new Trace();
    this.network = new SimNetwork({
      scheduler,
      random: random.fork('network'),
      trace,
      faults: networkFaults,
    });
    this.machines = Array.from({ length: machines }, (_none, at) => this.#makeMachine(at + 1, trace));
    this.members = this.machines.slice(0, founders).map(({ host }) => ({ host, port: NODE_PORT }));
  }

  get nowMs(): number {
    return this.scheduler.nowUs / US_PER_MS;
  }

  /** The node that leads in the latest term. */
  get leader(): Node | null {
    let leader: Node | null = null;
    for (const { node } of this.machines) {
      if (node?.replica.isLeader !== true) continue;
      if (leader === null || node.replica.raft.term > leader.replica.raft.term) leader = node;
    }
    return leader;
  }

  /** Of the nodes that are open. */
  get hosts(): string[] {
    return this.machines.filter(({ node }) => node !== null).map(({ host }) => host);
  }

  /** The network as a process outside of the machines sees it. */
  attachOutside(name: string): Network {
    return this.network.attach(new SimProcess(name, this.scheduler), name);
  }

  /** The trial ends with this, at the next `advance`. The first one counts. */
  fail(error: Error): void {
    this.#failure ??= error;
  }

  /** @throws Error what a node has failed with. */
  advance(ms: number): void {
    this.scheduler.runUntil(this.scheduler.nowUs + ms * US_PER_MS);
    if (this.#failure !== null) throw this.#failure;
  }

  /**
   * As `advance`; the nodes that have run are held to the invariants after each event.
   * @param isChecked Which nodes. Default: all.
   */
  advanceChecked(
    ms: number,
    invariants: Invariants,
    isChecked: (machine: GroupMachine) => boolean = () => true,
  ): void {
    const until = this.scheduler.nowUs + ms * US_PER_MS;
    while (this.scheduler.stepUntil(until)) {
      for (const machine of this.machines) {
        const { id, node, process } = machine;
        if (node === null || !process.hasRun) continue;
        process.hasRun = false;
        if (isChecked(machine)) invariants.check(id, node);
      }
      if (this.#failure !== null) throw this.#failure;
    }
  }

  boot(machine: GroupMachine): void {
    machine.isUp = true;
    const { id, disk, process, clock, host } = machine;
    const { random, nodeOptions, onOpen } = this.#options;
    const fail = (error: Error): void => this.#onFailure(machine, error);
    const { store, ...rest } = nodeOptions(machine);
    process.run(() => {
      Node.open(
        {
          id,
          members: this.members,
          directory: '/data',
          disk: disk.attach(process),
          clock,
          network: this.network.attach(process, host),
          random: random.fork(`boot${++this.#boots}`),
          logger: silentLogger,
          timing: TIMING,
          timeouts: { noLeaderMs: 600, answerMs: 1000 },
          log: LOG,
          ...rest,
          store: { memtableBytes: MEMTABLE_BYTES, ...store },
          onFailure: fail,
        },
        (outcome) => {
          if (!outcome.ok) {
            fail(outcome.error);
            return;
          }
          machine.node = outcome.value;
          onOpen?.(machine, outcome.value);
        },
      );
    });
  }

  /** Its machine loses power. Nothing happens when it is down. */
  crash(machine: GroupMachine): void {
    if (!machine.isUp) return;
    this.markDown(machine);
    machine.process.crash();
    machine.disk.crash();
    machine.process.restart();
  }

  /** It has ended by itself. */
  markDown(machine: GroupMachine): void {
    machine.isUp = false;
    machine.node = null;
  }

  /** No other machine reaches it, nor it them, until `network.healAll`. */
  cutOff({ host }: GroupMachine): void {
    for (const other of this.machines) {
      if (other.host === host) continue;
      this.network.block(other.host, host);
      this.network.block(host, other.host);
    }
  }

  #makeMachine(id: number, trace: Trace): GroupMachine {
    const { scheduler } = this;
    const random = this.#options.random.fork(`machine${id}`);
    const process = new SimProcess(`node${id}`, scheduler);
    const disk = new SimDisk({ scheduler, random: random.fork('disk'), trace, faults: {} });
    const { driftPpmMax = 0 } = this.#options;
    const driftPpm = driftPpmMax === 0 ? 0 : random.between(-driftPpmMax, driftPpmMax);
    const clock = new SimClock(scheduler, process, { offsetMs: random.below(10_000), driftPpm });
    const machine = { id, host: `node${id}`, disk, process, clock, node: null, isUp: false };
    process.onPanic = (error) => this.#onFailure(machine, error);
    return machine;
  }

  #onFailure(machine: GroupMachine, error: Error): void {
    const { onFailure } = this.#options;
    if (onFailure === undefined) this.fail(error);
    else onFailure(machine, error);
  }
}
