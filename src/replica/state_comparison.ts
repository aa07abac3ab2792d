/**
 * Compares what this replica's state machine has done with what its leader's has (`StateDigest`), raises the alarm on
 * both sides when that is not the same, and finds out whether this replica is the odd one out.
 *
 * The leader tells all other members the digests of its latest windows whenever it has finished one. Whoever has a
 * digest of such a window too compares, at once or when it has applied so far. Digests that are lost on the way come
 * again with the next ones, as long as they are among the latest; a window that nobody compares does no harm. Terms
 * play no part: replicas that have applied the same entries have done the same, whoever leads.
 *
 * Which of two replicas is right they cannot tell. So each of the two asks all members what they have done in that window
 * (`digest_poll.ts`), again and again for a while, since some may not have got so far; and if a majority of the voters
 * has done another thing than this one, and all of them the same, says so (`onOdd`). It is one window at a time.
 */
import { rarely, sometimes } from '../base/rare.ts';
import type { Logger } from '../io/logger.ts';
import type { StateDigest, WindowDigest } from '../kv/state_digest.ts';
import type { Index } from '../log/entry.ts';
import type { Configuration } from '../raft/configuration.ts';
import type { NodeId } from '../raft/message.ts';
import { DigestPoll, type PollVerdict } from './digest_poll.ts';
import type { DigestMessage } from './snapshot_codec.ts';

export interface StateComparisonOptions {
  readonly id: NodeId;
  readonly digest: StateDigest;
  readonly logger: Logger;
  readonly leads: () => boolean;
  /** The other members. */
  readonly peers: () => readonly NodeId[];
  /** All that may be in force. */
  readonly configurations: () => readonly Configuration[];
  /** Best effort. */
  readonly send: (to: NodeId, message: DigestMessage) => void;
  /** This replica has done something else in a window than a majority. */
  readonly onOdd: (verdict: OddOneOut) => void;
}

export interface OddOneOut {
  /** The last entry of the window. */
  readonly index: Index;
  readonly digest: number;
  readonly majorityDigest: number;
  /** Who has done what the majority has, ascending. */
  readonly agreeing: readonly NodeId[];
}

type Digests = DigestMessage & { readonly type: 'state-digests' };

/** In how many windows this replica and another one differ, since the process started. */
interface Divergence {
  windows: number;
  /** The last of them. */
  index: Index;
}

/** Windows that a leader tells of at a time. */
const TOLD_MAX = 8;
const ASK_PAUSE_MS = 200;
/** Whoever has not answered in time to these has no digest of the window. */
const ASKS_MAX = 25;
/** A later window that differs is the better question after so many: the others may have no digest of the first. */
const ASKS_BEFORE_A_LATER = 5;

export class StateComparison {
  readonly #options: StateComparisonOptions;
  /** Of the last window that the others were told of, as their leader. */
  #toldIndex: Index = 0;
  /** What this replica was told last, and by whom. */
  #heard: { readonly from: NodeId; readonly digests: Digests } | null = null;
  /** The last of this replica's windows that `#heard` was searched for. */
  #searchedIndex: Index = 0;
  readonly #divergences = new Map<NodeId, Divergence>();
  #poll: DigestPoll | null = null;
  /** So often polls were asked that gave way to others, since one was decided. */
  #askedInVain = 0;
  #undecided = 0;
  /** The last entry of the latest window that this replica has compared with its leader's; 0: none. */
  comparedIndex: Index = 0;

  constructor(options: StateComparisonOptions) {
    this.#options = options;
  }

