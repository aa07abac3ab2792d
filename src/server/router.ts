/**
 * Finds the node that can answer a request: this one if it leads, else the leader over the peer link, else it waits a
 * bounded time for one.
 *
 * A request is handed on again only when it certainly was not executed (`unavailable`), or when it is a read: a write
 * whose fate is open is answered `unknown` and never repeated.
 */
import { assert } from '../base/assert.ts';
import type { Clock, Timer } from '../io/clock.ts';
import { errorResult, isWrite, type Request, type Result } from '../kv/request.ts';
import { decodeRequest, decodeResult, encodeRequest, encodeResult } from '../kv/request_codec.ts';
import type { NodeId } from '../raft/message.ts';
import type { Replica } from '../replica/replica.ts';
import type { PeerFrame } from './peer_protocol.ts';

export interface RouterOptions {
  readonly replica: Replica;
  readonly clock: Clock;
  /** How long a request waits for a leader, and how long in all for an answer. */
  readonly timeouts: RouterTimeouts;
  /** Requests waiting for a leader; more are refused. */
  readonly waitingMax: number;
  /** Returns false when the frame was certainly not sent. */
  readonly send: (to: NodeId, frame: PeerFrame) => boolean;
}

export interface RouterTimeouts {
  readonly noLeaderMs: number;
  readonly answerMs: number;
}

type Done = (result: Result) => void;

/** A request on its way. */
interface Job {
  readonly request: Request;
  readonly done: Done;
  /** Until then a leader must have taken it. */
  readonly leaderDeadlineMs: number;
  /** Until then it must be answered. */
  readonly answerDeadlineMs: number;
  /** Where it was sent; null while it waits. */
  peer: NodeId | null;
}

const SWEEP_MS = 50;
const NO_LEADER = errorResult('unavailable', 'no leader');
const LOST = errorResult(
  'unknown',
  'the leader was lost before it answered: the write may or may not take effect',
);
const LATE = errorResult(
  'unknown',
  'the leader did not answer in time: the write may or may not take effect',
);

export class Router {
  readonly #options: RouterOptions;
  /** Jobs that wait for a leader. */
  #waiting: Job[] = [];
  /** Jobs that a peer works on, by request id. */
  readonly #forwarded = new Map<number, Job>();
  #nextId = 1;
  #sweep: Timer | null = null;
  #stopped = false;

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /** Who would take a request now; null: nobody is known. */
  get target(): NodeId | null {
    return this.#options.replica.leader;
  }

  /** `done` is called once, maybe before this returns. */
  route(request: Request, done: Done): void {
    if (this.#stopped) {
      done(errorResult('unavailable', 'the node is stopping'));
      return;
    }
    const { clock, timeouts } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#dispatch({
      request,
      done,
      leaderDeadlineMs: nowMs + timeouts.noLeaderMs,
      answerDeadlineMs: nowMs + timeouts.answerMs,
      peer: null,
    });
  }

  /** A leader may have appeared, here or elsewhere. */
  onLeaderChange(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const job of waiting) this.#dispatch(job);
  }

  onPeerDown(peer: NodeId): void {
    for (const [id, job] of this.#forwarded) {
      if (job.peer !== peer) continue;
      this.#forwarded.delete(id);
      if (isWrite(job.request)) job.done(LOST);
      else this.#retry(job);
    }
  }

  /** A peer asks us. Only the leader executes; a follower does not pass requests on, so none ever runs in a circle. */
  onRequest(from: NodeId, id: number, fields: readonly unknown[]): void {
    const request = decodeRequest(fields);
    const answer = (result: Result): void => {
      this.#options.send(from, { kind: 'response', id, result: encodeResult(result) });
    };
    if (this.#stopped) answer(errorResult('unavailable', 'the node is stopping'));
    else this.#execute(request, answer);
  }

  onResponse(from: NodeId, id: number, fields: readonly unknown[]): void {
    const job = this.#forwarded.get(id);
    // Answers to requests that we have given up come late.
    if (job === undefined || job.peer !== from) return;
    this.#forwarded.delete(id);
    this.#onResult(job, decodeResult(fields));
  }

  stop(): void {
    this.#stopped = true;
    this.#sweep?.cancel();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const job of waiting) job.done(errorResult('unavailable', 'the node is stopping'));
    for (const job of this.#forwarded.values()) {
      job.done(isWrite(job.request) ? LOST : errorResult('unavailable', 'the node is stopping'));
    }
    this.#forwarded.clear();
  }

  #dispatch(job: Job): void {
    const { replica, send } = this.#options;
    if (replica.isLeader) {
      this.#execute(job.request, (result) => this.#onResult(job, result));
      return;
    }
    const { leader } = replica;
    if (leader === null) {
      this.#wait(job);
      return;
    }
    const id = this.#nextId++;
    if (!send(leader, { kind: 'request', id, request: encodeRequest(job.request) })) {
      this.#wait(job);
      return;
    }
    job.peer = leader;
    this.#forwarded.set(id, job);
    this.#planSweep();
  }

  #execute(request: Request, done: Done): void {
    if (isWrite(request)) this.#options.replica.propose(request, done);
    else this.#options.replica.read(request, done);
  }

  #onResult(job: Job, result: Result): void {
    // Not executed for certain: another leader may take it, as long as there is time.
    if (result.type === 'error' && result.code === 'unavailable' && !this.#stopped) this.#retry(job);
    else job.done(result);
  }

  #retry(job: Job): void {
    job.peer = null;
    this.#wait(job);
  }

  #wait(job: Job): void {
    assert(job.peer === null, 'a request is in one place at a time');
    const { clock, waitingMax } = this.#options;
    if (this.#waiting.length >= waitingMax || clock.monotonicMs() >= job.leaderDeadlineMs) {
      job.done(NO_LEADER);
      return;
    }
    this.#waiting.push(job);
    this.#planSweep();
  }

  #planSweep(): void {
    if (this.#sweep !== null || this.#stopped) return;
    this.#sweep = this.#options.clock.after(SWEEP_MS, this.#onSweep);
  }

  /** Tries what waits again, and gives up what is too late. */
  readonly #onSweep = (): void => {
    this.#sweep = null;
    const nowMs = this.#options.clock.monotonicMs();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const job of waiting) {
      if (nowMs >= job.leaderDeadlineMs) job.done(NO_LEADER);
      else this.#dispatch(job);
    }
    for (const [id, job] of this.#forwarded) {
      if (job.answerDeadlineMs > nowMs) continue;
      this.#forwarded.delete(id);
      job.done(isWrite(job.request) ? LATE : NO_LEADER);
    }
    if (this.#waiting.length > 0 || this.#forwarded.size > 0) this.#planSweep();
  };
}
