/**
 * Who belongs to the group of a world, and how an operator changes that: a spare machine is added (it learns, and votes
 * once it has caught up), a member is removed, a node whose disk is lost gives its place to a spare.
 *
 * Machines are numbered as nodes are: first the founders, then the spares, each of which is added once. A group gives the
 * next number to whoever is added, so a spare is asked for only when it is certain that the one before has its number.
 *
 * What comes of a request may be unknown for ever, and a request may take effect long after the operator has given it up.
 * So what is known here is only what can't be taken back: what the logs say is committed. A change is asked for when the
 * atlas allows it for whatever may have become of those before (`Atlas.allowsRemoval`). The stroke itself decides that,
 * so a part of a schedule is as sound as the whole.
 */
import { sometimes } from '../src/base/rare.ts';
import type { Address } from '../src/io/network.ts';
import { type Configuration, foundingConfiguration, isJoint, memberOf } from '../src/raft/configuration.ts';
import type { NodeOptions } from '../src/server/node.ts';
import type { SimRandom } from './random.ts';
import { hostOf, type StrokeAction } from './strokes.ts';
import type { World } from './world.ts';

export type MemberChange = 'add' | 'remove';

export type MemberStroke = StrokeAction & { readonly kind: 'member' };

type Place = Pick<NodeOptions, 'members' | 'listen' | 'cluster' | 'identity'>;

export const PORT = 9000;
/** Of a thousand, in how many steps the last spare is added although no disk has been lost. */
const KEPT_PERMILLE = 60;
/** Which group it is, for those who join; without spares it is told by who founded it. */
const CLUSTER = 77;

export class Members {
  readonly #world: World;
  readonly #founders: number;
  readonly #all: number;
  #committed: Configuration;
  /** Spares that an operator has started, or asked for. */
  readonly #wanted = new Set<number>();
  /** How often each change was asked for, refusals aside. */
  readonly #additions = new Map<number, number>();
  readonly #removals = new Map<number, number>();
  #isDiskReplaced = false;

  constructor(world: World, founders: number, spares: number) {
    this.#world = world;
    this.#founders = founders;
    this.#all = founders + spares;
    const members = Array.from({ length: founders }, (_none, at) => ({
      id: at + 1,
      address: addressOf(at + 1),
      identity: 0,
    }));
    this.#committed = foundingConfiguration(members);
  }

  /** The latest configuration that is committed. */
  get committed(): Configuration {
    return this.#committed;
  }

  /** A machine that should run: a founder, or a spare that has a part in it. */
  isWanted(id: number): boolean {
    return id <= this.#founders || this.#wanted.has(id);
  }

  isMember(id: number): boolean {
    return memberOf(this.#committed, id) !== undefined;
  }

  /** Has been a member, or was a spare that was given its number, and is none any more. */
  isRemoved(id: number): boolean {
    return id <= this.#committed.lastId && !this.isMember(id);
  }

  /** The machines of these have a majority wherever one is needed, in whatever configuration may be in force. */
  isMajority(has: (id: number) => boolean): boolean {
    return this.#inForce().every(({ voters, outgoing }) =>
      [voters, outgoing].every((half) => half.length === 0 || 2 * half.filter(has).length > half.length),
    );
  }

