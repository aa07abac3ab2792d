/**
 * Who a node is. Of one that was added to a running group: a file of JSON in its data directory, made durable before the group is
 * told of it. With the directory goes the identity: a node that lost it can only join anew, under a number of its own, so
 * no vote is ever given twice.
 *
 * `identity` is drawn when the directory is made. `node` and `cluster` are what the group answered; until then they are 0,
 * and asking again is safe: the group knows the identity.
 */
import { randomInt } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { EnvelopeError } from '../base/errors.ts';
import { Client } from '../client/client.ts';
import { fromUtf8 } from '../codec/bytes.ts';
import type { Address } from '../io/network.ts';

export interface Identity {
  readonly identity: number;
  /** 0: not a member yet. */
  readonly node: number;
  /** See `Hello` in `server/peer_protocol.ts`. */
  readonly cluster: number;
}

const FILE = 'identity.json';
const FOUNDER_FILE = 'founder.json';
const IDENTITY_MAX = 2 ** 47;

/** Null: the directory has none, so its node is one of those that the group was founded with, or it is new. */
export function readIdentity(directory: string): Identity | null {
  const path = `${directory}/${FILE}`;
  if (!existsSync(path)) return null;
  let fields: Partial<Identity>;
  try {
    fields = JSON.parse(readFileSync(path, 'utf8')) as Partial<Identity>;
  } catch (error) {
    throw new EnvelopeError(
      'FORMAT',
      `${path} is not JSON: ${error instanceof Error ? error.message : error}`,
    );
  }
  const { identity, node, cluster } = fields;
  for (const [name, value] of Object.entries({ identity, node, cluster })) {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw new EnvelopeError('FORMAT', `${path}: '${name}' is not a whole number`);
    }
  }
  return { identity: identity ?? 0, node: node ?? 0, cluster: cluster ?? 0 };
}

/**
 * Has the group add this node, unless it did before.
 * @param via Any node of the group.
 * @param self Where the others reach this node.
 */
export async function join(directory: string, via: Address, self: Address): Promise<Identity> {
  let known = readIdentity(directory);
  if (known === null) {
    if (existsSync(`${directory}/log`)) {
      throw new EnvelopeError(
        'USAGE',
        `${directory} holds the data of a node that did not join: start it without --join, or begin with --clear`,
      );
    }
    known = { identity: randomInt(1, IDENTITY_MAX), node: 0, cluster: 0 };
    writeIdentity(directory, known);
  }
  if (known.node > 0) return known;
  const joined = await askToJoin(known.identity, via, self);
  writeIdentity(directory, joined);
  return joined;
}

/**
 * As `join`, of a node whose directory is to be emptied once the group has taken it, and not before: nothing is written
 * here. A node that ends in between is a member without a directory, which must be removed.
 */
export async function joinAnew(via: Address, self: Address): Promise<Identity> {
  return await askToJoin(randomInt(1, IDENTITY_MAX), via, self);
}

async function askToJoin(identity: number, via: Address, self: Address): Promise<Identity> {
  const client = await Client.connect(via);
  try {
    const info = await client.command('INFO');
    const text = info.type === 'bulk' && info.value !== null ? fromUtf8(info.value) : '';
    const cluster = Number(/^cluster:(\d+)\r?$/m.exec(text)?.[1]);
    if (!Number.isSafeInteger(cluster)) {
      throw new EnvelopeError('USAGE', `${via.host}:${via.port} does not say to which cluster it belongs`);
    }
    const reply = await client.command('MEMBER', 'ADD', `${self.host}:${self.port}`, String(identity));
    if (reply.type !== 'integer') {
      const why = reply.type === 'error' ? reply.text : `a ${reply.type} reply`;
      throw new EnvelopeError('JOIN', `the group did not add this node: ${why}`);
    }
    return { identity, node: reply.value, cluster };
  } finally {
    client.close();
  }
}

/**
 * Of the data directory of a node that the group was founded with; drawn when the node is started with it first. In a file
 * of its own, so that such a directory is not taken for that of a node that joined.
 */
export function founderIdentity(directory: string): number {
  const path = `${directory}/${FOUNDER_FILE}`;
  if (!existsSync(path)) {
    assertNoStore(directory);
    const identity = randomInt(1, IDENTITY_MAX);
    writeJson(directory, FOUNDER_FILE, { identity });
    return identity;
  }
  let identity: unknown;
  try {
    ({ identity } = JSON.parse(readFileSync(path, 'utf8')) as { identity?: unknown });
  } catch (error) {
    throw new EnvelopeError(
      'FORMAT',
      `${path} is not JSON: ${error instanceof Error ? error.message : error}`,
    );
  }
  if (typeof identity !== 'number' || !Number.isSafeInteger(identity) || identity < 1) {
    throw new EnvelopeError('FORMAT', `${path}: 'identity' is not a whole number above 0`);
  }
  return identity;
}

/** @throws EnvelopeError `STORE` of a log without anything that a node has beside its own. */
function assertNoStore(directory: string): void {
  if (['vote-a', 'vote-b'].some((name) => existsSync(`${directory}/${name}`))) return;
  const log = `${directory}/log`;
  if (!existsSync(log) || !readdirSync(log).some((name) => name.endsWith('.log'))) return;
  throw new EnvelopeError(
    'STORE',
    `${directory} has a log, but no term and vote, nor an identity: it is an embedded store, of which envelopedb repair ` +
      `--as server makes a server, or a node's that has lost them and must be replaced`,
  );
}

/** Durable when it returns. */
export function writeIdentity(directory: string, identity: Identity): void {
  writeJson(directory, FILE, identity);
}

/** Durable when it returns. */
function writeJson(directory: string, name: string, content: object): void {
  const path = `${directory}/${name}`;
  const file = openSync(`${path}.new`, 'w');
  try {
    writeSync(file, `${JSON.stringify(content)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
  const parent = openSync(directory, 'r');
  try {
    fsyncSync(parent);
  } finally {
    closeSync(parent);
  }
}
