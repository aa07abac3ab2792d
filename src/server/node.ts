/**
 * One node, put together: recovers what is on its disk, joins its group, listens, and tells clients from peers by the
 * first byte they send. The same class runs over the real seams in production and over the simulated ones in `sim`.
 *
 * Start order: term and vote, log, tables, then the replica, then the listener: nobody can ask a node that has not
 * recovered. A damaged table is mended from another replica (`table_mender.ts`); a node that meets other damage, or a failed
 * disk, stops with the reason (`onFailure`) instead of answering wrongly.
 */

import { assert } from '../base/assert.ts';
import { CorruptionError, EnvelopeError, type Outcome } from '../base/errors.ts';
import { rarely } from '../base/rare.ts';
import { utf8 } from '../codec/bytes.ts';
import { crc32 } from '../codec/crc32.ts';
import type { Clock, Timer } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { Address, Connection, ConnectionHandler, Listener, Network } from '../io/network.ts';
import type { Random } from '../io/random.ts';
import { DEFAULT_JOURNAL_LIMITS } from '../kv/journal.ts';
import { StateDigest } from '../kv/state_digest.ts';
import { StateMachine } from '../kv/state_machine.ts';
import type { GroupId } from '../log/entry.ts';
import type { GroupLog } from '../log/group_log.ts';
import { Log, type LogOptions } from '../log/log.ts';
import { Store, type StoreOptions } from '../lsm/store.ts';
import { DEFAULT_LIMITS, type ProtocolLimits } from '../protocol/command.ts';
import { foundingConfiguration, type Member, memberOf } from '../raft/configuration.ts';
import { DEFAULT_CLOCK_DRIFT_PPM_MAX, DEFAULT_TIMING, type RaftTiming } from '../raft/core.ts';
import { DEFAULT_FLOW, type FlowLimits } from '../raft/flow.ts';
import type { NodeId } from '../raft/message.ts';
import { HardStateFile } from '../replica/hard_state_file.ts';
import { describeMending, dropCovered, fenceForgotten } from '../replica/log_damage.ts';
import { decodeMessage, MessageEncoder } from '../replica/message_codec.ts';
import { Replica } from '../replica/replica.ts';
import { decodeSnapshotMessage, encodeSnapshotMessage } from '../replica/snapshot_codec.ts';
import { DEFAULT_SNAPSHOT_LIMITS, mendLog, type SnapshotLimits } from '../replica/snapshots.ts';
import { careStatus } from './care_status.ts';
import { CursorTable } from './cursor_table.ts';
import { Departure } from './departure.ts';
import { IdentityRegistry } from './identity_registry.ts';
import { PeerAcceptor, type Refusal } from './peer_acceptor.ts';
import { PeerLink } from './peer_link.ts';
import { frameBytesMax, type Hello, type PeerFrame, PREAMBLE } from './peer_protocol.ts';
import { Router, type RouterTimeouts } from './router.ts';
import { Session } from './session.ts';

export interface NodeOptions {
  /** Place of this node in `members`, from 1; of a node that was added later, the number that it was given. */
  readonly id: NodeId;
  /**
   * The address of every node that the group was founded with, in the same order on all of them. None for a node that was
   * added later: it is told.
   */
  readonly members: readonly Address[];
  /** Where to listen; `members[id - 1]` unless the node is reached under another address, or was added later. */
  readonly listen?: Address;
  /** What a node that was added later was told of its group: see `Hello`. */
  readonly cluster?: number;
  /** Of the data directory, drawn when it was made: whoever has met it refuses another one under this number. 0: none. */
  readonly identity?: number;
  /**
   * The groups that this node hosts, the same on all nodes; one, of the number 1, unless said. Each has its own leader,
   * members and data; they share the log, its syncs, and one connection to each peer.
   */
  readonly groups?: readonly GroupId[];
  readonly directory: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly network: Network;
  readonly random: Random;
  readonly logger: Logger;
  readonly timing?: RaftTiming;
  readonly flow?: FlowLimits;
  readonly snapshots?: Partial<SnapshotLimits>;
  /** See `CoreOptions`; the same on all nodes. */
  readonly clockDriftPpmMax?: number | null;
  /** See `StateDigest`; 1024 unless said. Nodes that do not agree on it do not compare what they have applied. */
  readonly digestWindowEntries?: number;
  readonly limits?: ProtocolLimits;
  readonly timeouts?: RouterTimeouts;
  readonly log?: Tuning<LogOptions>;
  readonly store?: Tuning<StoreOptions>;
  /** Client and peer connections at a time; further ones are closed at once. */
  readonly connectionsMax?: number;
  /** The node met what it cannot go on with. It has stopped. */
  readonly onFailure: (error: Error) => void;
}

