/**
 * One client connection: parses commands, runs them in order, answers in order.
 *
 * Commands of a pipeline overlap only where nobody could tell: a run of writes, or a run of reads, is under way together
 * as long as it goes to the same leader; anything else waits for what came before it. So a client always reads its own
 * earlier writes, and its writes take effect in the order it sent them.
 *
 * Memory is bounded: a connection with too much unanswered, or whose client does not read its answers, is not read from
 * until that has drained (`held_bytes.ts`).
 */

import { assert } from '../base/assert.ts';
import { toError } from '../base/errors.ts';
import { sometimes } from '../base/rare.ts';
import { concatBytes, utf8 } from '../codec/bytes.ts';
import type { Clock } from '../io/clock.ts';
import type { Connection, ConnectionHandler } from '../io/network.ts';
import {
  DEFAULT_BUCKET,
  errorResult,
  isOnceWrite,
  isPointWrite,
  isRequestType,
  isWrite,
  type LongRead,
  type ReadTerms,
  type Request,
  type Result,
  sameTerms,
} from '../kv/request.ts';
import type { GroupId } from '../log/entry.ts';
import type { Store } from '../lsm/store.ts';
import { answer, answerAlone, type Dialect } from '../protocol/answer.ts';
import type { ClientCommand, ProtocolLimits } from '../protocol/command.ts';
import type { CommandParser } from '../protocol/parser.ts';
import { formatTerms } from '../protocol/read_terms.ts';
import { bulkReply, errorReply, OK, type Reply } from '../protocol/reply.ts';
import { writeReply } from '../protocol/reply_writer.ts';
import { RespParser } from '../protocol/resp_parser.ts';
import { TextParser } from '../protocol/text_parser.ts';
import { bindCommand } from './bind_command.ts';
import type { CursorTable } from './cursor_table.ts';
import { answersValues, bytesOfCommand, HeldBytes } from './held_bytes.ts';
import { Lane, type Pause, type Router } from './router.ts';
import { TransactionQueue } from './transaction_queue.ts';

/** What a connection uses of a group. */
export interface SessionGroup {
  readonly group: GroupId;
  readonly router: Router;
  readonly store: Store;
}

export interface SessionOptions {
  readonly dialect: Dialect;
  readonly limits: ProtocolLimits;
  readonly clock: Clock;
  /** The group that the connection addresses until it says otherwise. */
  readonly group: SessionGroup;
  /** Null: this node does not host it. */
  readonly groupOf: (group: GroupId) => SessionGroup | null;
  /** Shared by the connections of the node. */
  readonly cursors: CursorTable;
  readonly status: () => Record<string, string | number>;
  readonly onClose: (connection: Connection) => void;
  /** A defect: not something that the client did. */
  readonly onFailure: (error: Error) => void;
}

/** Commands of one connection that may be started and not answered. */
const UNANSWERED_MAX = 128;

/** Of a MERGE or FLUSH that is not begun any more. */
const STOPPING = errorReply('the node is stopping');
/** Of one that was begun. */
const NOT_WAITED_FOR = errorReply('unknown outcome: the node stops before this is done');

/** Between two looks for changes that a client waits for. */
const FEED_PAUSE_MS = 20;

/** A command's place in the order of answers. */
interface Slot {
  reply: Uint8Array | null;
  /** What the command holds in memory until it is answered. */
  readonly commandBytes: number;
  readonly isValue: boolean;
}

type FeedRead = Extract<LongRead, { type: 'feed' }>;

/** What may be under way together; `any` is answered at once and only keeps its place among the answers. */
type Kind = 'read' | 'write' | 'alone' | 'any';

