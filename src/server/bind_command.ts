/** What a command asks of the state machine once it is known which bucket its connection uses. */
import type { Guard, Point, Request } from '../kv/request.ts';
import type { ClientCommand } from '../protocol/command.ts';
import { pointOf } from '../protocol/transaction_commands.ts';

/** Null for a command that asks nothing of it, or not by itself. */
export function bindCommand(command: ClientCommand, bucket: string): Request | null {
  switch (command.verb) {
    case 'set':
      return { type: 'set', bucket, key: command.key, value: command.value };
    case 'get':
      return { type: 'get', bucket, key: command.key };
    case 'delete':
    case 'exists':
    case 'json-get':
    case 'point': {
      const point = pointOf(command);
      return point === null ? null : bindPoint(point, bucket);
    }
    case 'list-buckets':
      return { type: 'list-buckets' };
    case 'count':
      return { type: 'count', bucket };
    case 'keys':
    case 'range':
    case 'scan':
    case 'feed':
      return { ...command.read, bucket };
    case 'drop-bucket':
      return { type: 'drop-bucket', bucket: command.bucket ?? bucket };
    case 'watch':
      return { type: 'revisions', bucket, keys: command.keys };
    case 'transaction':
      return {
        type: 'transaction',
        guards: command.guards.map((guard) => ({ ...guard, bucket }) as Guard),
        success: command.success.map((point) => bindPoint(point, bucket)),
        failure: command.failure.map((point) => bindPoint(point, bucket)),
      };
    case 'member':
      return command.request;
    case 'session-open':
      return { type: 'session-open', idleMs: command.idleMs };
    case 'session-close':
      return { type: 'session-close', session: command.session };
    default:
      return null;
  }
}

/** A point of every type has one bucket: the compiler cannot follow that through the union. */
export function bindPoint(point: object, bucket: string): Point {
  return { ...point, bucket } as Point;
}
