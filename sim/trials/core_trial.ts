/**
 * Consensus cores alone, in a storm that a cluster is seldom in: leaderships last a few heartbeats, nodes start anew in the
 * middle of an election, leadership is handed over again and again, logs are shortened at once, and everybody reads.
 *
 * A core has its log in memory, which becomes durable after a while, and a clock that drifts as far as the declared bound
 * allows. What may not happen is told by `invariants.ts`; beside that, no read is let through at an index below what was
 * committed when it was asked for. In the end, when all is well, a leader must take and commit a proposal.
 */
import { assert } from '../../src/base/assert.ts';
import { utf8 } from '../../src/codec/bytes.ts';
import { encodeWrite } from '../../src/kv/write_codec.ts';
import type { Index, Term } from '../../src/log/entry.ts';
import type { Message, NodeId } from '../../src/raft/message.ts';
import type { HardState } from '../../src/raft/output.ts';
import type { Raft } from '../../src/raft/raft.ts';
import { Invariants } from '../invariants.ts';
import type { SimRandom } from '../random.ts';
import { Scheduler } from '../scheduler.ts';
import { CoreNode } from './core_node.ts';
import { CorePlot } from './core_plot.ts';
import {
  drawGrownApart,
  drawReaders,
  drawWeather,
  TIMEOUT_US,
  US_PER_MS,
  type Weather,
} from './core_weather.ts';
import { type Mark, runTrial } from './trial.ts';

const TRIALS = 8;
const MAYBES = ['short-append', 'equal-election-timeout', 'low-probe', 'needless-snapshot'];
const LINK_CHANGES_PERMILLE = 50;
const SNAPSHOT_US_MAX = 50 * US_PER_MS;
const KEY = utf8('k');
/** Numbers of nodes are below it. */
const LINKS_MAX = 64;
const TERMS_MAX = 2 ** 24;
/** Its log is durable sooner. */
const LAST_VOTER_ENDS_US_MAX = 3 * US_PER_MS;
const ENDS_AGAIN_US_MAX = 20 * US_PER_MS;
const CALM_DELAY_US_MAX = US_PER_MS;
/** In election timeouts, and longer where much is to be caught up with. */
const CALM_TIMEOUTS = 40;
/** It lasts no longer once something was committed and read in it. */
const CALM_TIMEOUTS_MIN = 8;

/** Beside those of any weather, one each; and the rare paths that are taken often in them. */
const OTHERS = [
  { name: 'readers', weather: drawReaders, often: [] },
  { name: 'grown apart', weather: drawGrownApart, often: ['low-probe'] },
];
/** Runs some trials; what went wrong, or null. */
export function tryCores(random: SimRandom, mark?: Mark): string | null {
  for (let trial = 0; trial < TRIALS; trial++) {
    const draws = random.fork(`trial ${trial}`);
    const problem = runTrial(draws, mark, MAYBES, () => new CoreTrial(draws, drawWeather(draws)).run());
    if (problem !== null) return problem;
  }
  for (const { name, weather, often } of OTHERS) {
    const draws = random.fork(name);
    const problem = runTrial(draws, mark, MAYBES, () => new CoreTrial(draws, weather(draws)).run(), often);
    if (problem !== null) return problem;
  }
  return null;
}

class CoreTrial {
  readonly #random: SimRandom;
  readonly #scheduler = new Scheduler();
  readonly #nodes: CoreNode[];
  readonly #invariants: Invariants;
  readonly #weather: Weather;
  readonly #founders: number;
  /** Directed links that carry nothing, see `linkOf`. */
  readonly #cut = new Set<number>();
  /** By directed link, in microseconds. */
  readonly #delays = new Map<number, number>();
  /** By id of a read what was committed when it was asked for. */
  readonly #asked = new Map<number, number>();
  /** Terms of what was applied, by index. */
  readonly #applied: Term[] = [];
  /** Writes of which it was said that they were not and will not be executed: see `placeOf`. */
  readonly #refused = new Set<number>();
  /** Heartbeats that have arrived: see `heartbeatOf`. */
  readonly #heard = new Set<string>();
  #reads = 0;
  #writes = 0;
  #isCalm = false;
  readonly #plot: CorePlot | null;

