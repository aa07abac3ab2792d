/**
 * Whole nodes whose group changes under crashes, pauses and partitions: an operator adds nodes with empty disks, removes,
 * promotes and transfers, over the wire, while clients write and read. In the end, when all machines run and reach each
 * other, whatever the group has become must serve, and hold all that was acknowledged.
 *
 * Machines are numbered as nodes are: the group gives the next number to each node that is added, and each is added once.
 */
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { silentLogger } from '../../src/io/logger.ts';
import type { Address } from '../../src/io/network.ts';
import { Node, type NodeOptions } from '../../src/server/node.ts';
import { SimClock } from '../clock.ts';
import { SimDisk } from '../disk.ts';
import { Invariants } from '../invariants.ts';
import { SimNetwork } from '../network.ts';
import { SimProcess } from '../process.ts';
import type { SimRandom } from '../random.ts';
import { Scheduler } from '../scheduler.ts';
import { Trace } from '../trace.ts';
import { MemberClient } from './member_client.ts';
import { type Mark, runTrial } from './trial.ts';

const PORT = 9000;
const FOUNDERS = 3;
const TIMING = { heartbeatMs: 30, electionTimeoutMs: 150 };
const US_PER_MS = 1000;
const STORM_MS = 4000;
const CALM_MS = 15_000;
const STEP_MS = 10;
const MAYBES = ['short-append', 'low-probe', 'needless-snapshot', 'slow-install'];

interface Machine {
  readonly id: number;
  readonly host: string;
  readonly disk: SimDisk;
  readonly process: SimProcess;
  readonly clock: SimClock;
  node: Node | null;
  isUp: boolean;
}

/** It takes as long as a run of the whole cluster: in one seed of five. */
export function tryMembersNowAndThen(random: SimRandom, mark?: Mark): string | null {
  return random.chance(200) ? tryMembers(random.fork('trial'), mark) : null;
}

/** What went wrong, or null. */
export function tryMembers(random: SimRandom, mark?: Mark): string | null {
  return runTrial(random, mark, MAYBES, () => new MemberTrial(random).run());
}

class MemberTrial {
  readonly #random: SimRandom;
  readonly #scheduler = new Scheduler();
  readonly #network: SimNetwork;
  readonly #machines: Machine[] = [];
  readonly #members: readonly Address[];
  readonly #invariants: Invariants;
  readonly #clients: MemberClient[] = [];
  readonly #operator: Operator;
  readonly #crashPermille: number;
  readonly #cutPermille: number;
  readonly #flushPermille: number;
  /** How much longer a disk takes than a good one. */
  readonly #slowness: readonly number[];
  /** The machine that is cut off. */
  #cutOff: Machine | null = null;
  #boots = 0;
  #cluster = 0;
  #failure: Error | null = null;

