/** How each dialect says what the state machine answered. */
import { unreachable } from '../base/assert.ts';
import { utf8 } from '../codec/bytes.ts';
import type { Result } from '../kv/request.ts';
import type { ClientCommand } from './command.ts';
import { bulkReply, errorReply, NO_LIST, OK, PONG, type Reply } from './reply.ts';
import { formatCursor } from './scan_commands.ts';

export type Dialect = 'text' | 'resp';

/** Remembers a key at which a scan goes on, under a number of 64 bits. */
type Remember = (key: Uint8Array) => bigint;

export function answer(dialect: Dialect, command: ClientCommand, result: Result, remember: Remember): Reply {
  switch (command.verb) {
    case 'delete':
      // A person who deletes a key wants to hear that it is gone; a Redis client wants the number.
      return result.type === 'count' && dialect === 'text' ? OK : plain(dialect, result);
    case 'once':
      return answer(dialect, command.command, result, remember);
    case 'scan':
      return result.type === 'list' ? page(dialect, result.items, remember) : plain(dialect, result);
    case 'exec':
      if (result.type !== 'transaction') return plain(dialect, result);
      // The guards are the keys watched: one of them has changed.
      return result.branch === 'success' ? list(dialect, result.results) : NO_LIST;
    default:
      return plain(dialect, result);
  }
}

function plain(dialect: Dialect, result: Result): Reply {
  switch (result.type) {
    case 'error':
      // What may still take effect is marked so that a program can tell it from what certainly did not.
      if (result.code === 'unknown') return errorReply(`unknown outcome: ${result.message}`);
      return result.code === 'aborted'
        ? { type: 'error', text: `EXECABORT ${result.message}` }
        : errorReply(result.message);
    case 'value':
      return bulkReply(result.value);
    case 'count':
      return { type: 'integer', value: result.count };
    case 'integer':
      return { type: 'integer', value: result.value };
    case 'word':
      return { type: 'simple', text: result.word };
    case 'names':
      return dialect === 'text'
        ? { type: 'simple', text: result.names.join(' ') }
        : { type: 'array', items: result.names.map((name) => bulkReply(utf8(name))) };
    case 'list':
      return list(dialect, result.items);
    case 'nothing':
      return NO_LIST;
    case 'transaction': {
      const branch: Reply = { type: 'integer', value: result.branch === 'success' ? 1 : 0 };
      return { type: 'array', items: [branch, list(dialect, result.results)] };
    }
    case 'ok':
      return OK;
    default:
      return unreachable(result);
  }
}

function list(dialect: Dialect, items: readonly Result[]): Reply {
  return { type: 'array', items: items.map((item) => plain(dialect, item)) };
}

/** What SCAN answers: the cursor, and the keys. */
function page(dialect: Dialect, [next, ...rest]: readonly Result[], remember: Remember): Reply {
  const narrow = dialect === 'resp' ? remember : null;
  const cursor = next?.type === 'value' ? formatCursor(next.value, narrow) : '0';
  return { type: 'array', items: [bulkReply(utf8(cursor)), ...rest.map((item) => plain(dialect, item))] };
}

/** The reply to a command that needs nothing but itself; null for every other. */
export function answerAlone(command: ClientCommand): Reply | null {
  switch (command.verb) {
    case 'ping':
      return command.message === null ? PONG : bulkReply(command.message);
    case 'echo':
      return bulkReply(command.message);
    case 'config-get':
      // No parameter of Redis' is one of ours; redis-benchmark asks and is content with nothing.
      return { type: 'array', items: [] };
    case 'command':
      return command.subcommand === 'COUNT' ? { type: 'integer', value: 0 } : { type: 'array', items: [] };
    case 'invalid':
      return errorReply(command.message);
    case 'quit':
    case 'use':
      return OK;
    default:
      return null;
  }
}
