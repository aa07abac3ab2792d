/**
 * Finds the node that can answer a request: this one if it leads or, for a read, follows closely (the replica asks the
 * leader for a read index), else the leader over the peer link, else it waits a bounded time for one.
 *
 * A request is handed on again only when it certainly was not executed (it came back `unavailable`, or a leader that
 * stops says that it has not read it), or when it is a read: a write whose fate is open is answered `unknown` and never
 * repeated.
 *
 * A read that meets damage on the disk of the node that was to answer it is handed on too, from this node to the leader and
 * back: one of them may be intact, or mended, or another one lead soon. The error is the answer only when time is up.
 *
 * Requests of one lane (a client's connection) take effect in the order in which they were asked, although several are
 * on their way together: one that came back is handed on again only after those behind it have come back too, and if
 * one of those was executed, it is too late for it. A read that is answered before an earlier one (which met a key that is
 * due, say, and was answered as of a later entry) is read again behind that.
 */

import { assert } from '../base/assert.ts';
import { rarely, sometimes } from '../base/rare.ts';
import type { Clock, Timer } from '../io/clock.ts';
import type { Random } from '../io/random.ts';
import {
  errorResult,
  isAdministration,
  isWrite,
  type Read,
  type Request,
  type Result,
} from '../kv/request.ts';
import { decodeRequest, decodeResult, encodeRequest, encodeResult } from '../kv/request_codec.ts';
import type { GroupId } from '../log/entry.ts';
import type { NodeId } from '../raft/message.ts';
import { LEADER_REBUILDS, MENDING } from '../replica/proposals.ts';
import { BEING_REBUILT, ODD_ONE_OUT } from '../replica/refusal.ts';
import type { Replica } from '../replica/replica.ts';
import type { PeerFrame } from './peer_protocol.ts';

/** What a router needs of the replica of its group on this node. */
export type RoutedReplica = Pick<
  Replica,
  'isLeader' | 'isAlone' | 'leader' | 'servesReads' | 'propose' | 'read' | 'administer'
>;

export interface RouterOptions {
  /** Whose requests these are. */
  readonly group: GroupId;
  readonly replica: RoutedReplica;
  readonly clock: Clock;
  readonly random: Random;
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

/** Requests that must take effect in order: those of them that are not answered, oldest first. */
export class Lane {
  readonly jobs: Job[] = [];
}

/** Between two requests of somebody who asks again and again. */
export interface Pause {
  readonly task: () => void;
  readonly timer: Timer;
}

/** A request on its way. */
interface Job {
  readonly request: Request;
  readonly done: Done;
  readonly lane: Lane;
  /**
   * `returned`: it was not executed, and waits for those behind it in its lane to come back. `early`: so does a read that was
   * answered before an earlier one, or would be. `answered`: it is out of its lane.
   */
  state: 'waiting' | 'sent' | 'returned' | 'early' | 'answered';
  /** Until then a leader must have taken it. */
  readonly leaderDeadlineMs: number;
  /** Until then whoever works on it must have answered. One that came back waits for those behind it as well. */
  readonly answerDeadlineMs: number;
  /**
   * The connection that it was sent by is gone; its answer, which comes by another one, may be on its way until then.
   * Null: it is not gone.
   */
  cutOffUntilMs: number | null;
  /** A read that could not be answered here: the leader may know more, for one that a key has expired by now. */
  isForLeader: boolean;
  /** One behind it in its lane was, or may have been, executed: if it comes back, it is too late for it. */
  isOvertaken: boolean;
  /** Where it was sent; null while it waits. */
  peer: NodeId | null;
  /** A read that met damage: this is the answer if nobody gives a better one in time. */
  damage: Result | null;
  /** What is said when nobody takes it in time. */
  refusal: Result;
}

const SWEEP_MS = 50;
/** How long an answer may come behind the end of the connection by which the request was sent. */
const LAST_WORDS_MS = 200;
/** The same when the peer has read the request and stops in order: it has sent the answer, unless it could not reach us. */
const ANSWER_UNDER_WAY_MS = 2000;
const STOPPING = errorResult('unavailable', 'the node is stopping');
const NO_LEADER = errorResult('unavailable', 'no leader');
/** More is said with these than with `NO_LEADER`. */
const TOLD = [MENDING, LEADER_REBUILDS, BEING_REBUILT, ODD_ONE_OUT];
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
  /**
   * An answer to a request of an earlier life of this node may still arrive; it must not pass for one to a request of
   * this life. So ids don't start anew: each life counts up from a number of its own, drawn from 2^52.
   */
  #nextId: number;
  #sweep: Timer | null = null;
  /** Requests that are not answered. */
  #unanswered = 0;
  #draining = false;
  readonly #pauses = new Set<Pause>();
  #stopped = false;

