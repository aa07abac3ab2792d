/** What a node rests on is opened in this order: term and vote of each group, the log, the tables of each group. */
import { assert } from '../base/assert.ts';
import { CorruptionError, type Outcome, toError } from '../base/errors.ts';
import type { GroupId } from '../log/entry.ts';
import { Log } from '../log/log.ts';
import { holdsLog } from '../log/log_presence.ts';
import { recoverLog } from '../log/recovery.ts';
import { Store, type StoreOptions } from '../lsm/store.ts';
import { HardStateFile } from '../replica/hard_state_file.ts';
import type { GroupParts } from './hosted_group.ts';
import { FIRST_GROUP, type NodeOptions, type Tuning } from './node_options.ts';

export interface NodeParts {
  readonly log: Log;
  readonly groups: readonly GroupParts[];
}

/** `done` gets what could not be opened or is not what this node has written, or all of it. */
export function openParts(options: NodeOptions, done: (outcome: Outcome<NodeParts>) => void): void {
  const { disk, directory, clock, logger, id, groups = [FIRST_GROUP] } = options;
  assert(groups.includes(FIRST_GROUP), 'every node hosts the first group', { groups: groups.join(' ') });
  const fail = (error: Error): void => done({ ok: false, error });
  const openHardState: Opener<HardStateFile> = (group, opened) =>
    HardStateFile.open(
      {
        disk,
        directory: directoryOf(directory, group),
        group,
        node: id,
        assertMayBeNew: () => assertHasNoEntries(options, group),
      },
      opened,
    );
  openEach(groups, openHardState, fail, (hardStates) => {
    const missing = missingLog(options, hardStates);
    if (missing !== null) return fail(missing);
    const logOptions = { disk, directory: `${directory}/log`, clock, logger, ...options.log };
    Log.open({ damage: 'name', ...logOptions }, (log) => {
      if (!log.ok) return fail(log.error);
      const openStore: Opener<Store> = (group, opened) => {
        const tables = `${directoryOf(directory, group)}/tables`;
        const store: Tuning<StoreOptions> = { damagedTables: 'quarantine', ...options.store };
        Store.open({ disk, directory: tables, clock, logger, ...store }, opened);
      };
      openEach(groups, openStore, fail, (stores) => {
        const parts = groups.map((group, at) => ({ group, hardState: hardStates[at], store: stores[at] }));
        done({ ok: true, value: { log: log.value, groups: parts } });
      });
    });
  });
}

/**
 * Of a node that cannot be made of them: their timers would keep the process alive, and the directory locked. The log is
 * left alone: to close it is to write its end, and a segment that is missing behind it may still be put back.
 */
export function releaseParts({ groups }: NodeParts): void {
  for (const { store, hardState } of groups) {
    store.close();
    hardState.close();
  }
}

type Opener<T> = (group: GroupId, opened: (outcome: Outcome<T>) => void) => void;

/** Opens something for each group, one after the other; `done` gets them in the order of the groups. */
function openEach<T>(
  groups: readonly GroupId[],
  open: Opener<T>,
  fail: (error: Error) => void,
  done: (opened: readonly T[]) => void,
): void {
  const all: T[] = [];
  const next = (): void => {
    if (all.length === groups.length) {
      done(all);
      return;
    }
    open(groups[all.length], (outcome) => {
      if (!outcome.ok) fail(outcome.error);
      else {
        all.push(outcome.value);
        next();
      }
    });
  };
  next();
}

/**
 * Null: the log is there, or this node has never been part of anything. A log is durable before a node of it takes part in
 * any term, so without one it has forgotten what it has acknowledged.
 */
function missingLog({ disk, directory }: NodeOptions, hardStates: readonly HardStateFile[]): Error | null {
  try {
    const path = `${directory}/log`;
    const term = Math.max(...hardStates.map(({ initial }) => initial.term));
    if (term === 0 || holdsLog(disk, path)) return null;
    const what = `the log is missing beside a vote of term ${term}: put it back, or replace the node`;
    return new CorruptionError(path, 0, what);
  } catch (error) {
    return toError(error);
  }
}

/**
 * Of a group without term and vote. Those of the first one are durable before there is a log at all; a group that comes to a
 * node later finds the log of the others.
 * @throws CorruptionError when it is not new; EnvelopeError, DiskError when the log cannot be read.
 */
function assertHasNoEntries({ disk, directory }: NodeOptions, group: GroupId): void {
  const path = `${directory}/log`;
  if (!holdsLog(disk, path)) return;
  if (group !== FIRST_GROUP) {
    const state = recoverLog(disk, path, 'name').groups.get(group);
    if (state === undefined || (state.lastIndex === 0 && !state.isOpen)) return;
  }
  throw new CorruptionError(
    directoryOf(directory, group),
    0,
    'the files of term and vote are missing beside a log: this node could vote twice, it must be replaced',
  );
}

/** The first group's data lie where those of a node's only group always did. */
export function directoryOf(directory: string, group: GroupId): string {
  return group === FIRST_GROUP ? directory : `${directory}/group-${group}`;
}
