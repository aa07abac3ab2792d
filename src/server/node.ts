/**
 * One node, put together: recovers what is on its disk, joins its group, listens, and tells clients from peers by the
 * first byte they send. The same class runs over the real seams in production and over the simulated ones in `sim`.
 *
 * Start order: term and vote, log, tables, then the replica, then the listener: nobody can ask a node that has not
 * recovered. A node that meets damage or a failed disk stops with the reason (`onFailure`) instead of answering wrongly.
 */

import { assert } from '../base/assert.ts';
import { CorruptionError, type EnvelopeError, type Outcome } from '../base/errors.ts';
import { utf8 } from '../codec/bytes.ts';
import { crc32 } from '../codec/crc32.ts';
import type { Clock, Timer } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { Address, Connection, ConnectionHandler, Listener, Network } from '../io/network.ts';
import type { Random } from '../io/random.ts';
import { StateMachine } from '../kv/state_machine.ts';
import type { GroupLog } from '../log/group_log.ts';
import { Log, type LogOptions } from '../log/log.ts';
import { Store, type StoreOptions } from '../lsm/store.ts';
import { DEFAULT_LIMITS, type ProtocolLimits } from '../protocol/command.ts';
import { foundingConfiguration, type Member, memberOf } from '../raft/configuration.ts';
import { DEFAULT_CLOCK_DRIFT_PPM_MAX, DEFAULT_TIMING, type RaftTiming } from '../raft/core.ts';
import { DEFAULT_FLOW, type FlowLimits } from '../raft/flow.ts';
import type { NodeId } from '../raft/message.ts';
import { HardStateFile } from '../replica/hard_state_file.ts';
import { decodeMessage, MessageEncoder } from '../replica/message_codec.ts';
import { Replica } from '../replica/replica.ts';
import { decodeSnapshotMessage, encodeSnapshotMessage } from '../replica/snapshot_codec.ts';
import { DEFAULT_SNAPSHOT_LIMITS, mendLog, type SnapshotLimits } from '../replica/snapshots.ts';
import { CursorTable } from './cursor_table.ts';
import { Departure } from './departure.ts';
import { PeerAcceptor } from './peer_acceptor.ts';
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
  /** Of the data directory, drawn when it was made; 0: it has none. */
  readonly identity?: number;
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

/** The only group of a node today; the formats carry the number already. */
const GROUP = 1;
const CONNECTIONS_MAX = 10_000;
const WAITING_MAX = 10_000;
/** How long requests under way may delay a stop. */
const DRAIN_MS = 1000;
const PROPOSAL_BYTES_MAX = 64 * 1024 * 1024;

export const DEFAULT_TIMEOUTS: RouterTimeouts = { noLeaderMs: 3000, answerMs: 10_000 };

interface Parts {
  readonly hardState: HardStateFile;
  readonly log: Log;
  readonly store: Store;
}

export class Node {
  readonly replica: Replica;
  readonly groupLog: GroupLog;
  readonly store: Store;
  readonly hardState: HardStateFile;
  readonly #options: NodeOptions;
  readonly #parts: Parts;
  readonly #router: Router;
  readonly #links = new Map<NodeId, PeerLink>();
  readonly #connections = new Set<Connection>();
  readonly #encoder = new MessageEncoder();
  readonly #cursors: CursorTable;
  readonly #limits: ProtocolLimits;
  readonly #cluster: number;
  readonly #address: string;
  /** Until those who have left the group are not talked to any more. */
  #farewell: Timer | null = null;
  #hasStarted = false;
  #listener: Listener | null = null;
  #departure: Departure | null = null;
  #stopped = false;

  /** Recovers and starts a node. `done` comes once it listens. */
  static open(options: NodeOptions, done: (outcome: Outcome<Node>) => void): void {
    const { disk, directory, clock, logger, id } = options;
    const fail = (error: Error): void => done({ ok: false, error });
    HardStateFile.open({ disk, directory, group: GROUP, node: id }, (hardState) => {
      if (!hardState.ok) return fail(hardState.error);
      Log.open({ disk, directory: `${directory}/log`, clock, logger, ...options.log }, (log) => {
        if (!log.ok) return fail(log.error);
        if (hardState.value.isNew && log.value.group(GROUP).lastIndex > 0) {
          return fail(
            new CorruptionError(directory, 0, 'the files of term and vote are missing beside a log'),
          );
        }
        Store.open({ disk, directory: `${directory}/tables`, clock, logger, ...options.store }, (store) => {
          if (!store.ok) return fail(store.error);
          try {
            const node = new Node(options, {
              hardState: hardState.value,
              log: log.value,
              store: store.value,
            });
            node.#start();
            done({ ok: true, value: node });
          } catch (error) {
            fail(toError(error));
          }
        });
      });
    });
  }

