/**
 * Whole nodes whose group changes under crashes, pauses and partitions: an operator adds nodes with empty disks, removes,
 * promotes and transfers, over the wire, while clients write and read. In the end, when all machines run and reach each
 * other, whatever the group has become must serve, and hold all that was acknowledged.
 *
 * Machines are numbered as nodes are: the group gives the next number to each node that is added, and each is added once.
 */
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import type { Network } from '../../src/io/network.ts';
import type { NodeOptions } from '../../src/server/node.ts';
import { Invariants } from '../invariants.ts';
import type { SimRandom } from '../random.ts';
import { MemberClient } from './member_client.ts';
import { type GroupMachine, NODE_PORT, NodeGroup } from './node_group.ts';
import { type Mark, runTrial } from './trial.ts';

const FOUNDERS = 3;
const STORM_MS = 4000;
const CALM_MS = 15_000;
const STEP_MS = 10;
const MAYBES = ['short-append', 'low-probe', 'needless-snapshot', 'slow-install'];

/** What went wrong, or null. */
export function tryMembers(random: SimRandom, mark?: Mark): string | null {
  return runTrial(random, mark, MAYBES, () => new MemberTrial(random).run());
}

class MemberTrial {
  readonly #random: SimRandom;
  readonly #group: NodeGroup;
  readonly #invariants: Invariants;
  readonly #clients: MemberClient[] = [];
  readonly #operator: Operator;
  readonly #crashPermille: number;
  readonly #cutPermille: number;
  readonly #flushPermille: number;
  /** The machine that is cut off. */
  #cutOff: GroupMachine | null = null;
  #cluster = 0;

  constructor(random: SimRandom) {
    this.#random = random;
    const count = FOUNDERS + random.between(1, 3);
    this.#crashPermille = random.pick([0, 30, 100]);
    this.#cutPermille = random.pick([0, 30, 100]);
    this.#flushPermille = random.pick([0, 10, 50, 300]);
    this.#group = new NodeGroup({
      random,
      machines: count,
      founders: FOUNDERS,
      networkFaults: { longTailPermille: random.pick([0, 5]), longTailUs: { min: 1000, max: 100_000 } },
      nodeOptions: (machine) => this.#nodeOptions(machine),
      onOpen: (_machine, node) => {
        this.#cluster = Number(node.status().cluster);
      },
    });
    // How much longer a disk takes than a good one.
    const slowness = random.pick([[1], [1], [1, 30], [1, 100]]);
    for (const { disk } of this.#group.machines) disk.setSlowness(random.pick(slowness));
    this.#invariants = new Invariants(count);
    const outside = this.#group.attachOutside('clients');
    for (const key of ['a', 'b']) this.#clients.push(new MemberClient(key, outside, random.fork(key)));
    this.#operator = new Operator(this.#group.attachOutside('operator'), count);
  }

  run(): void {
    for (const machine of this.#group.machines.slice(0, FOUNDERS)) this.#group.boot(machine);
    while (this.#group.nowMs < STORM_MS) {
      this.#advance(STEP_MS);
      for (const client of this.#clients) client.step(this.#group.nowMs, this.#group.hosts);
      this.#stroke();
    }
    this.#calm();
    const end = this.#group.nowMs + CALM_MS;
    const before = this.#clients.map(({ acknowledged }) => acknowledged);
    const isServed = (client: MemberClient, at: number): boolean =>
      client.acknowledged > (before[at] ?? 0) + 2;
    while (!this.#clients.every(isServed) || !this.#isSettled()) {
      if (this.#group.nowMs > end) throw new Error(`${CALM_MS} ms into the calm: ${this.#describe()}`);
      this.#advance(STEP_MS);
      for (const client of this.#clients) client.step(this.#group.nowMs, this.#hostsOfMembers());
    }
  }

  #advance(ms: number): void {
    this.#group.advanceChecked(ms, this.#invariants);
    for (const { problem } of this.#clients) if (problem !== null) throw new Error(problem);
  }

  #nodeOptions({ id, host }: GroupMachine): Partial<NodeOptions> {
    const newcomer = { members: [], listen: { host, port: NODE_PORT }, cluster: this.#cluster };
    return {
      ...(id <= FOUNDERS ? {} : { ...newcomer, identity: identityOf(id) }),
      snapshots: {
        // Who leads may hold what another leader's log does not reach back to.
        logTailEntries: this.#random.pick([2, 8, 60]),
        chunkBytes: 256,
        bytesPerSecondMax: 10_000_000,
      },
      log: { segmentBytes: 64 * 1024 },
      store: { memtableBytes: 16 * 1024 },
    };
  }

  #stroke(): void {
    const random = this.#random;
    if (random.chance(60)) this.#operate();
    if (random.chance(this.#flushPermille)) random.pick(this.#group.machines).node?.store.flush(() => {});
    if (random.chance(this.#crashPermille >> 1)) this.#group.crash(random.pick(this.#group.machines));
    for (const machine of this.#group.machines) {
      const isWanted = machine.id <= FOUNDERS || machine.id < this.#operator.nextId;
      if (!machine.isUp && isWanted && random.chance(40)) this.#group.boot(machine);
    }
    if (!random.chance(this.#cutPermille >> 1)) return;
    if (this.#cutOff !== null) this.#heal();
    else this.#cut(random.pick(this.#group.machines));
  }

  #operate(): void {
    const random = this.#random;
    const up = this.#group.hosts;
    if (up.length === 0) return;
    const { nextId } = this.#operator;
    const id = random.between(1, nextId - 1);
    const words = random.pick(['ADD', 'REMOVE', 'REMOVE', 'PROMOTE', 'TRANSFER']);
    this.#operator.ask(random.pick(up), words, id, this.#group.nowMs);
    // Before or after the group has been told of it.
    const next = this.#group.machines[nextId - 1];
    if (next !== undefined && !next.isUp && random.chance(300)) this.#group.boot(next);
  }

  #cut(machine: GroupMachine): void {
    this.#cutOff = machine;
    this.#group.cutOff(machine);
  }

  #heal(): void {
    this.#cutOff = null;
    this.#group.network.healAll();
  }

  /** All machines lose their power: who belongs to the group must be found on the disks. */
  #calm(): void {
    this.#heal();
    this.#operator.end();
    if (this.#random.chance(500)) for (const machine of this.#group.machines) this.#group.crash(machine);
    for (const machine of this.#group.machines) if (!machine.isUp) this.#group.boot(machine);
  }

  /** Nobody learns any more, since all are there: whoever was added votes. */
  #isSettled(): boolean {
    const configuration = this.#group.leader?.replica.raft.configuration;
    return configuration?.learners.length === 0 && configuration.outgoing.length === 0;
  }

  /** Of those that the leader of the latest term counts as members. */
  #hostsOfMembers(): string[] {
    const voters = this.#group.leader?.replica.raft.configuration.voters ?? [];
    return this.#group.machines
      .filter(({ id, node }) => node !== null && voters.includes(id))
      .map(({ host }) => host);
  }

  #describe(): string {
    return this.#group.machines
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
  readonly #network: Network;
  readonly #count: number;
  /** The answer of the request that is under way is waited for until then. */
  #untilMs = 0;
  /** An addition whose outcome is not known: nothing else is asked before it is. */
  #isAdding = false;
  #end: () => void = () => {};

  constructor(network: Network, count: number) {
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
    const line = isAddition ? `ADD node${added}:${NODE_PORT} ${identityOf(added)}` : `${verb} ${id}`;
    this.#untilMs = nowMs + 1500;
    let text = '';
    const connection = this.#network.connect(
      { host, port: NODE_PORT },
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