  constructor(random: SimRandom, weather: Weather) {
    this.#random = random;
    this.#weather = weather;
    const founders = random.pick(this.#weather.founders);
    this.#founders = founders;
    // The others wait to be added, each once: a number is never given twice.
    const count = founders + (random.chance(this.#weather.joinersPermille) ? random.between(1, 4) : 0);
    const driftPpmMax = random.pick([0, 10_000, 100_000]);
    const clockDriftPpmMax = random.chance(900) ? driftPpmMax : null;
    const heartbeatMs = random.pick([20, 50]);
    this.#invariants = new Invariants(count);
    this.#nodes = Array.from({ length: count }, (_none, at) => {
      const clock = {
        offsetMs: random.below(10_000),
        rate: 1 + random.between(-driftPpmMax, driftPpmMax) / 1_000_000,
      };
      const voters = at < founders ? Array.from({ length: founders }, (_one, voter) => voter + 1) : [];
      return new CoreNode({
        id: at + 1,
        voters,
        clock,
        clockDriftPpmMax,
        heartbeatMs,
        flow: weather.flow,
        random: random.fork(`node${at}`),
      });
    });
    this.#plot = this.#weather.isPlotted ? this.#makePlot() : null;
    this.#invariants.monotonicMsOf = (id) => {
      const node = this.#nodes[id - 1];
      return node.isUp ? node.nowMs(this.#scheduler.nowUs) : null;
    };
  }

  run(): void {
    for (const node of this.#nodes) this.#start(node);
    this.#stir();
    this.#scheduler.runUntil(this.#weather.stormTimeouts * TIMEOUT_US);
    this.#isCalm = true;
    this.#cut.clear();
    const absent = this.#drawAbsent();
    for (const node of this.#nodes) if (!node.isUp && node !== absent) this.#start(node);
    if (absent?.isUp === true) absent.crash();
    const before = this.#invariants.commitIndex;
    const firstRead = this.#reads + 1;
    const isWell = (): boolean =>
      this.#invariants.commitIndex > before && this.#nodes.some(({ lastRead }) => lastRead >= firstRead);
    const timeouts = CALM_TIMEOUTS + this.#backlogTimeouts();
    for (let i = 0; i < timeouts && !(i >= CALM_TIMEOUTS_MIN && isWell()); i++) {
      this.#scheduler.runUntil(this.#scheduler.nowUs + TIMEOUT_US);
      for (const node of this.#nodes) {
        this.#propose(node);
        if (node.raft.role === 'leader') this.#read(node, 'round');
      }
    }
    if (this.#invariants.commitIndex <= before) this.#complain(timeouts, 'nothing was committed');
    if (this.#nodes.every(({ lastRead }) => lastRead < firstRead))
      this.#complain(timeouts, 'no read was let through');
  }

  /** A leader may have entries by the hundred that it alone holds, and the flow may let through one of them at a time. */
  #backlogTimeouts(): number {
    const last = Math.max(...this.#nodes.map(({ log }) => log.lastIndex));
    const entryUs = this.#weather.saveUsMax + 2 * CALM_DELAY_US_MAX;
    return Math.ceil(((last - this.#invariants.commitIndex) * entryUs) / TIMEOUT_US);
  }

  #complain(timeouts: number, what: string): never {
    const roles = this.#nodes.map(({ id, raft }) => `${id} is ${raft.role} in term ${raft.term}`);
    throw new Error(`${timeouts} election timeouts into the calm ${what}: ${roles.join(', ')}`);
  }

  #read(node: CoreNode, basis: 'lease' | 'round'): void {
    const id = ++this.#reads;
    this.#asked.set(id, this.#invariants.commitIndex);
    this.#act(node, (raft, nowMs) => raft.readIndex(id, basis, nowMs));
  }

  #makePlot(): CorePlot {
    return new CorePlot({
      nodes: this.#nodes.slice(0, this.#founders),
      random: this.#random.fork('plot'),
      allow: (pairs) => this.#allowOnly(pairs),
      propose: (leader, count) => {
        this.#later(leader, 1, () => {
          for (let written = 0; written < count; written++) this.#propose(leader);
        });
      },
    });
  }

  #allowOnly(pairs: readonly (readonly [CoreNode, CoreNode])[] | null): void {
    this.#cut.clear();
    if (pairs === null) return;
    for (const { id: from } of this.#nodes)
      for (const { id: to } of this.#nodes) this.#cut.add(linkOf(from, to));
    for (const [one, other] of pairs) {
      this.#cut.delete(linkOf(one.id, other.id));
      this.#cut.delete(linkOf(other.id, one.id));
    }
  }

  /** Who stays away in the calm: the others are enough. A leader may have just begun to hand over to that node. */
  #drawAbsent(): CoreNode | null {
    const random = this.#random;
    // Who votes may change yet: then any of them may be needed.
    if (this.#founders < 3 || this.#weather.memberPermille > 0 || random.chance(400)) return null;
    const absent = random.pick(this.#nodes.slice(0, this.#founders));
    if (random.chance(500)) {
      for (const node of this.#nodes) {
        if (node !== absent) this.#act(node, (raft) => raft.transferLeadership(absent.id));
      }
    }
    return absent;
  }

  /** Has a write ordered that is like no other. */
  #propose(node: CoreNode): void {
    const value = utf8(`${++this.#writes}`);
    const payload = encodeWrite({ type: 'set', bucket: 'b', key: KEY, value }, 0);
    this.#act(node, (raft) => {
      const { term } = raft;
      const index = raft.propose(payload);
      if (typeof index !== 'number') return;
      node.proposals.add(index, {
        term,
        bytes: payload.length,
        deadlineMs: Number.POSITIVE_INFINITY,
        done: (result) => {
          if (result.type !== 'error') {
            if (this.#applied[index] === term) return;
            throw new Error(`the write ${index} in ${term} is acknowledged, and was not executed`);
          }
          if (result.code !== 'unavailable') return;
          this.#refused.add(placeOf(index, term));
          if (this.#applied[index] === term)
            throw new Error(`the write ${index} in ${term} is refused, and was executed`);
        },
      });
    });
  }

  /** As `Replica` does with what is committed and durable. */
  #apply(node: CoreNode): void {
    const until = Math.min(node.raft.commitIndex, node.log.durableIndex);
    while (node.appliedIndex < until) {
      const entry = node.log.entry(++node.appliedIndex);
      const { index, term } = entry;
      this.#applied[index] = term;
      if (this.#refused.has(placeOf(index, term))) {
        throw new Error(`the write ${index} in ${term} is executed, and was refused`);
      }
      node.proposals.onApplied(entry, { type: 'ok' });
    }
  }

  /** Something happens, over and over. */
  #stir(): void {
    const random = this.#random;
    this.#scheduler.after(random.below(2 * this.#weather.everyUs), () => {
      if (this.#isCalm) return;
      this.#happen();
      this.#stir();
    });
  }

  #happen(): void {
    const random = this.#random;
    const { proposePermille, crashPermille, transferPermille, cutPermille } = this.#weather;
    const { compactPermille, memberPermille } = this.#weather;
    const node = random.pick(this.#nodes);
    if (random.chance(crashPermille)) this.#crash(node);
    if (random.chance(cutPermille)) this.#cutLinks();
    if (random.chance(compactPermille)) node.compact(random.below(3));
    if (random.chance(LINK_CHANGES_PERMILLE)) this.#delays.clear();
    for (const each of this.#nodes) {
      if (each.raft.role === 'leader' && random.chance(transferPermille)) {
        this.#act(each, (raft) =>
          raft.transferLeadership(random.chance(500) ? null : random.pick(this.#nodes).id),
        );
      }
      if (each.raft.role === 'leader' && random.chance(memberPermille)) this.#changeMembership(each);
      if (each.raft.role === 'leader' && random.chance(proposePermille)) this.#propose(each);
    }
    const basis = random.chance(500) ? 'lease' : 'round';
    for (let count = random.between(0, 2); count > 0; count--) this.#read(random.pick(this.#nodes), basis);
  }

  #changeMembership(leader: CoreNode): void {
    const random = this.#random;
    const { lastId, members, learners } = leader.raft.configuration;
    const kind = random.pick(['add', 'remove', 'promote']);
    this.#act(leader, (raft, nowMs) => {
      if (kind === 'add') {
        if (lastId >= this.#nodes.length) return;
        raft.changeMembership({ type: 'add', address: `node${lastId + 1}`, identity: lastId + 1 }, nowMs);
      } else if (kind === 'remove') {
        raft.changeMembership({ type: 'remove', id: random.pick(members).id }, nowMs);
      } else if (learners.length > 0) {
        raft.changeMembership({ type: 'promote', id: random.pick(learners) }, nowMs);
      }
    });
  }

