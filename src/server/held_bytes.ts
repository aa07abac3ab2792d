/**
 * What one connection holds in memory: keys and values of commands that are under way, and answers that its client has not
 * taken.
 *
 * How long an answer is, is known when it is there. So as many commands that answer with values are under way together as
 * would fit if each answered with as much as was met lately: a new connection begins with few, and small answers soon make it
 * many.
 */
import type { Point } from '../kv/request.ts';
import type { ClientCommand, Unbound } from '../protocol/command.ts';

/** Bytes of commands that may be under way; one command may exceed it. */
const COMMAND_BYTES_MAX = 16 * 1024 * 1024;
/** Bytes of answers that a client may leave unread, and that those under way are expected to add at most. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
/** What an answer is thought to have before any was met. */
const FIRST_ANSWER_BYTES = 4 * 1024 * 1024;

export class HeldBytes {
  #commandBytes = 0;
  /** Of answers that have not been handed to the connection. */
  #answerBytes = 0;
  #expectedBytes = FIRST_ANSWER_BYTES;

  /** @param bufferedBytes What the connection has been handed and could not send yet. */
  mayTakeMore(bufferedBytes: number): boolean {
    return this.#commandBytes < COMMAND_BYTES_MAX && this.#answerBytes + bufferedBytes < ANSWER_BYTES_MAX;
  }

  /** How many commands that answer with values may be under way; at least 1. */
  get readsMax(): number {
    return Math.max(1, Math.floor(ANSWER_BYTES_MAX / Math.max(1, this.#expectedBytes)));
  }

  onStarted(commandBytes: number): void {
    this.#commandBytes += commandBytes;
  }

  /** @param isValue Of a command that answers with values. */
  onAnswered(commandBytes: number, answerBytes: number, isValue: boolean): void {
    this.#commandBytes -= commandBytes;
    this.#answerBytes += answerBytes;
    if (isValue) this.#expectedBytes = Math.max(answerBytes, Math.floor(this.#expectedBytes * 0.75));
  }

  /** Answers were handed to the connection. */
  onSent(bytes: number): void {
    this.#answerBytes -= bytes;
  }
}

/** Bytes of keys and values that a command holds until it is answered, but for the key of one that names a single key. */
export function bytesOfCommand(command: ClientCommand): number {
  switch (command.verb) {
    case 'set':
      return command.value.length;
    case 'delete':
    case 'exists':
      return bytesOfAll(command.keys);
    case 'point':
      return bytesOfPoint(command.point);
    case 'once':
    case 'read':
      return bytesOfCommand(command.command);
    case 'transaction': {
      let bytes = 0;
      for (const guard of command.guards) {
        bytes += guard.key.length + (guard.type === 'value' ? guard.value.length : 0);
      }
      for (const point of command.success) bytes += bytesOfPoint(point);
      for (const point of command.failure) bytes += bytesOfPoint(point);
      return bytes;
    }
    default:
      return 0;
  }
}

function bytesOfPoint(point: Unbound<Point>): number {
  switch (point.type) {
    case 'set':
    case 'append':
      return point.value.length;
    case 'set-if': {
      const { value, condition } = point;
      return value.length + (condition.type === 'value' ? condition.value.length : 0);
    }
    case 'json-get':
    case 'json-delete':
      return point.path.length;
    case 'json-add':
      return point.path.length + point.by.length;
    case 'json-set':
      return point.path.length + point.json.length;
    case 'delete':
    case 'exists':
    case 'get-many':
      return bytesOfAll(point.keys);
    case 'set-many':
      return bytesOfAll(point.keys) + bytesOfAll(point.values);
    default:
      return 0;
  }
}

function bytesOfAll(parts: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const { length } of parts) bytes += length;
  return bytes;
}

/** Whether the answer may be as long as a value, or longer. */
export function answersValues(command: ClientCommand): boolean {
  switch (command.verb) {
    case 'get':
    case 'json-get':
    case 'transaction':
    case 'exec':
      return true;
    case 'once':
    case 'read':
      return answersValues(command.command);
    case 'point':
      switch (command.point.type) {
        case 'get':
        case 'json-get':
        case 'get-many':
        case 'get-revision':
        case 'get-delete':
        case 'get-expire':
          return true;
        case 'set-if':
          return command.point.answer === 'old';
        default:
          return false;
      }
    default:
      return false;
  }
}
