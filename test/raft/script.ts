/**
 * Plays a script against a cluster of consensus cores and writes down what happens: commands are lines that begin with
 * `> `, comments begin with `#`, and what follows a command is what it caused. The transcript of a script that was
 * written by hand must come out as it stands in the file.
 *
 * Time, deliveries and syncs only happen when the script says so. A message stays on its way until it is delivered or
 * dropped; `settle` delivers everything, syncs all logs, and shows only what became of the nodes.
 *
 * | command                    | what it does                                                                          |
 * | -------------------------- | ------------------------------------------------------------------------------------- |
 * | `cluster N [drift PPM]`    | begins with N new nodes; with leases, for clocks that drift by PPM at most             |
 * | `cluster N joiners K`      | K more nodes wait to be told who belongs to their group                                |
 * | `given ID TERM: T T T`     | node ID starts over in TERM, its durable log holding entries of these terms           |
 * | `campaign ID`              | election timeouts pass for all, only ID notices                                       |
 * | `elect ID`                 | `campaign ID` and `settle`                                                            |
 * | `barge A B TERM`           | node B gets a vote request of node A that skipped the pre-vote                        |
 * | `append A B TERM I/T C: T T` | node B gets an append of node A: after I/T, commit index C, entries of these terms |
 * | `member ID add`            | node ID is asked to add a node, which gets the next number                             |
 * | `member ID remove|promote X` | node ID is asked to remove or promote node X                                         |
 * | `members`                  | shows which configuration each node goes by                                            |
 * | `transfer ID [TO]`         | node ID is asked to hand leadership over                                              |
 * | `compact ID INDEX`         | node ID keeps its log from behind INDEX, and a snapshot of what is before             |
 * | `restore ID`               | node ID installs the snapshot that it was offered last                                |
 * | `wait MS`, `tick ID`       | time passes; node ID looks at its clock                                               |
 * | `beat [N]`                 | N heartbeat intervals pass: leaders tick, everything settles                          |
 * | `propose ID TEXT`          | node ID is asked to order a command                                                   |
 * | `read ID NUMBER [lease]`   | node ID is asked for the right to read, by a round or by its lease                    |
 * | `sync ID [INDEX]`          | the log becomes durable (up to INDEX)                                                 |
 * | `crash ID`                 | the node loses what is not durable, and starts again                                  |
 * | `deliver [A->B]`           | delivers what is on its way now (on one link), in order                               |
 * | `drop [A->B]`, `repeat A->B` | loses it; sends it a second time                                                    |
 * | `settle [without ID ...]`  | see above; all messages to and from the others are lost                               |
 * | `cut ID ...`, `heal`       | from here on `settle` and `beat` lose messages between these nodes and the others     |
 * | `reset A B`                | node A learns that what it sent to B may be lost                                      |
 * | `status`, `logs`, `inbox`  | shows roles; logs, as `index/term`, `*` behind what is durable; messages on their way |
 */
import { EntryKind } from '../../src/log/entry.ts';
import type { MembershipChange } from '../../src/raft/membership_change.ts';
import { Cluster, cutOff, entryOf, type Mail, type Member, TIMING } from './cluster.ts';
import { configurationText, messageText, payloadText } from './message_text.ts';

/** What was last said of a node. */
interface Seen {
  role: string;
  term: number;
  leader: number | null;
  vote: number | null;
  commit: number;
  reads: number;
  configuration: string;
}

/** Plays `script` and returns its transcript. */
export function playScript(script: string): string {
  const player = new Player();
  const transcript: string[] = [];
  for (const line of script.split('\n')) {
    if (line.startsWith('> ')) transcript.push(line, ...player.run(line.slice(2)));
    else if (line.startsWith('#') || line.trim() === '') transcript.push(line);
  }
  return transcript.join('\n');
}

class Player {
  #cluster = new Cluster(1);
  #seen: Seen[] = [];
  #said: string[] = [];
  #cut: (mail: Mail) => boolean = () => false;

  run(command: string): string[] {
    this.#said = [];
    try {
      this.#run(command.split(' '));
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new Error(`"${command}": ${error.message}`, { cause: error });
    }
    this.#noticeChanges();
    return this.#said;
  }