  /** One node is cut off, or a single link is, or all are whole again. */
  #cutLinks(): void {
    const random = this.#random;
    const wasWhole = this.#cut.size === 0;
    if (!wasWhole && random.chance(700)) {
      this.#cut.clear();
      return;
    }
    const leader = this.#nodes.find(({ raft }) => raft.role === 'leader');
    const node =
      leader !== undefined && random.chance(this.#weather.cutLeaderPermille)
        ? leader
        : random.pick(this.#nodes);
    const rest = this.#nodes.filter((other) => other !== node);
    const others = random.chance(this.#weather.wholePermille) ? rest : [random.pick(rest)];
    const way = random.pick(['to', 'from', 'both']);
    for (const other of others) {
      if (way !== 'from') this.#cut.add(linkOf(other.id, node.id));
      if (way !== 'to') this.#cut.add(linkOf(node.id, other.id));
    }
  }

  #crash(node: CoreNode): void {
    const { crashLeaders, quickPermille } = this.#weather;
    if (!node.isUp || (node.raft.role === 'leader' && !crashLeaders)) return;
    node.crash();
    // Some see at once that its connection has ended, some later or not at all.
    for (const other of this.#nodes) {
      if (other !== node && this.#random.chance(500)) this.#act(other, (raft) => raft.onPeerLost(node.id));
    }
    this.#scheduler.after(
      this.#random.below(this.#random.chance(quickPermille) ? TIMEOUT_US >> 5 : 2 * TIMEOUT_US),
      () => {
        if (node.isUp || this.#isCalm) return;
        this.#start(node);
        if (this.#random.chance(this.#weather.againPermille)) this.#crashSoon(node, ENDS_AGAIN_US_MAX);
      },
    );
  }

  #crashSoon(node: CoreNode, usMax: number): void {
    const { life } = node;
    this.#scheduler.after(1 + this.#random.below(usMax), () => {
      if (node.life === life && !this.#isCalm) this.#crash(node);
    });
  }

  #start(node: CoreNode): void {
    node.start(node.nowMs(this.#scheduler.nowUs));
    this.#turn(node);
    for (const other of this.#nodes) {
      if (other !== node) this.#act(other, (raft) => raft.onPeerReset(node.id));
    }
  }

  #act(node: CoreNode, action: (raft: Raft, nowMs: number) => void): void {
    if (!node.isUp) return;
    action(node.raft, node.nowMs(this.#scheduler.nowUs));
    this.#turn(node);
  }

  /** In the order of `src/replica/replica.ts`: no message leaves before the hard states of its turn and of earlier ones. */
  #turn(node: CoreNode): void {
    if (!this.#isCalm) this.#plot?.onTurn(node, this.#scheduler.nowUs);
    const output = node.raft.takeOutput();
    for (const { id, index } of output.reads) {
      const asked = this.#asked.get(id);
      this.#asked.delete(id);
      if (asked === undefined) throw new Error(`node ${node.id} answers read ${id}, which it was not asked`);
      if (index === null) continue;
      if (id < node.lastRead)
        throw new Error(`node ${node.id} lets read ${id} through behind read ${node.lastRead}, asked later`);
      node.lastRead = id;
      if (index < asked)
        throw new Error(
          `node ${node.id} lets a read see entry ${index}; ${asked} was committed before it asked`,
        );
    }
    for (const { to, message } of output.messages) {
      if (message.type === 'heartbeat-reply') this.#checkPromise(node.id, to, message);
      node.heldBack.push({ to, message });
    }
    if (output.hardState !== null) this.#save(node, output.hardState);
    if (node.saves.length === 0) this.#release(node);
    if (node.log.isDirty && !node.isSyncing) this.#sync(node);
    if (output.snapshot !== null) this.#fetch(node, output.snapshot.from);
    this.#invariants.check(node.id, node.observed);
    this.#apply(node);
    this.#watchClock(node);
    if (this.#weather.endLastVoterPermille > 0) this.#watchLastVoter(node);
    if (output.isUnfinished && node.isUp) this.#turn(node);
  }

  /** A lease rests on it: nobody is told that it was heard in a term in which it was not, nor at a time at which it was not. */
  #checkPromise(id: NodeId, leader: NodeId, { term, sentAtMs }: Message & { type: 'heartbeat-reply' }): void {
    if (sentAtMs === null || this.#heard.has(heartbeatOf(leader, id, term, sentAtMs))) return;
    throw new Error(
      `node ${id} answers a heartbeat of ${leader} in ${term} at ${sentAtMs} ms that it has not heard`,
    );
  }

  /** Who made it the only voter leads on until it hears that this is durable. */
  #watchLastVoter(node: CoreNode): void {
    const { raft, id } = node;
    const { voters, outgoing } = raft.configuration;
    const isLast =
      raft.role === 'follower' && voters.length === 1 && voters[0] === id && outgoing.length === 0;
    if (isLast === node.isLastVoter) return;
    node.isLastVoter = isLast;
    if (!isLast || this.#isCalm || !this.#random.chance(this.#weather.endLastVoterPermille)) return;
    this.#crashSoon(node, LAST_VOTER_ENDS_US_MAX);
  }

  #save(node: CoreNode, state: HardState): void {
    node.saves.push(state);
    if (node.saves.length === 1) this.#writeNext(node);
  }

  #writeNext(node: CoreNode): void {
    this.#later(node, this.#weather.saveUsMax, () => {
      const saved = node.saves.shift();
      if (saved === undefined) return;
      node.hardState.durable = saved;
      node.raft.onHardStateDurable(saved.term, node.nowMs(this.#scheduler.nowUs));
      if (node.saves.length > 0) this.#writeNext(node);
      else this.#release(node);
    });
  }

  #release(node: CoreNode): void {
    for (const { to, message } of node.heldBack) this.#send(node.id, to, message);
    node.heldBack = [];
  }

  #sync(node: CoreNode): void {
    node.isSyncing = true;
    const batch = node.log.begin();
    this.#later(node, this.#weather.saveUsMax, () => {
      node.isSyncing = false;
      node.log.end(batch);
      node.raft.onDurable(node.log.durableIndex, node.nowMs(this.#scheduler.nowUs));
    });
  }