  /** The replicas that differ from this one, ascending. */
  get divergedWith(): readonly NodeId[] {
    return [...this.#divergences.keys()].sort((a, b) => a - b);
  }

  /** The last entry of the latest window in which this replica and another one differ; 0: none. */
  get divergedIndex(): Index {
    let latest = 0;
    for (const { index } of this.#divergences.values()) latest = Math.max(latest, index);
    return latest;
  }

  /** Once in each turn, behind what was applied in it. */
  review(nowMs: number): void {
    const { digest, leads, peers, send } = this.#options;
    digest.settle();
    const latest = digest.windows.at(-1)?.index ?? 0;
    if (!leads()) this.#toldIndex = 0;
    else if (latest > this.#toldIndex) {
      this.#toldIndex = latest;
      const { windowEntries } = digest;
      const windows = digest.windows.slice(-TOLD_MAX);
      for (const peer of peers()) send(peer, { type: 'state-digests', windowEntries, windows });
    }
    if (latest > this.#searchedIndex) this.#compare();
    if (this.#poll !== null) this.#ask(this.#poll, nowMs);
  }

  onMessage(from: NodeId, message: DigestMessage): void {
    if (message.type === 'state-differs') {
      this.#note(from, message.index, message.told, message.digest);
      return;
    }
    // Windows of other sizes end at the same entry now and then.
    const { digest, send } = this.#options;
    const { windowEntries } = digest;
    if (message.windowEntries !== windowEntries) return;
    if (message.type === 'state-digests') {
      this.#heard = { from, digests: message };
      this.#compare();
      return;
    }
    const { index } = message;
    if (message.type === 'state-question') {
      const own = this.#ownDigest(index);
      if (own !== null) send(from, { type: 'state-answer', windowEntries, index, digest: own });
    } else if (this.#poll?.index === index) {
      this.#poll.note(from, message.digest);
      this.#settle(this.#poll);
    }
  }

  /** The state is another one now. An alarm stays: people are to see it. */
  onReplaced(): void {
    this.#heard = null;
    this.#searchedIndex = 0;
    this.#toldIndex = 0;
    this.comparedIndex = 0;
    this.#poll = null;
    this.#askedInVain = 0;
  }

  #ownDigest(index: Index): number | null {
    return this.#options.digest.windows.find((window) => window.index === index)?.digest ?? null;
  }

  #compare(): void {
    const { windows } = this.#options.digest;
    this.#searchedIndex = windows.at(-1)?.index ?? 0;
    if (this.#heard === null) return;
    const { from, digests } = this.#heard;
    for (const own of windows) {
      if (own.index <= this.comparedIndex) continue;
      const other = digests.windows.find(({ index }) => index === own.index);
      if (other !== undefined) this.#compareWindow(from, own, other);
    }
  }

  #compareWindow(from: NodeId, own: WindowDigest, other: WindowDigest): void {
    const { index, digest } = own;
    this.comparedIndex = index;
    if (digest === other.digest) {
      sometimes('replicas have done the same in a window');
      return;
    }
    this.#options.send(from, { type: 'state-differs', index, digest, told: other.digest });
    this.#note(from, index, digest, other.digest);
  }

  /** One that has drifted apart may differ in every window from then on: the log tells of the first, second, fourth, ... */
  #note(peer: NodeId, index: Index, own: number, other: number): void {
    this.#openPoll(peer, index, own, other);
    const known = this.#divergences.get(peer) ?? { windows: 0, index: 0 };
    if (index <= known.index) return;
    known.windows++;
    known.index = index;
    this.#divergences.set(peer, known);
    if (!isPowerOfTwo(known.windows)) return;
    this.#options.logger.log('error', 'state-diverged', {
      node: this.#options.id,
      with: peer,
      index,
      entries: this.#options.digest.windowEntries,
      digest: hex(own),
      other_digest: hex(other),
      windows: known.windows,
    });
  }

  #openPoll(peer: NodeId, index: Index, own: number, other: number): void {
    const poll = this.#poll;
    const isNext = poll === null || (index > poll.index && poll.asked >= ASKS_BEFORE_A_LATER);
    // What this replica had told may be of a state that it does not hold any more.
    if (isNext && this.#ownDigest(index) === own) {
      if (poll !== null) this.#giveWay(poll);
      this.#poll = new DigestPoll(this.#options.id, index, own);
    }
    if (this.#poll?.index === index) this.#poll.note(peer, other);
  }

  /** The next question may well be decided. Where one after the other gives way, nobody can tell. */
  #giveWay(poll: DigestPoll): void {
    this.#askedInVain += poll.asked;
    if (this.#askedInVain >= ASKS_MAX) this.#end('undecided', poll);
  }

  #ask(poll: DigestPoll, nowMs: number): void {
    const { peers, send, digest } = this.#options;
    this.#settle(poll);
    if (this.#poll !== poll || nowMs < poll.nextAskMs) return;
    if (poll.asked === ASKS_MAX) {
      this.#end('undecided', poll);
      return;
    }
    poll.asked++;
    poll.nextAskMs = nowMs + ASK_PAUSE_MS;
    const { windowEntries } = digest;
    for (const peer of peers()) {
      if (!poll.hasAnswered(peer)) send(peer, { type: 'state-question', windowEntries, index: poll.index });
    }
  }

  #settle(poll: DigestPoll): void {
    const { configurations, onOdd } = this.#options;
    const verdict = poll.verdict(configurations());
    if (verdict.type === 'open') return;
    this.#end(verdict.type, poll);
    if (verdict.type !== 'odd-one-out') return;
    const { index, digest } = poll;
    onOdd({ index, digest, majorityDigest: verdict.digest, agreeing: verdict.agreeing });
  }

  #end(verdict: PollVerdict['type'], { index, digest }: DigestPoll): void {
    this.#poll = null;
    this.#askedInVain = 0;
    if (verdict !== 'undecided') return;
    rarely('replicas differ and no majority agrees');
    this.#undecided++;
    if (!isPowerOfTwo(this.#undecided)) return;
    const { logger, id } = this.#options;
    logger.log('error', 'state-undecided', {
      node: id,
      index,
      digest: hex(digest),
      windows: this.#undecided,
      why: 'no majority of the voters has told one other digest: nothing is rebuilt',
    });
  }
}

function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0;
}

export function hex(digest: number): string {
  return digest.toString(16).padStart(8, '0');
}
