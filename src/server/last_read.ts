/**
 * What a node has read of the requests that came by one connection. A node that stops says it as the last word there
 * (the frame `goodbye`), and reads nothing more: so whoever sent requests behind that knows that they were not executed,
 * and hands them to the next leader.
 *
 * Requests of a group ascend by id on a connection, and a connection loses nothing in its middle, so one id a group says it.
 */
import type { GroupId } from '../log/entry.ts';

/** By group, the id of the last request that was read; groups of which none was are left out. */
export type LastRead = ReadonlyMap<GroupId, number>;

/** Below every id. */
export const NONE_READ = -1;

export class ReadRequests {
  readonly #last = new Map<GroupId, number>();

  /** @returns false when the id is not above that of the request before it: then nothing could be said of it. */
  note(group: GroupId, id: number): boolean {
    if (id <= lastReadOf(this.#last, group)) return false;
    this.#last.set(group, id);
    return true;
  }

  get last(): LastRead {
    return this.#last;
  }
}

/** The id of the last request of a group that was read; `NONE_READ`: none was. */
export function lastReadOf(last: LastRead, group: GroupId): number {
  return last.get(group) ?? NONE_READ;
}