type Tuning<Options> = Omit<Options, 'disk' | 'directory' | 'clock' | 'logger'>;

/** The group that connections address until they say otherwise, and the one that every node hosts. */
const GROUP = 1;
const CONNECTIONS_MAX = 10_000;
const WAITING_MAX = 10_000;
/** How long requests under way may delay a stop. */
const DRAIN_MS = 1000;
const PROPOSAL_BYTES_MAX = 64 * 1024 * 1024;

export const DEFAULT_TIMEOUTS: RouterTimeouts = { noLeaderMs: 3000, answerMs: 10_000 };

interface Parts {
  readonly log: Log;
  readonly groups: readonly GroupParts[];
}

interface GroupParts {
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

export class Node {
  readonly replica: Replica;
  readonly groupLog: GroupLog;
  readonly store: Store;
  readonly hardState: HardStateFile;
  readonly #options: NodeOptions;
  readonly #log: Log;
  readonly #groups = new Map<GroupId, HostedGroup>();
  readonly #links = new Map<NodeId, PeerLink>();
  readonly #connections = new Set<Connection>();
  readonly #encoder = new MessageEncoder();
  readonly #cursors: CursorTable;
  readonly #limits: ProtocolLimits;
  readonly #cluster: number;
  readonly #identities: IdentityRegistry;
  readonly #address: string;
  /** Until those who have left the group are not talked to any more. */
  #farewell: Timer | null = null;
  #hasStarted = false;
  #listener: Listener | null = null;
  /** Of each group, once the node is to stop. */
  #departures: readonly Departure[] = [];
  #stopped = false;

  /** Recovers and starts a node. `done` comes once it listens. */
  static open(options: NodeOptions, done: (outcome: Outcome<Node>) => void): void {
    const { disk, directory, clock, logger, id, groups = [GROUP] } = options;
    assert(groups.includes(GROUP), 'every node hosts the first group', { groups: groups.join(' ') });
    const fail = (error: Error): void => done({ ok: false, error });
    const openHardState: Opener<HardStateFile> = (group, opened) =>
      HardStateFile.open({ disk, directory: directoryOf(directory, group), group, node: id }, opened);
    openEach(groups, openHardState, fail, (hardStates) => {
      const logOptions = { disk, directory: `${directory}/log`, clock, logger, ...options.log };
      Log.open({ damage: 'name', ...logOptions }, (log) => {
        if (!log.ok) return fail(log.error);
        try {
          for (const [at, group] of groups.entries()) {
            const { lastIndex, isOpen } = log.value.group(group);
            if (!hardStates[at].isNew || (lastIndex === 0 && !isOpen)) continue;
            const what =
              'the files of term and vote are missing beside a log: this node could vote twice, it must be replaced';
            return fail(new CorruptionError(directoryOf(directory, group), 0, what));
          }
        } catch (error) {
          return fail(toError(error));
        }
        const openStore: Opener<Store> = (group, opened) => {
          const tables = `${directoryOf(directory, group)}/tables`;
          const store: Tuning<StoreOptions> = { damagedTables: 'quarantine', ...options.store };
          Store.open({ disk, directory: tables, clock, logger, ...store }, opened);
        };
        openEach(groups, openStore, fail, (stores) => {
          try {
            const parts = groups.map((group, at) => ({
              group,
              hardState: hardStates[at],
              store: stores[at],
            }));
            const node = new Node(options, { log: log.value, groups: parts });
            node.#start();
            done({ ok: true, value: node });
          } catch (error) {
            fail(toError(error));
          }
        });
      });
    });
  }

