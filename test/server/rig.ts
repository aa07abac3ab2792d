/** Nodes over simulated seams, in virtual time, and a client that sends bytes and collects what comes back. */
import { SimClock } from '../../sim/clock.ts';
import { SimDisk } from '../../sim/disk.ts';
import { SimNetwork } from '../../sim/network.ts';
import { SimProcess } from '../../sim/process.ts';
import { SimRandom } from '../../sim/random.ts';
import { Scheduler } from '../../sim/scheduler.ts';
import { Trace } from '../../sim/trace.ts';
import { concatBytes, fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { silentLogger } from '../../src/io/logger.ts';
import type { Address, Connection, Network } from '../../src/io/network.ts';
import { Node, type NodeOptions } from '../../src/server/node.ts';

const PORT = 9000;

export interface TestMachine {
  readonly id: number;
  readonly disk: SimDisk;
  readonly process: SimProcess;
  node: Node | null;
  failure: Error | null;
}

export class ServerRig {
  readonly scheduler = new Scheduler();
  readonly machines: TestMachine[] = [];
  readonly network: SimNetwork;
  readonly #random: SimRandom;
  readonly #trace: Trace;
  readonly #members: Address[];
  readonly #options: Partial<NodeOptions>;
  readonly #client: Network;
  readonly #clockOffsetsMs: readonly number[];
  #boots = 0;

  /** @param clockOffsetsMs By how much each node's clock is ahead; 0 where left out. */
  constructor(nodes: number, options: Partial<NodeOptions> = {}, clockOffsetsMs: readonly number[] = []) {
    const { scheduler } = this;
    const trace = new Trace();
    this.#options = options;
    this.#clockOffsetsMs = clockOffsetsMs;
    this.#random = new SimRandom('server');
    this.network = new SimNetwork({ scheduler, random: this.#random.fork('network'), trace, faults: {} });
    this.#client = this.network.attach(new SimProcess('client', scheduler), 'client');
    this.#trace = trace;
    this.#members = Array.from({ length: nodes }, (_node, at) => ({ host: `node${at + 1}`, port: PORT }));
    for (let id = 1; id <= nodes; id++) this.#addMachine(id);
    for (const machine of this.machines) this.boot(machine.id);
  }

  #addMachine(id: number): void {
    const { scheduler } = this;
    const random = this.#random.fork(`disk${id}`);
    const disk = new SimDisk({ scheduler, random, trace: this.#trace, faults: { poisonViews: true } });
    const process = new SimProcess(`node${id}`, scheduler);
    this.machines.push({ id, disk, process, node: null, failure: null });
  }

  /** Starts a new node with an empty disk, which the group has been told of as `node<id>` with this identity. */
  join(identity: number): void {
    const id = this.machines.length + 1;
    this.#addMachine(id);
    this.boot(id, identity);
  }

  machine(id: number): TestMachine {
    const machine = this.machines[id - 1];
    if (machine === undefined) throw new Error(`no machine ${id}`);
    return machine;
  }

  /** @param identity Of the data directory. */
  boot(id: number, identity = id): void {
    this.bootWith(id, {}, identity);
  }

  /** As `boot`, with options of its own. */
  bootWith(id: number, options: Partial<NodeOptions>, identity = id): void {
    const machine = this.machine(id);
    const { process, disk } = machine;
    machine.failure = null;
    Node.open(
      {
        id,
        ...this.#membershipOf(id, identity),
        directory: '/data',
        disk: disk.attach(process),
        clock: new SimClock(this.scheduler, process, {
          offsetMs: this.#clockOffsetsMs[id - 1] ?? 0,
          driftPpm: 0,
        }),
        network: this.network.attach(process, `node${id}`),
        random: this.#random.fork(`boot${++this.#boots}`),
        logger: silentLogger,
        onFailure: (error) => {
          machine.failure = error;
        },
        ...this.#options,
        ...options,
      },
      (outcome) => {
        if (outcome.ok) machine.node = outcome.value;
        else machine.failure = outcome.error;
      },
    );
  }

  #membershipOf(
    id: number,
    identity: number,
  ): Pick<NodeOptions, 'members' | 'listen' | 'cluster' | 'identity'> {
    if (id <= this.#members.length) return { members: this.#members, identity };
    const cluster = Number(this.machine(1).node?.status().cluster);
    return { members: [], listen: { host: `node${id}`, port: PORT }, cluster, identity };
  }

  crash(id: number): void {
    const machine = this.machine(id);
    machine.node = null;
    machine.process.crash();
    machine.disk.crash();
    machine.process.restart();
  }

  /** Its process ends; the machine goes on, and what was written is there. */
  kill(id: number): void {
    const machine = this.machine(id);
    machine.node = null;
    machine.process.crash();
    machine.process.restart();
  }

  run(ms: number): void {
    this.scheduler.runUntil(this.scheduler.nowUs + ms * 1000);
  }

  leader(): number {
    for (let waited = 0; waited < 100; waited++) {
      const leader = this.machines.find(({ node }) => node?.replica.isLeader === true);
      if (leader !== undefined) return leader.id;
      this.run(100);
    }
    throw new Error('no leader');
  }

  connect(id: number): TestClient {
    return new TestClient(this, this.#client, { host: `node${id}`, port: PORT });
  }
}

export class TestClient {
  readonly #rig: ServerRig;
  readonly #connection: Connection;
  #received: Uint8Array[] = [];
  /** It was let in. */
  isOpened = false;
  isClosed = false;

  constructor(rig: ServerRig, network: Network, address: { host: string; port: number }) {
    this.#rig = rig;
    this.#connection = network.connect(address, {
      onOpen: () => {
        this.isOpened = true;
      },
      onData: (bytes) => {
        this.#received.push(bytes.slice());
      },
      onEnd: () => {
        this.isClosed = true;
      },
      onClose: () => {
        this.isClosed = true;
      },
    });
  }

  send(bytes: string | Uint8Array): void {
    this.#connection.write(typeof bytes === 'string' ? utf8(bytes) : bytes);
  }

  /** Sends, lets time pass, and returns what has come back since. */
  ask(bytes: string | Uint8Array, ms = 500): string {
    this.send(bytes);
    this.#rig.run(ms);
    return this.take();
  }

  take(): string {
    const text = fromUtf8(concatBytes(this.#received));
    this.#received = [];
    return text;
  }

  end(): void {
    this.#connection.close();
  }
}
