/**
 * Empties a node's directory. A crash may come between any two steps, so what the others know the node by goes first, and
 * for good before anything else does: a node that has lost its vote and still has its identity would be let in again, and
 * could vote twice.
 */
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, rmSync } from 'node:fs';

const IDENTITIES = ['identity.json', 'founder.json'] as const;
const PARTS = ['log', 'tables', 'vote-a', 'vote-b', 'snapshot', 'mend', 'odd'] as const;
/** Of the nodes that this one has met. */
const MET = /^identity-\d+(\.new)?$/;

type Remove = (path: string) => void;

/** Leaves alone what is not of a node. */
export function clearDirectory(directory: string, remove: Remove = removeAll): void {
  for (const name of IDENTITIES) if (existsSync(`${directory}/${name}`)) remove(`${directory}/${name}`);
  syncDirectory(directory);
  for (const part of PARTS) if (existsSync(`${directory}/${part}`)) remove(`${directory}/${part}`);
  for (const name of readdirSync(directory)) if (MET.test(name)) remove(`${directory}/${name}`);
}

function removeAll(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