  private constructor(options: NodeOptions, { log, groups }: Parts) {
    const { id, members, random } = options;
    this.#options = options;
    this.#cursors = new CursorTable(random);
    this.#log = log;
    this.#limits = options.limits ?? DEFAULT_LIMITS;
    this.#identities = new IdentityRegistry(options.disk, options.directory, (error) => this.#fail(error));
    this.#cluster = options.cluster ?? clusterChecksum(members);
    this.#address = format(members[id - 1] ?? options.listen);
    log.onFailure = (error) => this.#fail(error);
    for (const parts of groups) this.#groups.set(parts.group, this.#host(parts));
    const first = this.#groups.get(GROUP);
    assert(first !== undefined, 'every node hosts the first group');
    this.store = first.store;
    this.hardState = first.hardState;
    this.groupLog = first.log;
    this.replica = first.replica;
    for (const member of this.#knownMembers()) this.#addLink(member.id, member.address);
  }

  #host(parts: GroupParts): HostedGroup {
    const options = this.#options;
    const { id, members, clock, random, logger } = options;
    const { group, store, hardState } = parts;
    const log = this.#log;
    const groupLog = log.group(group);
    const directory = directoryOf(options.directory, group);
    store.onFailure = (error) => this.#fail(error);
    fenceForgotten(groupLog, hardState.initial, logger);
    mendLog(options.disk, directory, store, groupLog);
    dropCovered(groupLog, store);
    log.flush();
    const replica = new Replica({
      id,
      founders: foundingConfiguration(
        members.map((address, at) => ({ id: at + 1, address: format(address), identity: 0 })),
      ),
      timing: options.timing ?? DEFAULT_TIMING,
      flow: options.flow ?? DEFAULT_FLOW,
      log: groupLog,
      hardState,
      store,
      stateMachine: new StateMachine(
        store,
        DEFAULT_JOURNAL_LIMITS,
        members.length === 1 ? 'throw' : 'wait',
        new StateDigest(options.digestWindowEntries),
      ),
      clock,
      random,
      logger,
      clockDriftPpmMax:
        options.clockDriftPpmMax === undefined ? DEFAULT_CLOCK_DRIFT_PPM_MAX : options.clockDriftPpmMax,
      answerTimeoutMs: (options.timeouts ?? DEFAULT_TIMEOUTS).answerMs,
      proposalBytesMax: PROPOSAL_BYTES_MAX,
      send: (to, message) => {
        this.#links.get(to)?.send({ kind: 'raft', group, message: this.#encoder.encode(message) });
      },
      disk: options.disk,
      directory,
      snapshots: { ...DEFAULT_SNAPSHOT_LIMITS, ...options.snapshots },
      sendSnapshot: (to, message) => {
        const fields = encodeSnapshotMessage(message);
        this.#links.get(to)?.send({ kind: 'snapshot', group, message: fields });
      },
      flushLog: () => log.flush(),
      onFailure: (error) => this.#fail(error),
    });
    const router = new Router({
      group,
      replica,
      clock,
      random,
      timeouts: options.timeouts ?? DEFAULT_TIMEOUTS,
      waitingMax: WAITING_MAX,
      send: (to, frame) => this.#links.get(to)?.send(frame) ?? false,
    });
    replica.onLeaderChange = () => router.onLeaderChange();
    replica.onMembersChange = () => this.#onMembersChange();
    return { ...parts, log: groupLog, replica, router };
  }

  /** @throws AssertionError when this node does not host it. */
  #groupOf(group: GroupId): HostedGroup {
    const hosted = this.#groups.get(group);
    assert(hosted !== undefined, 'the group is hosted here', { group });
    return hosted;
  }

