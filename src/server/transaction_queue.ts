/**
 * What a connection has gathered for a transaction: the keys that it watches, with the revisions that they had, and the
 * commands between MULTI and EXEC. Nothing of it is known to the group before EXEC sends it, as one write.
 */
import { type Guard, ITEM_BYTES, type Point, type Transaction } from '../kv/request.ts';
import { WORDS_MAX } from '../protocol/arguments.ts';
import type { ClientCommand, ProtocolLimits } from '../protocol/command.ts';
import { errorReply, OK, QUEUED, type Reply } from '../protocol/reply.ts';
import { pointOf, TRANSACTION_COMMANDS_MAX } from '../protocol/transaction_commands.ts';
import { bindPoint } from './bind_command.ts';

export class TransactionQueue {
  readonly #limits: ProtocolLimits;
  #watched: Guard[] = [];
  /** Null: not between MULTI and EXEC. */
  #points: Point[] | null = null;
  #bytes = 0;
  /** Of commands that name several keys; TXN is bounded alike, by its words. */
  #items = 0;
  /** A command was refused: EXEC will not carry out the others. */
  #isBroken = false;

  constructor(limits: ProtocolLimits) {
    this.#limits = limits;
  }

  /** Between MULTI and EXEC. */
  get isOpen(): boolean {
    return this.#points !== null;
  }

  get isWatching(): boolean {
    return this.#watched.length > 0;
  }

  open(): Reply {
    if (this.#points !== null) return errorReply('MULTI calls can not be nested');
    this.#points = [];
    return OK;
  }

  discard(): Reply {
    if (this.#points === null) return errorReply('DISCARD without MULTI');
    this.#clear();
    return OK;
  }

  unwatch(): Reply {
    this.#watched = [];
    this.#isBroken = false;
    return OK;
  }

  /** @param revisions Of the keys, as they were read. */
  watch(bucket: string, keys: readonly Uint8Array[], revisions: readonly number[]): Reply {
    if (this.#watched.length + keys.length > TRANSACTION_COMMANDS_MAX) {
      return this.#refuse(
        `more than ${TRANSACTION_COMMANDS_MAX} keys are watched (max transaction commands)`,
      );
    }
    for (const [at, key] of keys.entries()) {
      this.#watched.push({ type: 'revision', bucket, key: key.slice(), is: '=', revision: revisions[at] });
    }
    return OK;
  }

  /** Takes in a command behind MULTI. */
  add(bucket: string, command: ClientCommand): Reply {
    const points = this.#points ?? [];
    if (command.verb === 'invalid') return this.#refuse(command.message);
    const point = pointOf(command);
    if (point === null) return this.#refuse(`'${command.verb}' is not allowed in a transaction`);
    if (points.length >= TRANSACTION_COMMANDS_MAX) {
      return this.#refuse(
        `the transaction has more than ${TRANSACTION_COMMANDS_MAX} commands (max transaction commands)`,
      );
    }
    const bound = detached(bindPoint(point, bucket));
    this.#bytes += bytesOf(bound);
    const bytesMax = this.#limits.valueBytes + this.#limits.keyBytes;
    if (this.#bytes > bytesMax) {
      return this.#refuse(
        `the transaction is longer than ${bytesMax} bytes (max value bytes + max key bytes)`,
      );
    }
    this.#items += itemsOf(bound);
    if (this.#items > WORDS_MAX) {
      return this.#refuse(`the transaction has more than ${WORDS_MAX} keys and values (max command words)`);
    }
    points.push(bound);
    return QUEUED;
  }

  /** The transaction under way, or the next, will not be carried out. */
  refuse(): void {
    this.#isBroken = true;
  }

  /** What EXEC sends; a reply when it sends nothing. Either way the transaction is over. */
  take(): Transaction | Reply {
    if (this.#points === null) return errorReply('EXEC without MULTI');
    const isBroken = this.#isBroken;
    const transaction: Transaction = {
      type: 'transaction',
      guards: this.#watched,
      success: this.#points,
      failure: [],
    };
    this.#clear();
    if (!isBroken) return transaction;
    return { type: 'error', text: 'EXECABORT Transaction discarded because of previous errors.' };
  }

  #refuse(message: string): Reply {
    this.#isBroken = true;
    return errorReply(message);
  }

  #clear(): void {
    this.#watched = [];
    this.#points = null;
    this.#bytes = 0;
    this.#items = 0;
    this.#isBroken = false;
  }
}

function bytesOf(point: Point): number {
  let bytes = 0;
  for (const field of Object.values(point)) {
    if (field instanceof Uint8Array || typeof field === 'string') bytes += field.length;
    else if (Array.isArray(field))
      for (const item of field as Uint8Array[]) bytes += ITEM_BYTES + item.length;
  }
  return bytes;
}

function itemsOf(point: Point): number {
  let items = 0;
  for (const field of Object.values(point)) if (Array.isArray(field)) items += field.length;
  return items;
}

/** Small commands are views of what the network delivered at a time: one that waits must not keep all of that. */
function detached(point: Point): Point {
  const fields = Object.entries(point).map(([name, field]) => {
    if (field instanceof Uint8Array) return [name, field.slice()];
    return [name, Array.isArray(field) ? field.map((item: Uint8Array) => item.slice()) : field];
  });
  return Object.fromEntries(fields) as Point;
}