  #run([verb, ...args]: readonly string[]): void {
    const cluster = this.#cluster;
    switch (verb) {
      case 'cluster':
        this.#begin(
          number(args[0]),
          args[1] === 'drift' ? number(args[2]) : null,
          args[1] === 'joiners' ? number(args[2]) : 0,
        );
        return;
      case 'given':
        cluster.startOver(number(args[0]), number(args[1]), args.slice(2).map(number));
        this.#seen[number(args[0]) - 1] = seen(cluster.member(number(args[0])));
        return;
      case 'campaign':
        cluster.nowMs += 2 * TIMING.electionTimeoutMs;
        cluster.tick(number(args[0]));
        return;
      case 'elect':
        this.#quietly(() => cluster.elect(number(args[0]), this.#cut));
        return;
      case 'barge':
        this.#barge(number(args[0]), number(args[1]), number(args[2]));
        return;
      case 'append':
        this.#append(args);
        return;
      case 'member':
        this.#changeMembership(number(args[0]), args[1], args[2]);
        return;
      case 'members':
        for (const { id, raft } of cluster.members) {
          this.#said.push(`node ${id}: ${configurationText(raft.configuration)}`);
        }
        return;
      case 'transfer':
        this.#transfer(number(args[0]), args[1] === undefined ? null : number(args[1]));
        return;
      case 'compact':
        cluster.compact(number(args[0]), number(args[1]));
        return;
      case 'restore':
        cluster.restore(number(args[0]));
        return;
      case 'wait':
        cluster.nowMs += number(args[0]);
        return;
      case 'tick':
        cluster.tick(number(args[0]));
        return;
      case 'beat':
        this.#quietly(() => cluster.beat(args[0] === undefined ? 1 : number(args[0]), this.#cut));
        return;
      case 'propose':
        this.#propose(number(args[0]), args.slice(1).join(' '));
        return;
      case 'read':
        cluster
          .raft(number(args[0]))
          .readIndex(number(args[1]), args[2] === 'lease' ? 'lease' : 'round', cluster.nowMs);
        cluster.collect(number(args[0]));
        return;
      case 'sync':
        if (args[1] === undefined) cluster.sync(number(args[0]));
        else cluster.syncTo(number(args[0]), number(args[1]));
        return;
      case 'crash':
        cluster.restart(number(args[0]));
        this.#seen[number(args[0]) - 1] = seen(cluster.member(number(args[0])));
        return;
      case 'deliver':
        for (const mail of this.#take(args[0])) cluster.deliver(mail);
        return;
      case 'drop':
        this.#take(args[0]);
        return;
      case 'repeat':
        for (const mail of this.#take(args[0])) cluster.inbox.push(mail, mail);
        return;
      case 'settle':
        this.#settle(args);
        return;
      case 'cut':
        this.#cut = cutOff(...args.map(number));
        return;
      case 'heal':
        this.#cut = () => false;
        return;
      case 'reset':
        cluster.raft(number(args[0])).onPeerReset(number(args[1]));
        cluster.collect(number(args[0]));
        return;
      case 'status':
        for (const member of cluster.members) this.#said.push(statusText(member));
        return;
      case 'logs':
        for (const member of cluster.members) this.#said.push(logText(member));
        return;
      case 'inbox':
        for (const mail of cluster.inbox) this.#said.push(mailText(mail));
        return;
      default:
        throw new Error(`no such command: ${verb}`);
    }
  }

