/**
 * Who belongs to a group, and how an entry of the log says so. A configuration is in force from the moment at which it
 * is appended, committed or not (thesis, section 4.1).
 *
 * A change of the voters goes through a joint configuration (section 4.3): `outgoing` then holds the voters before the
 * change, `voters` those after it, and whatever needs a majority needs one of each.
 *
 * Payload: varint version | varint last id | varint count of members, and of each: varint id, varint identity, varint
 * length of the address, the address in UTF-8, one byte of roles (1 voter, 2 outgoing voter, 4 learner).
 */
import { assert } from '../base/assert.ts';
import { EnvelopeError } from '../base/errors.ts';
import { fromUtf8, utf8 } from '../codec/bytes.ts';
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from '../codec/varint.ts';
import type { NodeId } from './message.ts';

export interface Member {
  readonly id: NodeId;
  /** Where its peers reach it: host:port. The core does not look at it. */
  readonly address: string;
  /** Drawn once for each data directory, so that a node that lost its disk is not taken for itself; 0: any. */
  readonly identity: number;
}

export interface Configuration {
  /** The highest number ever given to a node: none is given twice. */
  readonly lastId: NodeId;
  /** All that have a role, by ascending number. */
  readonly members: readonly Member[];
  readonly voters: readonly NodeId[];
  /** Empty unless the configuration is joint. */
  readonly outgoing: readonly NodeId[];
  /** They get entries, and neither vote nor count. */
  readonly learners: readonly NodeId[];
}

const VERSION = 1;
const Role = { Voter: 1, Outgoing: 2, Learner: 4 } as const;
const ADDRESS_BYTES_MAX = 300;
/** Of all roles together; more than enough for a group whose writes wait for a majority. */
export const MEMBERS_MAX = 31;

/** What is known before any entry says more: these nodes vote. None: a node that waits to be told. */
export function foundingConfiguration(members: readonly Member[]): Configuration {
  const voters = members.map(({ id }) => id);
  return { lastId: Math.max(0, ...voters), members, voters, outgoing: [], learners: [] };
}

/** Of a node that cannot read who belonged to its group: it has no say of its own until it is told (`Raft.learn`). */
export const UNKNOWN_CONFIGURATION: Configuration = foundingConfiguration([]);

export function isJoint({ outgoing }: Configuration): boolean {
  return outgoing.length > 0;
}

/** In either half. */
export function isVoter({ voters, outgoing }: Configuration, id: NodeId): boolean {
  return voters.includes(id) || outgoing.includes(id);
}

export function memberOf({ members }: Configuration, id: NodeId): Member | undefined {
  return members.find((member) => member.id === id);
}

/** Keeps of `members` those that have a role. */
export function configurationOf(
  lastId: NodeId,
  members: readonly Member[],
  roles: Pick<Configuration, 'voters' | 'outgoing' | 'learners'>,
): Configuration {
  const { voters, outgoing, learners } = roles;
  const kept = members.filter(
    ({ id }) => voters.includes(id) || outgoing.includes(id) || learners.includes(id),
  );
  return { lastId, members: kept.sort((a, b) => a.id - b.id), voters, outgoing, learners };
}

export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const { lastId, members, voters, outgoing, learners } = configuration;
  const addresses = members.map(({ address }) => utf8(address));
  let size = 3 * VARINT_BYTES_MAX;
  for (const address of addresses) size += 3 * VARINT_BYTES_MAX + address.length + 1;
  const bytes = new Uint8Array(size);
  let at = writeVarint(bytes, writeVarint(bytes, 0, VERSION), lastId);
  at = writeVarint(bytes, at, members.length);
  for (const [place, { id, identity }] of members.entries()) {
    const address = addresses[place];
    assert(address !== undefined, 'each member has an address', { id });
    at = writeVarint(bytes, writeVarint(bytes, at, id), identity);
    at = writeVarint(bytes, at, address.length);
    bytes.set(address, at);
    at += address.length;
    let role = voters.includes(id) ? Role.Voter : 0;
    if (outgoing.includes(id)) role |= Role.Outgoing;
    if (learners.includes(id)) role |= Role.Learner;
    bytes[at++] = role;
  }
  return bytes.subarray(0, at);
}

/** @throws EnvelopeError `FORMAT` when the bytes are not a configuration. */
export function decodeConfiguration(bytes: Uint8Array): Configuration {
  const reader = new VarintReader(bytes);
  const version = reader.read();
  if (version !== VERSION) throw malformed(`version ${version} is not known`);
  const lastId = reader.read();
  const count = reader.read();
  if (lastId < 0 || count < 0 || count > MEMBERS_MAX) throw malformed(`${count} members`);
  const members: Member[] = [];
  const voters: NodeId[] = [];
  const outgoing: NodeId[] = [];
  const learners: NodeId[] = [];
  for (let place = 0, before = 0; place < count; place++) {
    const id = reader.read();
    const identity = reader.read();
    const length = reader.read();
    const end = reader.offset + length;
    if (identity < 0 || length < 0 || length > ADDRESS_BYTES_MAX || end >= bytes.length) {
      throw malformed(`member ${place + 1} is cut short`);
    }
    if (id <= before || id > lastId) throw malformed(`node ${id} behind node ${before}`);
    before = id;
    members.push({ id, identity, address: fromUtf8(bytes.subarray(reader.offset, end)) });
    const role = bytes[end] ?? 0;
    if (role === 0 || role > Role.Learner) throw malformed(`node ${id} has the roles ${role}`);
    if ((role & Role.Voter) !== 0) voters.push(id);
    if ((role & Role.Outgoing) !== 0) outgoing.push(id);
    if ((role & Role.Learner) !== 0) learners.push(id);
    reader.offset = end + 1;
  }
  if (reader.offset !== bytes.length) throw malformed('bytes behind the last member');
  return { lastId, members, voters, outgoing, learners };
}

function malformed(what: string): EnvelopeError {
  return new EnvelopeError('FORMAT', `a configuration is malformed: ${what}`);
}