  constructor(random: SimRandom) {
    this.#random = random;
    const count = FOUNDERS + random.between(1, 3);
    this.#crashPermille = random.pick([0, 30, 100]);
    this.#cutPermille = random.pick([0, 30, 100]);
    this.#flushPermille = random.pick([0, 10, 50, 300]);
    this.#slowness = random.pick([[1], [1], [1, 30], [1, 100]]);
    const scheduler = this.#scheduler;
    const trace = new Trace();
    const faults = { longTailPermille: random.pick([0, 5]), longTailUs: { min: 1000, max: 100_000 } };
    this.#network = new SimNetwork({ scheduler, random: random.fork('network'), trace, faults });
    this.#invariants = new Invariants(count);
    for (let id = 1; id <= count; id++) this.#machines.push(this.#makeMachine(id, trace));
    this.#members = this.#machines.slice(0, FOUNDERS).map(({ host }) => ({ host, port: PORT }));
    const outside = this.#network.attach(new SimProcess('clients', scheduler), 'clients');
    for (const key of ['a', 'b']) this.#clients.push(new MemberClient(key, outside, random.fork(key)));
    this.#operator = new Operator(
      this.#network.attach(new SimProcess('operator', scheduler), 'operator'),
      count,
    );
  }

  run(): void {
    for (const machine of this.#machines.slice(0, FOUNDERS)) this.#boot(machine);
    while (this.#nowMs < STORM_MS) {
      this.#advance(STEP_MS);
      for (const client of this.#clients) client.step(this.#nowMs, this.#hosts());
      this.#stroke();
    }
    this.#calm();
    const end = this.#nowMs + CALM_MS;
    const before = this.#clients.map(({ acknowledged }) => acknowledged);
    const isServed = (client: MemberClient, at: number): boolean =>
      client.acknowledged > (before[at] ?? 0) + 2;
    while (!this.#clients.every(isServed) || !this.#isSettled()) {
      if (this.#nowMs > end) throw new Error(`${CALM_MS} ms into the calm: ${this.#describe()}`);
      this.#advance(STEP_MS);
      for (const client of this.#clients) client.step(this.#nowMs, this.#hostsOfMembers());
    }
  }

  get #nowMs(): number {
    return this.#scheduler.nowUs / US_PER_MS;
  }

  #makeMachine(id: number, trace: Trace): Machine {
    const scheduler = this.#scheduler;
    const random = this.#random.fork(`machine${id}`);
    const process = new SimProcess(`node${id}`, scheduler);
    process.onPanic = (error) => {
      this.#failure ??= error;
    };
    const disk = new SimDisk({ scheduler, random: random.fork('disk'), trace, faults: {} });
    disk.setSlowness(random.pick(this.#slowness));
    const clock = new SimClock(scheduler, process, { offsetMs: random.below(10_000), driftPpm: 0 });
    return { id, host: `node${id}`, disk, process, clock, node: null, isUp: false };
  }

  #advance(ms: number): void {
    const until = this.#scheduler.nowUs + ms * US_PER_MS;
    while (this.#scheduler.stepUntil(until)) {
      for (const { id, node, process } of this.#machines) {
        if (node === null || !process.hasRun) continue;
        process.hasRun = false;
        this.#invariants.check(id, node);
      }
      if (this.#failure !== null) throw this.#failure;
    }
    for (const { problem } of this.#clients) if (problem !== null) throw new Error(problem);
  }

  #boot(machine: Machine): void {
    machine.isUp = true;
    const { id, disk, process, clock, host } = machine;
    const place: Pick<NodeOptions, 'members' | 'listen' | 'cluster' | 'identity'> =
      id <= FOUNDERS
        ? { members: this.#members }
        : { members: [], listen: { host, port: PORT }, cluster: this.#cluster, identity: identityOf(id) };
    process.run(() => {
      Node.open(
        {
          id,
          ...place,
          directory: '/data',
          disk: disk.attach(process),
          clock,
          network: this.#network.attach(process, host),
          random: this.#random.fork(`boot${++this.#boots}`),
          logger: silentLogger,
          timing: TIMING,
          timeouts: { noLeaderMs: 600, answerMs: 1000 },
          snapshots: {
            // Who leads may hold what another leader's log does not reach back to.
            logTailEntries: this.#random.pick([2, 8, 60]),
            chunkBytes: 256,
            bytesPerSecondMax: 10_000_000,
          },
          log: { segmentBytes: 64 * 1024 },
          store: { memtableBytes: 16 * 1024 },
          onFailure: (error) => {
            this.#failure ??= error;
          },
        },
        (outcome) => {
          if (!outcome.ok) this.#failure ??= outcome.error;
          else {
            machine.node = outcome.value;
            this.#cluster = Number(outcome.value.status().cluster);
          }
        },
      );
    });
  }

  #stroke(): void {
    const random = this.#random;
    if (random.chance(60)) this.#operate();
    if (random.chance(this.#flushPermille)) random.pick(this.#machines).node?.store.flush(() => {});
    if (random.chance(this.#crashPermille >> 1)) this.#crash(random.pick(this.#machines));
    for (const machine of this.#machines) {
      const isWanted = machine.id <= FOUNDERS || machine.id < this.#operator.nextId;
      if (!machine.isUp && isWanted && random.chance(40)) this.#boot(machine);
    }
    if (!random.chance(this.#cutPermille >> 1)) return;
    if (this.#cutOff !== null) this.#heal();
    else this.#cut(random.pick(this.#machines));
  }

  #operate(): void {
    const random = this.#random;
    const up = this.#hosts();
    if (up.length === 0) return;
    const { nextId } = this.#operator;
    const id = random.between(1, nextId - 1);
    const words = random.pick(['ADD', 'REMOVE', 'REMOVE', 'PROMOTE', 'TRANSFER']);
    this.#operator.ask(random.pick(up), words, id, this.#nowMs);
    // Before or after the group has been told of it.
    const next = this.#machines[nextId - 1];
    if (next !== undefined && !next.isUp && random.chance(300)) this.#boot(next);
  }

  #crash(machine: Machine): void {
    if (!machine.isUp) return;
    machine.isUp = false;
    machine.node = null;
    machine.process.crash();
    machine.disk.crash();
    machine.process.restart();
  }

  #cut(machine: Machine): void {
    this.#cutOff = machine;
    for (const { host } of this.#machines) {
      if (host === machine.host) continue;
      this.#network.block(host, machine.host);
      this.#network.block(machine.host, host);
    }
  }

  #heal(): void {
    this.#cutOff = null;
    this.#network.healAll();
  }

  /** All machines lose their power: who belongs to the group must be found on the disks. */
  #calm(): void {
    this.#heal();
    this.#operator.end();
    if (this.#random.chance(500)) for (const machine of this.#machines) this.#crash(machine);
    for (const machine of this.#machines) if (!machine.isUp) this.#boot(machine);
  }

  #hosts(): string[] {
    return this.#machines.filter(({ node, isUp }) => isUp && node !== null).map(({ host }) => host);
  }

  /** Nobody learns any more, since all are there: whoever was added votes. */
  #isSettled(): boolean {
    const configuration = this.#leader()?.replica.raft.configuration;
    return configuration?.learners.length === 0 && configuration.outgoing.length === 0;
  }

  /** Of those that the leader of the latest term counts as members. */
  #hostsOfMembers(): string[] {
    const voters = this.#leader()?.replica.raft.configuration.voters ?? [];
    return this.#machines
      .filter(({ id, node }) => node !== null && voters.includes(id))
      .map(({ host }) => host);
  }

  #leader(): Node | null {
    let leader: Node | null = null;
    for (const { node } of this.#machines) {
      if (node?.replica.isLeader !== true) continue;
      if (leader === null || node.replica.raft.term > leader.replica.raft.term) leader = node;
    }
    return leader;
  }

  #describe(): string {
    return this.#machines
      .map(({ id, node }) => {
        if (node === null) return `${id} is down`;
        const { voters, outgoing, learners } = node.replica.raft.configuration;
        const { role, term } = node.replica.raft;
        return `${id} is ${role} in term ${term} of ${voters.join(' ')} from ${outgoing.join(' ')} learning ${learners.join(' ')}`;
      })
      .join('; ');
  }
}

/** Asks for one change at a time. A node is asked for until the group has given it its number. */
class Operator {
  /** The number that the next node gets. */
  nextId = FOUNDERS + 1;
  readonly #network: ReturnType<SimNetwork['attach']>;
  readonly #count: number;
  /** The answer of the request that is under way is waited for until then. */
  #untilMs = 0;
  /** An addition whose outcome is not known: nothing else is asked before it is. */
  #isAdding = false;
  #end: () => void = () => {};

  constructor(network: ReturnType<SimNetwork['attach']>, count: number) {
    this.#network = network;
    this.#count = count;
  }

  ask(host: string, verb: string, id: number, nowMs: number): void {
    if (nowMs < this.#untilMs) return;
    this.#end();
    const isAddition = this.#isAdding || verb === 'ADD';
    if (isAddition && this.nextId > this.#count) return;
    const added = this.nextId;
    this.#isAdding = isAddition;
    const line = isAddition ? `ADD node${added}:${PORT} ${identityOf(added)}` : `${verb} ${id}`;
    this.#untilMs = nowMs + 1500;
    let text = '';
    const connection = this.#network.connect(
      { host, port: PORT },
      {
        onData: (bytes) => {
          text += fromUtf8(bytes);
          if (!text.endsWith('\n')) return;
          this.#untilMs = 0;
          if (isAddition && text.startsWith(`:${added}\r`)) this.#onAdded(added);
          else if (isAddition && text.startsWith(':')) {
            throw new Error(`node ${added} was given another number: ${text}`);
          }
        },
        onEnd: () => connection.destroy(),
        onClose: () => {},
      },
    );
    connection.write(utf8(`MEMBER ${line}\r\n`));
    this.#end = () => connection.destroy();
  }

  end(): void {
    this.#end();
  }

  #onAdded(id: number): void {
    this.#isAdding = false;
    this.nextId = Math.max(this.nextId, id + 1);
  }
}

function identityOf(id: number): number {
  return 1000 + id;
}