  #begin(size: number, clockDriftPpmMax: number | null, joiners: number): void {
    this.#cluster = new Cluster(size, undefined, undefined, clockDriftPpmMax, joiners);
    this.#cluster.onSend = (mail) => this.#said.push(mailText(mail));
    this.#seen = this.#cluster.members.map(seen);
    this.#cut = () => false;
  }

  #propose(id: number, text: string): void {
    const index = this.#cluster.propose(id, text);
    if (typeof index !== 'number') this.#said.push(`not taken: ${index}`);
  }

  #changeMembership(id: number, type: string | undefined, of: string | undefined): void {
    const { nowMs } = this.#cluster;
    const raft = this.#cluster.raft(id);
    let change: MembershipChange;
    if (type === 'add') {
      const next = raft.configuration.lastId + 1;
      change = { type, address: `node${next}:1`, identity: next };
    } else if (type === 'remove' || type === 'promote') change = { type, id: number(of) };
    else throw new Error(`no such change: ${type}`);
    const answer = raft.changeMembership(change, nowMs);
    if (answer.type === 'refused' || answer.type === 'invalid') this.#said.push(`not taken: ${answer.why}`);
    if (answer.type === 'unsafe') this.#said.push(`not taken: silent ${answer.silent.join(' ')}`);
    if (answer.type === 'none') this.#said.push('nothing to do');
    this.#cluster.collect(id);
  }

  #transfer(id: number, to: number | null): void {
    const successor = this.#cluster.raft(id).transferLeadership(to);
    this.#said.push(successor === null ? 'not begun' : `node ${successor} is to lead`);
    this.#cluster.collect(id);
  }

  /** A vote request out of nowhere, as of a node that skips the pre-vote. */
  #barge(from: number, to: number, term: number): void {
    const { lastIndex, lastTerm } = this.#cluster.member(from).log;
    this.#cluster.deliver({
      from,
      to,
      message: { type: 'vote', term, lastIndex, lastTerm, transfer: false },
    });
  }

  #append([from, to, term, prev, commit, ...terms]: readonly string[]): void {
    const [prevIndex = 0, prevTerm = 0] = (prev ?? '').split('/').map(number);
    const entries = terms.map((entryTerm, at) => entryOf(prevIndex + 1 + at, number(entryTerm)));
    const message = {
      type: 'append',
      term: number(term),
      prevIndex,
      prevTerm,
      commitIndex: number(commit),
      entries,
    } as const;
    this.#cluster.deliver({ from: number(from), to: number(to), message });
  }

  #settle([without, ...ids]: readonly string[]): void {
    if (without !== undefined && without !== 'without') throw new Error(`no such word: ${without}`);
    const cut = without === undefined ? this.#cut : cutOff(...ids.map(number));
    this.#quietly(() => this.#cluster.settle(cut));
  }

  #quietly(task: () => void): void {
    const said = [...this.#said];
    task();
    this.#said = said;
  }

  /** What is on its way, on one link or on all, in the order in which it was sent. */
  #take(link: string | undefined): Mail[] {
    const [from, to] = link?.split('->').map(number) ?? [null, null];
    const taken: Mail[] = [];
    const left: Mail[] = [];
    for (const mail of this.#cluster.inbox) {
      if (from === null || (mail.from === from && mail.to === to)) taken.push(mail);
      else left.push(mail);
    }
    if (taken.length === 0) this.#said.push('nothing is on its way there');
    this.#cluster.inbox = left;
    return taken;
  }

  #noticeChanges(): void {
    for (const member of this.#cluster.members) {
      const { id, reads } = member;
      const before = this.#seen[id - 1];
      const now = seen(member);
      this.#seen[id - 1] = now;
      if (before === undefined) continue;
      if (now.vote !== null && (now.vote !== before.vote || now.term !== before.term)) {
        this.#said.push(`node ${id} votes for ${now.vote} in term ${now.term}`);
      }
      if (now.role !== before.role || now.term !== before.term || now.leader !== before.leader) {
        this.#said.push(`node ${id} ${roleText(now)}`);
      }
      if (now.configuration !== before.configuration) {
        this.#said.push(`node ${id} goes by ${now.configuration}`);
      }
      if (now.commit !== before.commit) this.#said.push(`node ${id} commits ${now.commit}`);
      for (const { id: read, index } of reads.slice(before.reads)) {
        this.#said.push(
          index === null
            ? `node ${id} refuses read ${read}`
            : `node ${id} may answer read ${read} at ${index}`,
        );
      }
    }
  }
}

function seen({ raft, reads }: Member): Seen {
  const { role, term, leader, vote, commitIndex } = raft;
  const configuration = configurationText(raft.configuration);
  return { role, term, leader, vote, commit: commitIndex, reads: reads.length, configuration };
}

function roleText({ role, term, leader }: Seen): string {
  if (role === 'leader') return `leads in term ${term}`;
  if (role === 'candidate') return `campaigns in term ${term}`;
  return leader === null ? `follows nobody in term ${term}` : `follows ${leader} in term ${term}`;
}

function statusText(member: Member): string {
  const now = seen(member);
  return `node ${member.id} ${roleText(now)}, vote ${now.vote ?? 'none'}, commit ${now.commit}, log to ${member.log.lastIndex}/${member.log.lastTerm}`;
}

function logText({ id, log }: Member): string {
  const entries = log.entries(log.firstIndex, log.lastIndex + 1, Number.MAX_SAFE_INTEGER);
  const words = entries.map(
    ({ index, term, kind, payload }) =>
      `${index}/${term}${kind === EntryKind.Noop ? '' : payloadText(kind, payload)}${index > log.durableIndex ? '*' : ''}`,
  );
  return `node ${id}: ${words.join(' ')}`;
}

function mailText({ from, to, message }: Mail): string {
  return `${from}->${to} ${messageText(message)}`;
}

function number(word: string | undefined): number {
  const value = Number((word ?? '').replace(/:$/, ''));
  if (word === undefined || !Number.isSafeInteger(value)) throw new Error(`not a number: ${word}`);
  return value;
}