  /** The groups that this node hosts, by number. */
  get groups(): ReadonlyMap<GroupId, HostedGroup> {
    return this.#groups;
  }

  /** The port listened on, once it is known. */
  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** Has stopped, or is about to. */
  get isStopped(): boolean {
    return this.#stopped || this.#departures.length > 0;
  }

  /** What INFO shows: lined-up `name:value` pairs, flat. */
  status(): Record<string, string | number> {
    const { raft } = this.replica;
    const { configuration } = raft;
    const leader = raft.leader === null ? undefined : memberOf(configuration, raft.leader);
    return {
      node: this.#options.id,
      nodes: configuration.members.length,
      voters: configuration.voters.join(' '),
      learners: configuration.learners.join(' '),
      cluster: this.#cluster,
      role: raft.role,
      leader: raft.leader ?? 'none',
      leader_address: leader?.address ?? 'none',
      term: raft.term,
      commit_index: raft.commitIndex,
      applied_index: this.replica.appliedIndex,
      first_index: this.groupLog.firstIndex,
      last_index: this.groupLog.lastIndex,
      log_bytes: this.groupLog.storedBytes,
      durable_index: this.groupLog.durableIndex,
      flushed_index: this.store.flushedIndex,
      ...careStatus(this.replica, this.store),
      connections: this.#connections.size,
      ...describeMending(raft.mending, this.groupLog),
    };
  }

  /**
   * Stops in order: hands leadership over, answers what was asked (both within a bounded time), makes what is in the log
   * durable, closes the files. A node that is stopping already is left to it: then `done` comes at once.
   */
  stop(done: (error: Error | null) => void): void {
    if (this.#stopped || this.#departures.length > 0) {
      done(null);
      return;
    }
    const { clock, logger, timing = DEFAULT_TIMING } = this.#options;
    let left = this.#groups.size;
    this.#departures = [...this.#groups.values()].map(
      ({ replica, router }) =>
        new Departure({
          replica,
          router,
          clock,
          logger,
          handOverMs: timing.electionTimeoutMs,
          drainMs: DRAIN_MS,
          done: () => {
            left--;
            if (left === 0) this.#close(done);
          },
        }),
    );
    for (const departure of this.#departures) departure.start();
  }