  #send(from: NodeId, to: NodeId, message: Message): void {
    const target = this.#nodes[to - 1];
    if (target === undefined) assert(false, 'the message is for a node that there is', { to });
    const { lossPermille, losesSent } = this.#weather;
    const isLost = !this.#isCalm && (this.#cut.has(linkOf(from, to)) || this.#random.chance(lossPermille));
    // What is on its way to a node that ends, ends with its connection.
    if (isLost || !target.isUp) return;
    const sender = this.#nodes[from - 1];
    const { life } = sender;
    this.#later(target, this.#isCalm ? CALM_DELAY_US_MAX : this.#delayUs(from, to), () => {
      if (losesSent && sender.life !== life) return;
      if (message.type === 'heartbeat')
        this.#heard.add(heartbeatOf(from, to, message.term, message.sentAtMs));
      target.raft.step(from, message, target.nowMs(this.#scheduler.nowUs));
    });
  }

  #delayUs(from: NodeId, to: NodeId): number {
    const link = linkOf(from, to);
    const known = this.#delays.get(link);
    if (known !== undefined) return known;
    const delayUs = this.#random.pick(this.#weather.delaysUs);
    this.#delays.set(link, delayUs);
    return delayUs;
  }

  /** A snapshot is installed some time after it was offered, as it is at the leader then. */
  #fetch(node: CoreNode, from: NodeId): void {
    this.#later(node, SNAPSHOT_US_MAX, () => {
      const source = this.#nodes[from - 1];
      const { index, configuration } = source.snapshots;
      if (!source.isUp || index === 0) return;
      const nowMs = node.nowMs(this.#scheduler.nowUs);
      const term = source.log.termAt(index);
      if (!node.raft.restore(index, term, nowMs, configuration)) return;
      if (index > node.snapshots.index) {
        node.snapshots.index = index;
        node.snapshots.term = term;
        node.snapshots.configuration = configuration;
      }
      node.appliedIndex = Math.max(node.appliedIndex, index);
      node.proposals.onSnapshot(index);
    });
  }

  /** A task of this life of the node, within `us`; a turn follows it. */
  #later(node: CoreNode, us: number, task: () => void): void {
    const { life } = node;
    this.#scheduler.after(1 + this.#random.below(us), () => {
      if (node.life !== life) return;
      task();
      this.#turn(node);
    });
  }

  #watchClock(node: CoreNode): void {
    const { deadlineMs } = node.raft;
    if (node.watchedMs === deadlineMs) return;
    node.watchedMs = deadlineMs;
    const { life } = node;
    this.#scheduler.at(Math.max(this.#scheduler.nowUs, node.usAt(deadlineMs)), () => {
      if (node.life !== life || node.watchedMs !== deadlineMs) return;
      node.watchedMs = null;
      this.#act(node, (raft, nowMs) => raft.tick(Math.max(nowMs, deadlineMs)));
    });
  }
}

function linkOf(from: NodeId, to: NodeId): number {
  return from * LINKS_MAX + to;
}

function heartbeatOf(from: NodeId, to: NodeId, term: Term, sentAtMs: number): string {
  return `${linkOf(from, to)} ${term} ${sentAtMs}`;
}

/** Neither comes near the bound in a trial. */
function placeOf(index: Index, term: Term): number {
  return index * TERMS_MAX + term;
}
