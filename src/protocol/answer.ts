/** How each dialect says what the state machine answered. */
import { unreachable } from '../base/assert.ts';
import type { Result } from '../kv/request.ts';
import type { ClientCommand } from './command.ts';
import { bulkReply, errorReply, OK, PONG, type Reply } from './reply.ts';

export type Dialect = 'text' | 'resp';

export function answer(dialect: Dialect, command: ClientCommand, result: Result): Reply {
  switch (result.type) {
    case 'error':
      // What may still take effect is marked so that a program can tell it from what certainly did not.
      return errorReply(result.code === 'unknown' ? `unknown outcome: ${result.message}` : result.message);
    case 'value':
      return bulkReply(result.value);
    case 'count':
      // A person who deletes a key wants to hear that it is gone; a Redis client wants the number.
      return command.verb === 'delete' && dialect === 'text' ? OK : { type: 'integer', value: result.count };
    case 'names':
      return dialect === 'text'
        ? { type: 'simple', text: result.names.join(' ') }
        : { type: 'array', items: result.names.map((name) => bulkReply(new TextEncoder().encode(name))) };
    case 'ok':
      return OK;
    default:
      return unreachable(result);
  }
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