  constructor(options: RouterOptions) {
    this.#options = options;
    this.#nextId = options.random.below(2 ** 20) * 2 ** 32 + options.random.below(2 ** 32);
  }

  /** Who would take a request now; null: nobody is known. */
  get target(): NodeId | null {
    return this.#options.replica.leader;
  }

  /** `done` is called once, maybe before this returns. It must not ask for more in the same lane before it returns. */
  route(request: Request, lane: Lane, done: Done): void {
    if (this.#stopped || this.#draining) {
      done(STOPPING);
      return;
    }
    this.#unanswered++;
    const { clock, timeouts } = this.#options;
    const nowMs = clock.monotonicMs();
    const job: Job = {
      request,
      done,
      lane,
      state: 'sent',
      leaderDeadlineMs: nowMs + timeouts.noLeaderMs,
      answerDeadlineMs: nowMs + timeouts.answerMs,
      cutOffUntilMs: null,
      isForLeader: false,
      isOvertaken: false,
      peer: null,
      damage: null,
      refusal: NO_LEADER,
    };
    lane.jobs.push(job);
    this.#dispatch(job, 'first');
  }

  /** A leader may have appeared, here or elsewhere. */
  onLeaderChange(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const job of waiting) this.#dispatch(job);
  }

  /**
   * The connection by which requests are sent there is gone. Reads are asked anew, and so is what the peer has not read. A
   * peer that stops in order has answered all that it has read, but by a connection of its own, and which of the two ends
   * shows first is chance.
   *
   * @param lastRead The id of the last request that the peer has read from that very connection, `NONE_READ` if it has read
   *   none; null: it has not said so.
   */
  onPeerDown(peer: NodeId, lastRead: number | null): void {
    const waitMs = lastRead === null ? LAST_WORDS_MS : ANSWER_UNDER_WAY_MS;
    const lastMs = this.#options.clock.monotonicMs() + waitMs;
    for (const [id, job] of this.#forwarded) {
      if (job.peer !== peer || job.cutOffUntilMs !== null) continue;
      const isUnread = lastRead !== null && id > lastRead;
      if (isUnread || !isWrite(job.request)) {
        if (isUnread) sometimes('a peer that stops has not read a request');
        this.#forwarded.delete(id);
        this.#takeBack(job);
      } else {
        job.cutOffUntilMs = lastMs;
        this.#planSweep();
      }
    }
  }

  /** A peer asks us, since it takes us for the leader. What we can't execute goes back, so none ever runs in a circle. */
  onRequest(from: NodeId, id: number, fields: readonly unknown[]): void {
    const request = decodeRequest(fields);
    const answer = (result: Result): void => {
      const { send, group } = this.#options;
      send(from, { kind: 'response', group, id, result: encodeResult(result) });
    };
    if (this.#stopped || this.#draining) answer(STOPPING);
    else this.#execute(request, answer);
  }

  onResponse(from: NodeId, id: number, fields: readonly unknown[]): void {
    const job = this.#forwarded.get(id);
    // Answers to requests that we have given up come late.
    if (job === undefined || job.peer !== from) return;
    this.#forwarded.delete(id);
    if (job.cutOffUntilMs !== null) sometimes('an answer comes behind the end of a connection');
    this.#onResult(job, decodeResult(fields));
  }

  /** From now on new requests are refused; those under way are answered as they would be. */
  drain(): void {
    this.#draining = true;
  }

  get isIdle(): boolean {
    return this.#unanswered === 0;
  }

  stop(): void {
    this.#stopped = true;
    this.#sweep?.cancel();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const job of waiting) this.#finish(job, STOPPING);
    for (const job of this.#forwarded.values()) this.#finish(job, isWrite(job.request) ? LOST : STOPPING);
    this.#forwarded.clear();
    for (const pause of this.#pauses) {
      pause.timer.cancel();
      pause.task();
    }
    this.#pauses.clear();
  }

  /** Calls `task` after a pause, or when the node stops: somebody will ask again then. */
  pause(ms: number, task: () => void): Pause {
    const pause: Pause = {
      task,
      timer: this.#options.clock.after(ms, () => {
        this.#pauses.delete(pause);
        task();
      }),
    };
    this.#pauses.add(pause);
    return pause;
  }

  /** Idempotent; `task` is not called any more. */
  cancelPause(pause: Pause): void {
    this.#pauses.delete(pause);
    pause.timer.cancel();
  }

  #dispatch(job: Job, attempt: 'first' | 'later' = 'later'): void {
    const { replica, send, group } = this.#options;
    // They can only go together where they go to the same node.
    if (isBehindOneForLeader(job)) job.isForLeader = true;
    const isForThisNode =
      replica.isLeader || (!isWrite(job.request) && !job.isForLeader && canReadHere(replica, job.request));
    const leader = isForThisNode ? null : replica.leader;
    if (!isNextToSend(job, leader)) {
      if (attempt === 'first' && isBehindEarly(job)) {
        const isAwaited = job.lane.jobs.some((each) => each !== job && each.state === 'sent');
        assert(isAwaited, 'what is to be read again waits for one that is on its way');
        job.state = 'early';
        return;
      }
      sometimes('a request waits behind one of its lane');
      this.#wait(job);
      return;
    }
    job.state = 'sent';
    job.peer = null;
    if (isForThisNode) {
      this.#execute(job.request, (result) => this.#onResult(job, result));
      return;
    }
    if (leader === null) {
      this.#wait(job);
      return;
    }
    const id = this.#nextId++;
    if (!send(leader, { kind: 'request', group, id, request: encodeRequest(job.request) })) {
      this.#wait(job);
      return;
    }
    job.peer = leader;
    this.#forwarded.set(id, job);
    this.#planSweep();
  }

  #execute(request: Request, done: Done): void {
    if (isAdministration(request)) this.#options.replica.administer(request, done);
    else if (isWrite(request)) this.#options.replica.propose(request, done);
    else this.#options.replica.read(request, done);
  }

  #onResult(job: Job, result: Result): void {
    // Not executed for certain: another leader may take it, as long as there is time.
    if (isUnavailable(result) && !isOfThisNode(job.request)) {
      if (this.#stopped) {
        this.#finish(job, STOPPING);
        return;
      }
      job.refusal = toldOf(result) ?? NO_LEADER;
      this.#takeBack(job);
    } else if (this.#isToBeReadElsewhere(job, result)) {
      rarely('a read that meets damage is handed on');
      job.damage = result;
      this.#takeBack(job);
    } else if (this.#isEarly(job)) {
      sometimes('a read is answered before an earlier one');
      this.#takeBack(job, 'early');
    } else this.#finish(job, result);
  }

  /** What one node's disk has lost another one holds: a read is handed to and fro between the leader and this node. */
  #isToBeReadElsewhere(job: Job, result: Result): boolean {
    if (result.type !== 'error' || result.code !== 'corruption' || this.#stopped) return false;
    return !isFinalHere(job.request) && !this.#options.replica.isAlone;
  }

  /** A read whose answer would overtake an earlier one: that may be answered as of a later time than this. */
  #isEarly(job: Job): boolean {
    if (job.lane.jobs[0] === job || job.isOvertaken || this.#stopped) return false;
    return !isFinalHere(job.request);
  }

  #finish(job: Job, result: Result): void {
    const { jobs } = job.lane;
    const at = jobs.indexOf(job);
    assert(at >= 0, 'a request is answered once', { type: job.request.type });
    // What was asked before it and came back has been overtaken: it must not take effect any more.
    // Reads overtake nothing: those that are answered before an earlier one come back.
    const isOvertaking = at > 0 && !isUnavailable(result) && isFinalHere(job.request);
    const earlier = isOvertaking ? jobs.slice(0, at) : [];
    for (const each of earlier) each.isOvertaken = true;
    const overtaken = earlier.filter(hasComeBack);
    for (const gone of [...overtaken, job]) {
      gone.state = 'answered';
      jobs.splice(jobs.indexOf(gone), 1);
    }
    for (const { done, damage } of overtaken) {
      sometimes('a request that came back was overtaken');
      this.#unanswered--;
      done(damage ?? NO_LEADER);
    }
    this.#unanswered--;
    job.done(result);
    if (jobs.length > 0) this.#waitTogether(job.lane);
  }

  #takeBack(job: Job, state: 'returned' | 'early' = 'returned'): void {
    sometimes('a request comes back unexecuted');
    if (job.isOvertaken) {
      this.#finish(job, job.damage ?? NO_LEADER);
      return;
    }
    job.state = state;
    if (state === 'returned') job.isForLeader = job.peer === null;
    job.cutOffUntilMs = null;
    job.peer = null;
    this.#waitTogether(job.lane);
  }

  /**
   * Once nothing of a lane is on its way any more, all that came back is handed on again, in order; at once, as long as
   * nobody has to be waited for.
   */
  #waitTogether(lane: Lane): void {
    for (const { state } of lane.jobs) if (state === 'sent') return;
    for (const job of [...lane.jobs]) {
      if (!hasComeBack(job)) continue;
      if (this.#isReady(job)) this.#dispatch(job);
      else this.#wait(job);
    }
  }

  /** It is to be read again, or by the leader, who is known. */
  #isReady(job: Job): boolean {
    const { replica, clock } = this.#options;
    if (this.#stopped || clock.monotonicMs() >= job.answerDeadlineMs) return false;
    return job.state === 'early' || (job.isForLeader && !replica.isLeader && replica.leader !== null);
  }

  #wait(job: Job): void {
    assert(job.peer === null, 'a request is in one place at a time');
    const { clock, waitingMax } = this.#options;
    job.state = 'waiting';
    if (this.#stopped) {
      // It has come back, and what was on its way in its lane has just been given up.
      this.#finish(job, STOPPING);
      return;
    }
    if (this.#waiting.length >= waitingMax || clock.monotonicMs() >= job.leaderDeadlineMs) {
      this.#finish(job, job.damage ?? job.refusal);
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
      if (nowMs >= job.leaderDeadlineMs) this.#finish(job, job.damage ?? job.refusal);
      else this.#dispatch(job);
    }
    for (const [id, job] of this.#forwarded) {
      const isCutOff = job.cutOffUntilMs !== null;
      if (Math.min(job.answerDeadlineMs, job.cutOffUntilMs ?? Number.POSITIVE_INFINITY) > nowMs) continue;
      this.#forwarded.delete(id);
      if (isCutOff) sometimes('a write is lost with its leader');
      this.#finish(job, isCutOff ? LOST : isWrite(job.request) ? LATE : NO_LEADER);
    }
    if (this.#waiting.length > 0 || this.#forwarded.size > 0) this.#planSweep();
  };
}

