/** A group as the node has it that hosts it. */
import type { GroupId } from '../log/entry.ts';
import type { GroupLog } from '../log/group_log.ts';
import type { Store } from '../lsm/store.ts';
import type { HardStateFile } from '../replica/hard_state_file.ts';
import type { Replica } from '../replica/replica.ts';
import type { Router } from './router.ts';

/** What it rests on, opened. */
export interface GroupParts {
  readonly group: GroupId;
  readonly hardState: HardStateFile;
  readonly store: Store;
}

/** A group on this node. */
export interface HostedGroup extends GroupParts {
  readonly log: GroupLog;
  readonly replica: Replica;
  readonly router: Router;
}
