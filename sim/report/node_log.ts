/** What became of each node: up, down, recovering; its role and term; votes, elections and commits. Lane = number. */
import type { ObservedNode } from './probe.ts';
import type { MarkKind } from './record.ts';
import type { SpanLog } from './span_log.ts';

type Raft = ObservedNode['replica']['raft'];

/** What was last seen of a node that is up; a restart begins anew. */
interface Seen {
  role: Raft['role'] | null;
  term: number;
  vote: number | null;
  commitIndex: number;
  isUp: boolean;
}

export class NodeLog {
  readonly #spans: SpanLog;
  readonly #mark: (lane: number, kind: MarkKind, text: string) => void;
  readonly #seen = new Map<number, Seen>();
  /** The node that went down last. */
  lastEnded: number | null = null;

  constructor(spans: SpanLog, mark: (lane: number, kind: MarkKind, text: string) => void) {
    this.#spans = spans;
    this.#mark = mark;
  }

  isUp(id: number): boolean {
    return this.#seen.get(id)?.isUp ?? false;
  }

  onBoot(nowUs: number, id: number): void {
    this.#seen.set(id, { role: null, term: 0, vote: null, commitIndex: 0, isUp: true });
    this.#spans.close(nowUs, `down ${id}`);
    this.#spans.open(nowUs, `starting ${id}`, { lane: id, kind: 'starting', term: 0, text: 'recovers' });
    this.#mark(id, 'start', 'starts');
  }

  onUp(nowUs: number, id: number): void {
    this.#spans.close(nowUs, `starting ${id}`);
  }

  /** @param how `crash`: the machine stops; `kill`: the process alone; `exit`: in order. */
  onEnd(nowUs: number, id: number, how: string): void {
    this.#seen.delete(id);
    this.lastEnded = id;
    const ofProcess = new Set(['follower', 'candidate', 'leader', 'starting', 'paused']);
    this.#spans.closeAll(nowUs, ({ lane, kind }) => lane === id && ofProcess.has(kind));
    // The machine of a killed process goes on, and what it was about to write is written.
    if (how === 'crash') {
      const isSync = ({ lane, kind }: { lane: number; kind: string }): boolean =>
        lane === id && kind === 'sync';
      this.#spans.closeAll(nowUs, isSync, ', cut short by the crash');
    }
    this.#spans.open(nowUs, `down ${id}`, { lane: id, kind: 'down', term: 0, text: `down (${how})` });
    const text = { crash: 'crashes', kill: 'is killed' }[how] ?? 'ends in order';
    this.#mark(id, 'crash', text);
  }

  onNode(nowUs: number, id: number, raft: Raft): void {
    const seen = this.#seen.get(id);
    if (seen === undefined) return;
    const { role, term, vote, commitIndex } = raft;
    if (role !== seen.role || term !== seen.term) {
      this.#spans.open(nowUs, `role ${id}`, { lane: id, kind: role, term, text: `${role}, term ${term}` });
      if (role === 'leader' && seen.role !== 'leader') this.#mark(id, 'elected', `leads term ${term}`);
    }
    // What a restart has found is not news.
    const isFirst = seen.role === null;
    if (!isFirst && vote !== null && (vote !== seen.vote || term !== seen.term)) {
      this.#mark(id, 'voted', `votes for ${vote === id ? 'itself' : `node ${vote}`} in term ${term}`);
    }
    if (commitIndex > seen.commitIndex) {
      const from = seen.commitIndex + 1;
      const range = from === commitIndex ? `${from}` : `${from}-${commitIndex}`;
      this.#mark(id, 'commit', `commits ${range}`);
    }
    seen.role = role;
    seen.term = term;
    seen.vote = vote;
    seen.commitIndex = commitIndex;
  }
}