  /** Nothing is under way, and everybody who was added votes, as far as their machines can run. */
  get isSettled(): boolean {
    const { atlas } = this.#world;
    const isOut = (id: number): boolean => atlas.isDownForGood(id);
    const { learners } = this.#committed;
    return !isJoint(this.#committed) && learners.every(isOut) && this.#pending().length === 0;
  }

  /** What an operator might do next; null: nothing. */
  draw(random: SimRandom): { readonly change: MemberChange; readonly subject: number } | null {
    const { atlas } = this.#world;
    const lost = this.#committed.members.filter(({ id }) => !atlas.mayStart(id));
    if (lost.length > 0 && random.chance(700)) return { change: 'remove', subject: random.pick(lost).id };
    const next = this.nextSpare();
    // The last one is for who loses its disk.
    const isKept = next === this.#all && lost.length === 0 && this.#world.options.faults.diskLostEveryMs > 0;
    if (next !== null && random.chance(isKept ? KEPT_PERMILLE : 600)) return { change: 'add', subject: next };
    const leader = this.#world.leader();
    if (leader !== null && random.chance(400)) return { change: 'remove', subject: leader };
    return { change: 'remove', subject: random.pick(this.#committed.members).id };
  }

  /** The spare whose turn it is; null: there is none left. */
  nextSpare(): number | null {
    const next = this.#committed.lastId + 1;
    return next <= this.#all ? next : null;
  }

  /** An operator has started it. */
  want(id: number): void {
    if (id > this.#founders) this.#wanted.add(id);
  }

  /** Asks for a change, if it may be: see the head of this file. */
  ask({ node, change, subject }: MemberStroke): void {
    if (!(change === 'add' ? this.#mayAdd(subject) : this.#mayRemove(subject))) return;
    const asked = change === 'add' ? this.#additions : this.#removals;
    asked.set(subject, (asked.get(subject) ?? 0) + 1);
    if (change === 'add') this.want(subject);
    const line =
      change === 'add'
        ? (`MEMBER ADD ${addressOf(subject)} ${identityOf(subject)}` as const)
        : (`MEMBER REMOVE ${subject}` as const);
    this.#world.operate(node, line, (answer) => {
      if (answer.startsWith('-')) {
        if (!answer.startsWith('-ERR unknown outcome')) asked.set(subject, (asked.get(subject) ?? 1) - 1);
      } else if (answer !== `:${subject}\r\n`) {
        this.#world.fail('wrong answer', `${line} was answered ${JSON.stringify(answer)}`);
      } else this.#checkAnswer(change, subject);
    });
  }

  /** What is said to be done is committed. */
  #checkAnswer(change: MemberChange, subject: number): void {
    const { lastId, voters, learners } = this.#committed;
    const isDone =
      change === 'add' ? subject <= lastId : !voters.includes(subject) && !learners.includes(subject);
    if (isDone) return;
    const what = `${change} node ${subject}`;
    this.#world.fail('wrong answer', `an operator was told that '${what}' is done, and it is not committed`);
  }

  /** @param leader Who committed it. */
  onCommitted(configuration: Configuration, leader: number): void {
    const before = this.#committed;
    this.#committed = configuration;
    for (const id of configuration.voters) if (!before.voters.includes(id)) this.#onVoter(id);
    for (const { id } of before.members) {
      if (!this.isMember(id)) this.#onRemoved(id, leader);
    }
  }

  /** The nemesis strikes: it does so in the middle of a change, now and then. */
  onStroke({ kind }: StrokeAction): void {
    if (this.#all === this.#founders || !this.#isUnderWay) return;
    if (kind === 'crash' || kind === 'kill') sometimes('a node crashes while the members of a world change');
    if (kind === 'cut') sometimes('nodes are cut off while the members of a world change');
  }

  get #isUnderWay(): boolean {
    return isJoint(this.#committed) || this.#committed.learners.length > 0 || this.#pending().length > 0;
  }

  #onVoter(id: number): void {
    sometimes('a node that was added to a world votes');
    if (this.#isDiskReplaced) sometimes('a node that has lost its disk is replaced');
    this.#world.atlas.admit(id, this.#certainVoters(), this.#possibleMembers());
  }

  #onRemoved(id: number, leader: number): void {
    sometimes('a node is removed from a world');
    if (id === leader) sometimes('the leader of a world is removed');
    if (this.#world.atlas.injuries(id).some(({ kind }) => kind === 'wiped')) this.#isDiskReplaced = true;
  }

  #mayAdd(subject: number): boolean {
    if (subject <= this.#founders || subject > this.#all) return false;
    return (
      !this.isRemoved(subject) && subject <= this.#committed.lastId + 1 && !(this.#removals.get(subject) ?? 0)
    );
  }

  /** A spare that was asked for twice may yet be added a second time, when it has been removed: under another number. */
  #mayRemove(subject: number): boolean {
    if (!this.isMember(subject) || (this.#additions.get(subject) ?? 0) > 1) return false;
    return this.#world.atlas.allowsRemoval(subject, this.#certainVoters(), this.#possibleMembers());
  }

  /** They vote, and nobody has asked for their removal. */
  #certainVoters(): number[] {
    return this.#committed.voters.filter((id) => (this.#removals.get(id) ?? 0) === 0);
  }

  /** Of some configuration that may be in force. */
  #possibleMembers(): number[] {
    return [...new Set(this.#inForce().flatMap(({ members }) => members.map(({ id }) => id)))];
  }

  #inForce(): Configuration[] {
    return [this.#committed, ...this.#pending()];
  }

  /** In some member's log, and not committed. */
  #pending(): Configuration[] {
    if (this.#all === this.#founders) return [];
    const { atlas, invariants } = this.#world;
    return invariants.pendingConfigurations((id) => !this.isRemoved(id) && !atlas.isDownForGood(id));
  }

  /** For reports. */
  describe(): string {
    const nodes = this.#world.machines.map(({ id, node }) => {
      if (node === null) return `${id} is down`;
      const { role, term, configuration } = node.replica.raft;
      return `${id} is ${role} in term ${term} of ${describeConfiguration(configuration)}`;
    });
    return `${describeConfiguration(this.#committed)} is committed; ${nodes.join('; ')}`;
  }

  /** What the node of a machine is told of its place. */
  placeOf(id: number, founders: readonly Address[]): Place {
    if (this.#all === this.#founders) return { members: founders };
    const place = { cluster: CLUSTER, identity: identityOf(id) };
    return id <= this.#founders
      ? { ...place, members: founders }
      : { ...place, members: [], listen: { host: hostOf(id), port: PORT } };
  }
}

function describeConfiguration({ voters, outgoing, learners }: Configuration): string {
  const from = outgoing.length === 0 ? '' : ` from ${outgoing.join(' ')}`;
  const learning = learners.length === 0 ? '' : ` learning ${learners.join(' ')}`;
  return `{${voters.join(' ')}${from}${learning}}`;
}

function addressOf(id: number): string {
  return `${hostOf(id)}:${PORT}`;
}

function identityOf(id: number): number {
  return 1000 + id;
}