function canReadHere(replica: RoutedReplica, { terms }: Read): boolean {
  return terms?.consistency === 'stale' || replica.servesReads;
}

function hasComeBack({ state }: Job): boolean {
  return state === 'returned' || state === 'early';
}

/** What this node says of it is final: it was asked for what it holds. */
function isOfThisNode(request: Request): boolean {
  return !isWrite(request) && request.terms?.consistency === 'stale';
}

/** What a node says of it is not held against what others of its lane are told: a write, or a stale read. */
function isFinalHere(request: Request): boolean {
  return isWrite(request) || isOfThisNode(request);
}

/** The read before it in its lane could not be answered here. */
function isBehindOneForLeader(job: Job): boolean {
  const { jobs } = job.lane;
  const before = jobs[jobs.lastIndexOf(job) - 1];
  return before?.isForLeader === true && !isFinalHere(job.request);
}

/** A read that would be answered before one that is on its way, as those in front of it were: it is read with them. */
function isBehindEarly({ lane, request }: Job): boolean {
  return !isFinalHere(request) && lane.jobs.some(({ state }) => state === 'early');
}

/**
 * Everything asked before it in its lane is on its way, and to the same node by the same connection: what was sent to a
 * leader of before, or by an earlier connection, may arrive later than this.
 */
function isNextToSend(job: Job, peer: NodeId | null): boolean {
  for (const earlier of job.lane.jobs) {
    if (earlier === job) return true;
    if (earlier.state !== 'sent' || earlier.peer !== peer || earlier.cutOffUntilMs !== null) return false;
  }
  return true;
}

/** Why a leader refuses for longer than an election takes, also as another node has said it; null: not for long. */
function toldOf(result: Result): Result | null {
  const isSame = (told: Result): boolean =>
    result.type === 'error' && told.type === 'error' && result.message === told.message;
  return TOLD.find(isSame) ?? null;
}

/** It was certainly not executed. */
function isUnavailable(result: Result): boolean {
  return result.type === 'error' && result.code === 'unavailable';
}