  #close(done: (error: Error | null) => void): void {
    this.#shutDown('in-order');
    this.#log.close((error) => {
      for (const { store, hardState } of this.#groups.values()) {
        store.close();
        hardState.close();
      }
      done(error);
    });
  }

  #start(): void {
    const { network, members, id, logger } = this.#options;
    const address = this.#options.listen ?? members[id - 1];
    assert(address !== undefined, 'a node has an address', { id });
    this.#listener = network.listen(
      address,
      (connection) => this.#onConnection(connection),
      (error) => this.#onListenError(error),
    );
    this.#hasStarted = true;
    for (const link of this.#links.values()) link.start();
    const { configuration } = this.replica.raft;
    const nodes = configuration.members.length;
    logger.log('info', 'node-started', { node: id, address: format(address), nodes });
    // One that has just joined knows nobody, or does not know yet that it belongs to them.
    if (nodes > 0 && memberOf(configuration, id) === undefined) {
      const why =
        'it has left the group, or is about to join: one that has left joins anew with an empty directory';
      logger.log('warn', 'node-not-a-member', { node: id, why });
    }
  }

  /** Without its address a node is of no use; a single connection that could not be taken is another matter. */
  #onListenError(error: Error): void {
    if (this.port === 0) this.#fail(error);
    else this.#options.logger.log('warn', 'accept-failed', { node: this.#options.id, why: error.message });
  }

  #onConnection(connection: Connection): void {
    if (this.#stopped || this.#connections.size >= (this.#options.connectionsMax ?? CONNECTIONS_MAX)) {
      connection.handler = { onData: () => {}, onClose: () => {} };
      connection.destroy();
      return;
    }
    this.#connections.add(connection);
    connection.handler = {
      onData: (bytes) => {
        if (bytes.length === 0) return;
        connection.handler = this.#handlerFor(connection, bytes[0]);
        connection.handler.onData(bytes);
      },
      onEnd: () => connection.destroy(),
      onClose: () => this.#connections.delete(connection),
    };
  }

  #handlerFor(connection: Connection, firstByte: number): ConnectionHandler {
    const { id, logger } = this.#options;
    const onClose = (closed: Connection): void => {
      this.#connections.delete(closed);
    };
    const onFailure = (error: Error): void => this.#fail(error);
    if (firstByte === PREAMBLE[0]) {
      return new PeerAcceptor(connection, {
        self: id,
        refusalOf: (hello) => this.#refusalOf(hello),
        frameBytesMax: frameBytesMax(this.#limits.valueBytes),
        logger,
        onFrame: (from, frame) => this.#onPeerFrame(connection, from, frame),
        onClose,
      });
    }
    return new Session(connection, {
      dialect: firstByte === 0x2a ? 'resp' : 'text',
      limits: this.#limits,
      clock: this.#options.clock,
      group: this.#groupOf(GROUP),
      groupOf: (group) => this.#groups.get(group) ?? null,
      cursors: this.#cursors,
      status: () => this.status(),
      onClose,
      onFailure,
    });
  }

  #onPeerFrame(connection: Connection, from: NodeId, frame: PeerFrame): void {
    if (this.#stopped) return;
    try {
      this.#dispatch(from, frame);
    } catch (error) {
      if (!isFormatError(error)) {
        this.#fail(toError(error));
        return;
      }
      const why = error.message;
      this.#options.logger.log('warn', 'peer-message-refused', { node: this.#options.id, peer: from, why });
      connection.destroy();
    }
  }

  #dispatch(from: NodeId, frame: PeerFrame): void {
    switch (frame.kind) {
      case 'raft':
        // Messages of a group that this node does not host yet are lost: they will be repeated.
        this.#groups.get(frame.group)?.replica.step(from, decodeMessage(frame.message));
        return;
      case 'snapshot': {
        const message = decodeSnapshotMessage(frame.message);
        if (message !== null) this.#groups.get(frame.group)?.replica.stepSnapshot(from, message);
        return;
      }
      case 'request':
        this.#groups.get(frame.group)?.router.onRequest(from, frame.id, frame.request);
        return;
      case 'response':
        this.#groups.get(frame.group)?.router.onResponse(from, frame.id, frame.result);
        return;
      case 'hello':
      case 'refused':
      case 'ping':
      case 'pong':
        return;
    }
  }

  /** Of the committed configuration and of those behind it, but for this node. */
  #knownMembers(): readonly Member[] {
    const known = new Map<NodeId, Member>();
    for (const { replica } of this.#groups.values()) {
      for (const { members } of replica.raft.configurations) {
        for (const member of members) if (member.id !== this.#options.id) known.set(member.id, member);
      }
    }
    return [...known.values()];
  }

  #onMembersChange(): void {
    if (this.#stopped) return;
    const { clock, logger, id, timing = DEFAULT_TIMING } = this.#options;
    const { voters, outgoing, learners } = this.replica.raft.configuration;
    logger.log('info', 'members-changed', {
      node: id,
      voters: voters.join(' '),
      outgoing: outgoing.join(' '),
      learners: learners.join(' '),
    });
    for (const member of this.#knownMembers()) this.#addLink(member.id, member.address);
    // Those who have left shall still learn that they have.
    this.#farewell ??= clock.after(timing.electionTimeoutMs, () => {
      this.#farewell = null;
      this.#dropStrangers();
    });
  }

  /** Closes the links to nodes that have left the group. One that this node has not heard of may be about to join. */
  #dropStrangers(): void {
    const known = new Set(this.#knownMembers().map((member) => member.id));
    const { lastId } = this.replica.raft.configuration;
    for (const [peer, link] of this.#links) {
      if (known.has(peer) || peer > lastId) continue;
      this.#links.delete(peer);
      link.close();
    }
  }

  #refusalOf({ cluster, from, to, address, identity }: Hello): Refusal | null {
    const { id } = this.#options;
    if (cluster !== this.#cluster) return forNow('it belongs to another group');
    if (to !== id) return forNow(`it takes us for node ${to}`);
    const member = this.#knownMembers().find((one) => one.id === from);
    // The configuration says it of those who have joined.
    const known =
      member === undefined || member.identity === 0 ? this.#identities.identityOf(from) : member.identity;
    if (known !== null && known !== identity) {
      rarely('a node without its data directory is refused');
      const why = `node ${from} has lost its data directory, or this is not it: it must be removed and added anew`;
      return { why, holds: 'for-good' };
    }
    if (known === null && member !== undefined && identity !== 0) {
      this.#identities.note(from, identity);
      return { why: 'its identity is being written down', holds: 'for-a-moment' };
    }
    const { lastId } = this.replica.raft.configuration;
    if (member === undefined && (from < 1 || from === id)) return forNow(`node ${from} is not a member`);
    // This node has not been told of it yet, and needs to answer.
    if (member === undefined && from > lastId) this.#addLink(from, address);
    return null;
  }

  #addLink(peer: NodeId, text: string): void {
    const address = parseAddress(text);
    if (address === null || this.#links.has(peer)) return;
    const link = this.#makeLink(peer, address);
    this.#links.set(peer, link);
    if (this.#hasStarted) link.start();
  }

  #makeLink(peer: NodeId, address: Address): PeerLink {
    const { id, network, clock, random, logger, identity = 0 } = this.#options;
    return new PeerLink({
      self: id,
      peer,
      address,
      hello: { kind: 'hello', cluster: this.#cluster, from: id, to: peer, address: this.#address, identity },
      network,
      clock,
      random,
      logger,
      onRefused: (why) => this.#fail(new EnvelopeError('REFUSED', `the group refuses this node: ${why}`)),
      onUp: () => {
        for (const { replica } of this.#groups.values()) replica.onPeerReset(peer);
      },
      onDown: () => {
        for (const { replica, router } of this.#groups.values()) {
          replica.onPeerLost(peer);
          router.onPeerDown(peer);
        }
      },
    });
  }

  #fail(error: Error): void {
    if (this.#stopped) return;
    this.#options.logger.log('error', 'node-failed', { node: this.#options.id, why: error.message });
    this.#shutDown('at-once');
    this.#options.onFailure(error);
  }

  #shutDown(how: 'in-order' | 'at-once'): void {
    this.#stopped = true;
    for (const departure of this.#departures) departure.cancel();
    this.#farewell?.cancel();
    this.#listener?.close();
    for (const { router, replica } of this.#groups.values()) {
      router.stop();
      replica.stop();
    }
    for (const link of this.#links.values()) link.close();
    for (const connection of this.#connections) {
      if (how === 'in-order') connection.close();
      else connection.destroy();
    }
    if (how === 'at-once') for (const { store } of this.#groups.values()) store.close();
  }
}

function forNow(why: string): Refusal {
  return { why, holds: 'for-now' };
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

/** The first group's data lie where those of a node's only group always did. */
function directoryOf(directory: string, group: GroupId): string {
  return group === GROUP ? directory : `${directory}/group-${group}`;
}

/** The same on all nodes that were given the same list of members. */
function clusterChecksum(members: readonly Address[]): number {
  return crc32(utf8(members.map(format).join(',')));
}

function format(address: Address | undefined): string {
  return address === undefined ? '' : `${address.host}:${address.port}`;
}

/** Null: it says nothing that could be dialled. */
function parseAddress(text: string): Address | null {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  return colon < 1 || !Number.isInteger(port) || port < 1 || port > 65_535
    ? null
    : { host: text.slice(0, colon), port };
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function isFormatError(error: unknown): error is EnvelopeError {
  return error instanceof Error && (error as Partial<EnvelopeError>).code === 'FORMAT';
}