export class Session implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #options: SessionOptions;
  readonly #parser: CommandParser;
  readonly #slots: Slot[] = [];
  /** The next command, parsed but not startable yet. */
  #blocked: ClientCommand | null = null;
  #underWay = 0;
  readonly #held = new HeldBytes();
  readonly #lane = new Lane();
  #kind: Kind = 'alone';
  /** Of the reads under way: those of other terms could be answered from an older state than the ones before them. */
  #termsUnderWay: ReadTerms | undefined;
  /** Where the commands under way were sent. */
  #target: number | null = null;
  #group: SessionGroup;
  #bucket = DEFAULT_BUCKET;
  /** What reads keep to that say nothing else; undefined: they are linearizable. */
  #terms: ReadTerms | undefined;
  readonly #transaction: TransactionQueue;
  /** What the node's own store works on: MERGE or FLUSH. */
  #maintained: Slot | null = null;
  #isLeaving = false;
  /** A feed without changes is read again then. */
  #feedPause: Pause | null = null;
  #answers: Uint8Array[] = [];
  #flushIsPlanned = false;
  #paused = false;
  /** The client has finished sending; what it has sent is still carried out. */
  #inputEnded = false;
  #ending: 'no' | 'after-answers' | 'closed' = 'no';
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #answeredAtMs = Number.NEGATIVE_INFINITY;

  constructor(connection: Connection, options: SessionOptions) {
    this.#connection = connection;
    this.#options = options;
    this.#group = options.group;
    this.#transaction = new TransactionQueue(options.limits);
    this.#parser =
      options.dialect === 'resp' ? new RespParser(options.limits) : new TextParser(options.limits);
  }

  /**
   * Its client has asked something or been answered in the last `busyMs` before `sinceMs`, or been answered since, and has
   * asked nothing since: it may be about to ask again.
   */
  isExpected(sinceMs: number, busyMs: number): boolean {
    if (this.#ending !== 'no' || this.#heardAtMs >= sinceMs) return false;
    return Math.max(this.#heardAtMs, this.#answeredAtMs) >= sinceMs - busyMs;
  }

  /** The node stops, and its routers have: what has come is answered, by a refusal at least, and then the connection ends. */
  leave(): void {
    this.#inputEnded = true;
    this.#isLeaving = true;
    const maintained = this.#maintained;
    if (maintained !== null) {
      this.#maintained = null;
      this.#underWay--;
      this.#finish(maintained, NOT_WAITED_FOR);
    }
    this.#proceed();
    this.#flush();
    if (this.#hasClosed) return;
    this.#ending = 'closed';
    this.#connection.close();
  }

  onData(bytes: Uint8Array): void {
    if (this.#ending !== 'no') return;
    this.#heardAtMs = this.#options.clock.monotonicMs();
    this.#parser.push(bytes);
    this.#proceed();
  }

  onDrain(): void {
    this.#proceed();
  }

  /** The client sends no more, but may still read: what it asked is answered first. */
  onEnd(): void {
    this.#inputEnded = true;
    this.#proceed();
  }

  onClose(): void {
    this.#ending = 'closed';
    if (this.#feedPause !== null) this.#group.router.cancelPause(this.#feedPause);
    this.#options.onClose(this.#connection);
  }

  get #hasClosed(): boolean {
    return this.#ending === 'closed';
  }

  /** Starts commands as long as order and limits allow. */
  #proceed(): void {
    try {
      while (this.#ending === 'no' && this.#mayTakeMore()) {
        const command = this.#blocked ?? this.#parser.next();
        if (command === null) {
          if (this.#inputEnded) this.#endAfterAnswers();
          break;
        }
        this.#blocked = null;
        if (!this.#mayStart(command)) {
          sometimes('a command waits for those before it');
          this.#blocked = command;
          break;
        }
        this.#start(command);
      }
      this.#regulate();
    } catch (error) {
      this.#options.onFailure(toError(error));
    }
  }

  #mayTakeMore(): boolean {
    return this.#slots.length < UNANSWERED_MAX && this.#held.mayTakeMore(this.#connection.bufferedBytes);
  }

  #mayStart(command: ClientCommand): boolean {
    const kind = this.#kindOf(command);
    if (this.#underWay === 0 || kind === 'any') return true;
    if (kind === 'read' && !sameTerms(this.#termsOf(command), this.#termsUnderWay)) return false;
    if (answersValues(command) && this.#underWay >= this.#held.readsMax) return false;
    return kind !== 'alone' && kind === this.#kind && this.#group.router.target === this.#target;
  }

  #termsOf(command: ClientCommand): ReadTerms | undefined {
    return command.verb === 'read' ? command.terms : this.#terms;
  }

  /** Stops reading from the client while it has too much under way; starts again when that has gone down. */
  #regulate(): void {
    const full = this.#blocked !== null || !this.#mayTakeMore();
    if (full === this.#paused || this.#ending === 'closed') return;
    this.#paused = full;
    if (full) this.#connection.pause();
    else this.#connection.resume();
  }

  /** Behind MULTI a command is only noted. */
  #kindOf(command: ClientCommand): Kind {
    const isNoted = this.#transaction.isOpen && !isExec(command) && command.verb !== 'discard';
    return isNoted ? 'any' : kindOf(command);
  }

  #start(command: ClientCommand): void {
    const slot: Slot = {
      reply: null,
      commandBytes: bytesOfCommand(command),
      isValue: answersValues(command),
    };
    this.#held.onStarted(slot.commandBytes);
    this.#slots.push(slot);
    const kind = this.#kindOf(command);
    if (kind !== 'any') {
      this.#kind = kind;
      this.#target = this.#group.router.target;
      this.#termsUnderWay = this.#termsOf(command);
    }
    const request = this.#requestOf(command);
    if (!isRequest(request)) {
      if (request === null) this.#startLocal(command, slot);
      else this.#finish(slot, request);
      return;
    }
    this.#underWay++;
    const waitMs = feedWaitMs(command);
    if (waitMs !== null && request.type === 'feed') {
      this.#readFeed(command, request, slot, this.#options.clock.monotonicMs() + waitMs);
      return;
    }
    this.#group.router.route(request, this.#lane, (result) => {
      this.#underWay--;
      // The bucket in use may be another one by now.
      if (command.verb === 'watch' && request.type === 'revisions') {
        this.#finish(slot, this.#onWatched(request, result));
      } else this.#finish(slot, this.#replyTo(command, request, result));
    });
  }

  /** Asks again and again, each time from where it has come to, until there is a change or it is time to answer. */
  #readFeed(command: ClientCommand, request: FeedRead, slot: Slot, deadlineMs: number): void {
    const { clock } = this.#options;
    const { router } = this.#group;
    router.route(request, this.#lane, (result) => {
      const through = emptyFeedThrough(result);
      if (through !== null && clock.monotonicMs() < deadlineMs && this.#ending !== 'closed') {
        const next = { ...request, since: through };
        this.#feedPause = router.pause(FEED_PAUSE_MS, () => this.#readFeed(command, next, slot, deadlineMs));
        return;
      }
      this.#underWay--;
      this.#finish(slot, this.#replyTo(command, request, result));
    });
  }

  /** @param request What was asked: revisions of keys. */
  #onWatched(request: Extract<Request, { type: 'revisions' }>, result: Result): Reply {
    if (result.type === 'list') {
      const revisions = result.items.map((item) => (item.type === 'count' ? item.count : 0));
      return this.#transaction.watch(request.bucket, request.keys, revisions);
    }
    // A client that did not wait for this answer must not have its transaction carried out unwatched.
    this.#transaction.refuse();
    return answer(this.#options.dialect, { verb: 'watch', keys: request.keys }, result, this.#remember);
  }

  #reply(command: ClientCommand, result: Result): Reply {
    return answer(this.#options.dialect, command, result, this.#remember);
  }

  /** Of an answer with its revision the dialect knows the part that is the command's. */
  #replyTo(command: ClientCommand, request: Request, result: Result): Reply {
    const asked = command.verb === 'read' ? command.command : command;
    if (!wantsRevision(request) || result.type !== 'list') return this.#reply(asked, result);
    const [revision, inner] = result.items;
    if (revision?.type !== 'count' || inner === undefined) return this.#reply(asked, result);
    return { type: 'array', items: [{ type: 'integer', value: revision.count }, this.#reply(asked, inner)] };
  }

  readonly #remember = (key: Uint8Array): bigint => this.#options.cursors.remember(key);

  /**
   * What a command asks of the state machine; a reply when it can be told at once; null for those that the session
   * answers itself.
   */
  #requestOf(command: ClientCommand): Request | Reply | null {
    const bucket = this.#bucket;
    const transaction = this.#transaction;
    switch (command.verb) {
      case 'multi':
        return transaction.open();
      case 'exec':
        return transaction.take();
      case 'discard':
        return transaction.discard();
      case 'unwatch':
        return transaction.isOpen ? transaction.add(bucket, command) : transaction.unwatch();
      case 'quit':
        return null;
      case 'once':
        if (transaction.isOpen && !isExec(command)) return transaction.add(bucket, command);
        return this.#once(command);
      case 'invalid':
        if (command.unwatched === true) transaction.refuse();
        return transaction.isOpen && !command.fatal ? transaction.add(bucket, command) : null;
      case 'read':
        if (transaction.isOpen) return transaction.add(bucket, command);
        return this.#readUnder(command.terms, command.command);
      // Transactions rest on the revisions that it notes: they are always the latest.
      case 'watch':
        return transaction.isOpen ? transaction.add(bucket, command) : bindCommand(command, bucket);
      default:
        if (transaction.isOpen) return transaction.add(bucket, command);
    }
    const request = this.#bind(command);
    return this.#terms === undefined ? request : keepTo(this.#terms, request);
  }

  #bind(command: ClientCommand): Request | Reply | null {
    if (command.verb === 'scan' && command.remembered !== null) {
      return this.#goOn(command.remembered, command);
    }
    return bindCommand(command, this.#bucket);
  }

  #readUnder(terms: ReadTerms, command: ClientCommand): Request | Reply {
    const request = this.#bind(command);
    if (request === null || (isRequest(request) && isWrite(request)) || command.verb === 'watch') {
      return errorReply(`READ is for reads, and '${command.verb}' is none`);
    }
    return keepTo(terms, request);
  }

  #goOn(cursor: bigint, { read }: Extract<ClientCommand, { verb: 'scan' }>): Request | Reply {
    const from = this.#options.cursors.find(cursor);
    if (from !== null) return { ...read, from, bucket: this.#bucket };
    return errorReply(`cursor ${cursor} is not known here: begin the scan again`);
  }

  #once({ session, number, command }: Extract<ClientCommand, { verb: 'once' }>): Request | Reply {
    const write = command.verb === 'exec' ? this.#transaction.take() : this.#bind(command);
    if (write !== null && !isRequest(write)) return write;
    if (write !== null && isOnceWrite(write)) return { type: 'session-write', session, number, write };
    return errorReply(`SESSION DO is for writes, and '${command.verb}' is none`);
  }

  #startLocal(command: ClientCommand, slot: Slot): void {
    if (command.verb === 'merge' || command.verb === 'flush') {
      this.#maintain(command, slot);
      return;
    }
    if (command.verb === 'use') this.#bucket = command.bucket;
    if (command.verb === 'consistency' || command.verb === 'group') {
      this.#finish(
        slot,
        command.verb === 'group' ? this.#turnTo(command.group) : this.#choose(command.terms),
      );
      return;
    }
    const reply =
      command.verb === 'info' ? bulkReply(utf8(formatStatus(this.#options.status()))) : answerAlone(command);
    assert(reply !== null, 'every command is answered somewhere', { verb: command.verb });
    this.#finish(slot, reply);
    if (command.verb === 'quit' || (command.verb === 'invalid' && command.fatal)) this.#endAfterAnswers();
  }

  #turnTo(group: GroupId): Reply {
    const found = this.#options.groupOf(group);
    if (found === null) return errorReply(`this node does not host group ${group}`);
    // What is watched is of the group that it was read from.
    if (this.#transaction.isWatching) return errorReply('GROUP between WATCH and EXEC: UNWATCH first');
    this.#group = found;
    return OK;
  }

  #choose(terms: ReadTerms | null): Reply {
    if (terms === null) return bulkReply(utf8(formatTerms(this.#terms ?? { consistency: 'linearizable' })));
    this.#terms = terms.consistency === 'linearizable' ? undefined : terms;
    return OK;
  }

  /** Maintenance of this node's own store: not a matter of the group. */
  #maintain(command: ClientCommand, slot: Slot): void {
    if (this.#isLeaving) {
      this.#finish(slot, STOPPING);
      return;
    }
    this.#underWay++;
    this.#maintained = slot;
    const done = (error: Error | null): void => {
      // It was not waited for.
      if (this.#maintained !== slot) return;
      this.#maintained = null;
      this.#underWay--;
      const result: Result = error === null ? { type: 'ok' } : errorResult('internal', error.message);
      this.#finish(slot, this.#reply(command, result));
    };
    if (command.verb === 'merge') this.#group.store.merge(done);
    else this.#group.store.flush(done);
  }

  #finish(slot: Slot, reply: Reply): void {
    slot.reply = writeReply(reply);
    this.#held.onAnswered(slot.commandBytes, slot.reply.length, slot.isValue);
    if (this.#slots[0] !== slot) return;
    let answered = 0;
    for (const { reply: bytes } of this.#slots) {
      if (bytes === null) break;
      this.#answers.push(bytes);
      answered++;
    }
    if (answered === this.#slots.length) this.#slots.length = 0;
    else this.#slots.splice(0, answered);
    this.#planFlush();
  }

  /** The answers of a turn leave in one write, and what they made room for starts. */
  #planFlush(): void {
    if (this.#flushIsPlanned) return;
    this.#flushIsPlanned = true;
    this.#options.clock.later(this.#flush);
  }

  readonly #flush = (): void => {
    this.#flushIsPlanned = false;
    if (this.#ending === 'closed') return;
    if (this.#answers.length > 0) {
      const bytes = this.#answers.length === 1 ? this.#answers[0] : concatBytes(this.#answers);
      this.#answers = [];
      this.#held.onSent(bytes.length);
      this.#answeredAtMs = this.#options.clock.monotonicMs();
      this.#connection.write(bytes);
    }
    if (this.#ending === 'after-answers') this.#endAfterAnswers();
    else this.#proceed();
  };

  /** Closes once everything that was started has been answered. */
  #endAfterAnswers(): void {
    if (this.#ending === 'closed') return;
    this.#ending = 'after-answers';
    if (this.#slots.length > 0 || this.#answers.length > 0) return;
    this.#ending = 'closed';
    this.#connection.close();
  }
}

function kindOf(command: ClientCommand): Kind {
  switch (command.verb) {
    case 'set':
    case 'delete':
      return 'write';
    case 'get':
    case 'json-get':
    case 'exists':
      return 'read';
    case 'point':
      return isPointWrite(command.point) ? 'write' : 'read';
    case 'transaction':
      return 'write';
    case 'read':
      return kindOf(command.command) === 'read' ? 'read' : 'alone';
    case 'once':
      return kindOf(command.command) === 'write' ? 'write' : 'alone';
    case 'member':
    case 'list-buckets':
    case 'count':
    case 'keys':
    case 'scan':
    case 'range':
    case 'feed':
    case 'drop-bucket':
    case 'session-open':
    case 'session-close':
    case 'watch':
    case 'unwatch':
    case 'exec':
    case 'discard':
    case 'merge':
    case 'flush':
    case 'group':
      return 'alone';
    default:
      return 'any';
  }
}

function isExec(command: ClientCommand): boolean {
  return command.verb === 'exec' || (command.verb === 'once' && command.command.verb === 'exec');
}

/** For how long a feed waits for a change; null: it is another command. */
function feedWaitMs(command: ClientCommand): number | null {
  if (command.verb === 'read') return feedWaitMs(command.command);
  return command.verb === 'feed' ? command.waitMs : null;
}

/** The request under these terms, if it is a read. */
function keepTo(terms: ReadTerms, request: Request | Reply): Request | Reply;
function keepTo(terms: ReadTerms, request: Request | Reply | null): Request | Reply | null;
function keepTo(terms: ReadTerms, request: Request | Reply | null): Request | Reply | null {
  if (!isRequest(request) || isWrite(request)) return request;
  // A feed tells its revision anyway.
  const isPlain = request.type === 'feed' && terms.consistency === 'stale';
  return { ...request, terms: isPlain ? { ...terms, answer: 'plain' } : terms };
}

function wantsRevision(request: Request): boolean {
  return (
    !isWrite(request) && request.terms?.consistency === 'stale' && request.terms.answer === 'with-revision'
  );
}

/** Up to where a feed has come that tells no change; null when it tells one, or is an error. */
function emptyFeedThrough(result: Result): number | null {
  if (result.type !== 'list') return null;
  const [through, changes] = result.items;
  if (through?.type !== 'count' || changes?.type !== 'list') return null;
  return changes.items.length === 0 ? through.count : null;
}

/** Requests and replies have no type in common. */
function isRequest(value: Request | Reply | null): value is Request {
  return value !== null && isRequestType(value.type);
}

function formatStatus(status: Record<string, string | number>): string {
  return Object.entries(status)
    .map(([name, value]) => `${name}:${value}\r\n`)
    .join('');
}
