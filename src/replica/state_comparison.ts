/**
 * Compares what this replica's state machine has done with what its leader's has (`StateDigest`), and raises the alarm on
 * both sides when that is not the same.
 *
 * The leader tells all other members the digests of its latest windows whenever it has finished one. Whoever has a
 * digest of such a window too compares, at once or when it has applied so far. Digests that are lost on the way come
 * again with the next ones, as long as they are among the latest; a window that nobody compares does no harm. Terms
 * play no part: replicas that have applied the same entries have done the same, whoever leads.
 *
 * An alarm is for people: which of two replicas is right, they cannot tell. Nothing is changed by it.
 */
import { sometimes } from '../base/rare.ts';
import type { Logger } from '../io/logger.ts';
import type { StateDigest, WindowDigest } from '../kv/state_digest.ts';
import type { Index } from '../log/entry.ts';
import type { NodeId } from '../raft/message.ts';
import type { DigestMessage } from './snapshot_codec.ts';

export interface StateComparisonOptions {
  readonly id: NodeId;
  readonly digest: StateDigest;
  readonly logger: Logger;
  readonly leads: () => boolean;
  /** The other members. */
  readonly peers: () => readonly NodeId[];
  /** Best effort. */
  readonly send: (to: NodeId, message: DigestMessage) => void;
}

type Digests = DigestMessage & { readonly type: 'state-digests' };

/** In how many windows this replica and another one differ, since the process started. */
interface Divergence {
  windows: number;
  /** The last of them. */
  index: Index;
}

export class StateComparison {
  readonly #options: StateComparisonOptions;
  /** Of the last window that the others were told of, as their leader. */
  #toldIndex: Index = 0;
  /** What this replica was told last, and by whom. */
  #heard: { readonly from: NodeId; readonly digests: Digests } | null = null;
  /** The last of this replica's windows that `#heard` was searched for. */
  #searchedIndex: Index = 0;
  readonly #divergences = new Map<NodeId, Divergence>();
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
  review(): void {
    const { digest, leads, peers, send } = this.#options;
    digest.settle();
    const latest = digest.windows.at(-1)?.index ?? 0;
    if (!leads()) this.#toldIndex = 0;
    else if (latest > this.#toldIndex) {
      this.#toldIndex = latest;
      const { windowEntries, windows } = digest;
      for (const peer of peers()) send(peer, { type: 'state-digests', windowEntries, windows: [...windows] });
    }
    if (latest > this.#searchedIndex) this.#compare();
  }

  onMessage(from: NodeId, message: DigestMessage): void {
    if (message.type === 'state-differs') {
      this.#note(from, message.index, message.told, message.digest);
      return;
    }
    // Windows of other sizes end at the same entry now and then.
    if (message.windowEntries !== this.#options.digest.windowEntries) return;
    this.#heard = { from, digests: message };
    this.#compare();
  }

  /** The state is another one now. An alarm stays: people are to see it. */
  onReplaced(): void {
    this.#heard = null;
    this.#searchedIndex = 0;
    this.#toldIndex = 0;
    this.comparedIndex = 0;
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
    this.#note(from, index, digest, other.digest);
    this.#options.send(from, { type: 'state-differs', index, digest, told: other.digest });
  }

  /** One that has drifted apart may differ in every window from then on: the log tells of the first, second, fourth, ... */
  #note(peer: NodeId, index: Index, own: number, other: number): void {
    const known = this.#divergences.get(peer) ?? { windows: 0, index: 0 };
    if (index <= known.index) return;
    known.windows++;
    known.index = index;
    this.#divergences.set(peer, known);
    if ((known.windows & (known.windows - 1)) !== 0) return;
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
}

function hex(digest: number): string {
  return digest.toString(16).padStart(8, '0');
}