  private constructor(options: NodeOptions, parts: Parts) {
    const { id, members, clock, random, logger } = options;
    const { log, store, hardState } = parts;
    this.#options = options;
    this.#cursors = new CursorTable(random);
    this.#parts = parts;
    this.#limits = options.limits ?? DEFAULT_LIMITS;
    this.#cluster = options.cluster ?? clusterChecksum(members);
    this.#address = format(members[id - 1] ?? options.listen);
    this.store = store;
    this.hardState = hardState;
    this.groupLog = log.group(GROUP);
    log.onFailure = (error) => this.#fail(error);
    store.onFailure = (error) => this.#fail(error);
    if (mendLog(options.disk, options.directory, store, this.groupLog)) log.flush();
    this.replica = new Replica({
      id,
      founders: foundingConfiguration(
        members.map((address, at) => ({ id: at + 1, address: format(address), identity: 0 })),
      ),
      timing: options.timing ?? DEFAULT_TIMING,
      flow: options.flow ?? DEFAULT_FLOW,
      log: this.groupLog,
      hardState,
      store,
      stateMachine: new StateMachine(store),
      clock,
      random,
      logger,
      clockDriftPpmMax:
        options.clockDriftPpmMax === undefined ? DEFAULT_CLOCK_DRIFT_PPM_MAX : options.clockDriftPpmMax,
      answerTimeoutMs: (options.timeouts ?? DEFAULT_TIMEOUTS).answerMs,
      proposalBytesMax: PROPOSAL_BYTES_MAX,
      send: (to, message) => {
        this.#links.get(to)?.send({ kind: 'raft', group: GROUP, message: this.#encoder.encode(message) });
      },
      disk: options.disk,
      directory: options.directory,
      snapshots: { ...DEFAULT_SNAPSHOT_LIMITS, ...options.snapshots },
      sendSnapshot: (to, message) => {
        const fields = encodeSnapshotMessage(message);
        this.#links.get(to)?.send({ kind: 'snapshot', group: GROUP, message: fields });
      },
      flushLog: () => log.flush(),
      onFailure: (error) => this.#fail(error),
    });
    this.#router = new Router({
      replica: this.replica,
      clock,
      random,
      timeouts: options.timeouts ?? DEFAULT_TIMEOUTS,
      waitingMax: WAITING_MAX,
      send: (to, frame) => this.#links.get(to)?.send(frame) ?? false,
    });
    this.replica.onLeaderChange = () => this.#router.onLeaderChange();
    this.replica.onMembersChange = () => this.#onMembersChange();
    for (const member of this.#knownMembers()) this.#addLink(member.id, member.address);
  }

  /** The port listened on, once it is known. */
  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** Has stopped, or is about to. */
  get isStopped(): boolean {
    return this.#stopped || this.#departure !== null;
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
      connections: this.#connections.size,
    };
  }

  /**
   * Stops in order: hands leadership over, answers what was asked (both within a bounded time), makes what is in the log
   * durable, closes the files. A node that is stopping already is left to it: then `done` comes at once.
   */
  stop(done: (error: Error | null) => void): void {
    if (this.#stopped || this.#departure !== null) {
      done(null);
      return;
    }
    const { clock, logger, timing = DEFAULT_TIMING } = this.#options;
    this.#departure = new Departure({
      replica: this.replica,
      router: this.#router,
      clock,
      logger,
      handOverMs: timing.electionTimeoutMs,
      drainMs: DRAIN_MS,
      done: () => this.#close(done),
    });
    this.#departure.start();
  }

  #close(done: (error: Error | null) => void): void {
    this.#shutDown('in-order');
    this.#parts.log.close((error) => {
      this.store.close();
      this.#parts.hardState.close();
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
    const nodes = this.replica.raft.configuration.members.length;
    logger.log('info', 'node-started', { node: id, address: format(address), nodes });
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
      router: this.#router,
      store: this.store,
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
        // Messages of a group that this node does not host are for a later version to understand.
        if (frame.group === GROUP) this.replica.step(from, decodeMessage(frame.message));
        return;
      case 'snapshot':
        if (frame.group === GROUP) this.replica.stepSnapshot(from, decodeSnapshotMessage(frame.message));
        return;
      case 'request':
        this.#router.onRequest(from, frame.id, frame.request);
        return;
      case 'response':
        this.#router.onResponse(from, frame.id, frame.result);
        return;
      case 'hello':
      case 'ping':
      case 'pong':
        return;
    }
  }

  /** Of the committed configuration and of those behind it, but for this node. */
  #knownMembers(): readonly Member[] {
    const known = new Map<NodeId, Member>();
    for (const { members } of this.replica.raft.configurations) {
      for (const member of members) if (member.id !== this.#options.id) known.set(member.id, member);
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

  #refusalOf({ cluster, from, to, address, identity }: Hello): string | null {
    const { id } = this.#options;
    if (cluster !== this.#cluster) return 'it belongs to another group';
    if (to !== id) return `it takes us for node ${to}`;
    const member = this.#knownMembers().find((one) => one.id === from);
    if (member !== undefined && member.identity !== 0 && member.identity !== identity) {
      return `node ${from} has lost its data directory, or this is not it: it must be removed and added anew`;
    }
    const { lastId } = this.replica.raft.configuration;
    if (member === undefined && (from < 1 || from === id)) return `node ${from} is not a member`;
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
      onUp: () => this.replica.onPeerReset(peer),
      onDown: () => {
        this.replica.onPeerReset(peer);
        this.#router.onPeerDown(peer);
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
    this.#departure?.cancel();
    this.#farewell?.cancel();
    this.#listener?.close();
    this.#router.stop();
    this.replica.stop();
    for (const link of this.#links.values()) link.close();
    for (const connection of this.#connections) {
      if (how === 'in-order') connection.close();
      else connection.destroy();
    }
    if (how === 'at-once') this.store.close();
  }
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
