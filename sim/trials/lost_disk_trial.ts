/**
 * Three whole nodes, one of which comes back with an empty disk under its old number, as an operator might start it by
 * mistake, while the others crash and are cut off. It must be turned away, told so, and count for nothing: what was
 * acknowledged stays, and the two others go on. Or it has lost term and vote alone: then it must not start, however often
 * that is tried, and whenever power fails meanwhile.
 */
import type { NodeOptions } from '../../src/server/node.ts';
import { Invariants } from '../invariants.ts';
import type { SimRandom } from '../random.ts';
import { MemberClient } from './member_client.ts';
import { type GroupMachine, NodeGroup } from './node_group.ts';
import { type Mark, runTrial } from './trial.ts';

const NODES = 3;
/** By then all have met each other. */
const ACQUAINTED_MS = 900;
const STORM_MS = 2000;
const CALM_MS = 15_000;
const STEP_MS = 10;
const VOTES_ALONE_PERMILLE = 400;
/** What a node says of itself when a leader knows entries of it that it has not. */
const HEARD_OF_ENTRIES = 'but its log ends at';
/** To be longer than a start takes. */
const START_MS = 200;

/** What went wrong, or null. */
export function tryLostDisk(random: SimRandom, mark?: Mark): string | null {
  return runTrial(random, mark, [], () => new LostDiskTrial(random).run());
}

class LostDiskTrial {
  readonly #random: SimRandom;
  readonly #group: NodeGroup;
  readonly #invariants = new Invariants(NODES);
  readonly #client: MemberClient;
  readonly #lostAtMs: number;
  readonly #losesVotesAlone: boolean;
  /** The one whose disk was lost; null: not yet. */
  #lost: GroupMachine | null = null;
  /** Why it has stopped. */
  #refusal: string | null = null;

  constructor(random: SimRandom) {
    this.#random = random;
    this.#group = new NodeGroup({
      random,
      machines: NODES,
      nodeOptions: (machine) => this.#nodeOptions(machine),
      onFailure: (machine, error) => this.#onFailure(machine, error),
    });
    this.#client = new MemberClient('a', this.#group.attachOutside('client'), random.fork('client'));
    this.#losesVotesAlone = random.fork('what is lost').chance(VOTES_ALONE_PERMILLE);
    this.#lostAtMs = random.between(ACQUAINTED_MS, STORM_MS - 300);
  }

  run(): void {
    const group = this.#group;
    for (const machine of group.machines) group.boot(machine);
    while (group.nowMs < STORM_MS) {
      this.#advance();
      if (group.nowMs > ACQUAINTED_MS) this.#stroke();
      if (this.#lost === null && group.nowMs >= this.#lostAtMs) this.#lose(this.#random.pick(group.machines));
    }
    group.network.healAll();
    for (const machine of group.machines) this.#bootIfDown(machine);
    const end = group.nowMs + CALM_MS;
    const before = this.#client.acknowledged;
    while (this.#client.acknowledged <= before + 2 || this.#refusal === null) {
      if (this.#refusal === null) for (const machine of group.machines) this.#bootIfDown(machine);
      if (group.nowMs > end) throw new Error(`${CALM_MS} ms into the calm: ${this.#describe()}`);
      this.#advance();
    }
    for (const machine of group.machines) this.#bootIfDown(machine);
    for (const until = group.nowMs + START_MS; group.nowMs < until; ) this.#advance();
  }

  #nodeOptions(machine: GroupMachine): Partial<NodeOptions> {
    // Drawn anew with each directory.
    return { identity: this.#lost === machine && !this.#losesVotesAlone ? 100 + machine.id : machine.id };
  }

  #onFailure(machine: GroupMachine, error: Error): void {
    const isRefused = error.message.includes(
      this.#losesVotesAlone ? 'could vote twice' : 'the group refuses this node',
    );
    if (machine === this.#lost && error.message.includes(HEARD_OF_ENTRIES)) {
      // The leader's words have come before its refusal: it is to be refused all the same.
      this.#group.markDown(machine);
    } else if (machine === this.#lost && isRefused) {
      this.#refusal = error.message;
      this.#group.markDown(machine);
    } else this.#group.fail(error);
  }

  #advance(): void {
    // What it had shown is gone with its disk: the others are held to that.
    this.#group.advanceChecked(STEP_MS, this.#invariants, (machine) => machine !== this.#lost);
    if (this.#lost?.node?.replica.isLeader === true) {
      throw new Error(`node ${this.#lost.id} leads, although its disk was lost`);
    }
    if (this.#losesVotesAlone && this.#lost !== null && this.#lost.node !== null)
      throw new Error(`node ${this.#lost.id} has started, although its term and vote were lost`);
    const others = this.#group.machines.filter((machine) => machine.node !== null && machine !== this.#lost);
    const hosts = others.map(({ host }) => host);
    this.#client.step(this.#group.nowMs, hosts);
    if (this.#client.problem !== null) throw new Error(this.#client.problem);
  }

  /** Unless it was turned away. */
  #bootIfDown(machine: GroupMachine): void {
    const isRefused = machine === this.#lost && this.#refusal !== null && !this.#losesVotesAlone;
    if (!machine.isUp && !isRefused) this.#group.boot(machine);
  }

  #stroke(): void {
    const random = this.#random;
    const group = this.#group;
    if (random.chance(30)) group.crash(random.pick(group.machines));
    if (random.chance(20)) group.cutOff(random.pick(group.machines));
    if (random.chance(20)) group.network.healAll();
    for (const machine of group.machines) if (random.chance(60)) this.#bootIfDown(machine);
  }

  #lose(machine: GroupMachine): void {
    const { machines } = this.#group;
    // What the others know of it must not be in their memory only.
    if (this.#random.chance(700)) for (const other of machines) this.#group.crash(other);
    this.#group.crash(machine);
    if (this.#losesVotesAlone)
      for (const copy of ['vote-a', 'vote-b']) machine.disk.loseName(`/data/${copy}`);
    else machine.disk.wipe();
    this.#lost = machine;
    this.#group.boot(machine);
  }

  #describe(): string {
    const nodes = this.#group.machines.map((machine) => {
      const { id, node } = machine;
      const why = machine === this.#lost && this.#refusal !== null ? `: ${this.#refusal}` : '';
      if (node === null) return `${id} is down${why}`;
      return `${id} is ${node.replica.raft.role} in term ${node.replica.raft.term}`;
    });
    return `${this.#client.acknowledged} writes acknowledged; ${nodes.join('; ')}`;
  }
}
