/**
 * One node, put together: recovers what is on its disk, joins its group, listens, and tells clients from peers by the
 * first byte they send. The same class runs over the real seams in production and over the simulated ones in `sim`.
 *
 * Start order: term and vote, log, tables, then the replica, then the listener: nobody can ask a node that has not
 * recovered. A damaged table is mended from another replica (`table_mender.ts`); a node that meets other damage, or a failed
 * disk, stops with the reason (`onFailure`) instead of answering wrongly.
 */

import { assert } from '../base/assert.ts';
import { type EnvelopeError, type Outcome, toError } from '../base/errors.ts';
import type { Timer } from '../io/clock.ts';
import type { Connection, ConnectionHandler, Listener } from '../io/network.ts';
import { DEFAULT_JOURNAL_LIMITS } from '../kv/journal.ts';
import { StateDigest } from '../kv/state_digest.ts';
import { StateMachine } from '../kv/state_machine.ts';
import type { GroupId } from '../log/entry.ts';
import type { GroupLog } from '../log/group_log.ts';
import type { Log } from '../log/log.ts';
import type { Store } from '../lsm/store.ts';
import { DEFAULT_LIMITS, type ProtocolLimits } from '../protocol/command.ts';
import { foundingConfiguration, memberOf } from '../raft/configuration.ts';
import { DEFAULT_CLOCK_DRIFT_PPM_MAX, DEFAULT_TIMING } from '../raft/core.ts';
import { DEFAULT_FLOW } from '../raft/flow.ts';
import type { NodeId } from '../raft/message.ts';
import type { HardStateFile } from '../replica/hard_state_file.ts';
import { describeMending, dropCovered, fenceForgotten } from '../replica/log_damage.ts';
import { decodeMessage, MessageEncoder } from '../replica/message_codec.ts';
import { Replica } from '../replica/replica.ts';
import { decodeSnapshotMessage, encodeSnapshotMessage } from '../replica/snapshot_codec.ts';
import { DEFAULT_SNAPSHOT_LIMITS, mendLog } from '../replica/snapshots.ts';
import { careStatus } from './care_status.ts';
import { ConnectionLimit } from './connection_limit.ts';
import { CursorTable } from './cursor_table.ts';
import { Departure } from './departure.ts';
import type { GroupParts, HostedGroup } from './hosted_group.ts';
import { Lookout } from './lookout.ts';
import { directoryOf, type NodeParts, openParts, releaseParts } from './node_opening.ts';
import { CONNECTIONS_MAX, FIRST_GROUP, type NodeOptions } from './node_options.ts';
import { PeerAcceptor } from './peer_acceptor.ts';
import { formatAddress } from './peer_address.ts';
import { frameBytesMax, type PeerFrame, PREAMBLE } from './peer_protocol.ts';
import { Peers } from './peers.ts';
import { RefusedClient } from './refused_client.ts';
import { Router, type RouterTimeouts } from './router.ts';
import { Session } from './session.ts';
import { UnheardConnection } from './unheard_connection.ts';

export type { NodeOptions } from './node_options.ts';

const WAITING_MAX = 10_000;
/** How long requests under way may delay a stop. */
const DRAIN_MS = 1000;
/** A client that has asked or connected no longer ago than this is about to ask. */
const BUSY_MS = 500;
/** Who came in for the last so many milliseconds before nobody was let in any more has had no time to ask. */
const NEWCOMER_MS = 100;
const PROPOSAL_BYTES_MAX = 64 * 1024 * 1024;

export const DEFAULT_TIMEOUTS: RouterTimeouts = { noLeaderMs: 3000, answerMs: 10_000 };

export class Node {
  readonly replica: Replica;
  readonly groupLog: GroupLog;
  readonly store: Store;
  readonly hardState: HardStateFile;
  readonly #options: NodeOptions;
  readonly #log: Log;
  readonly #groups = new Map<GroupId, HostedGroup>();
  readonly #peers: Peers;
  readonly #connections: ConnectionLimit;
  readonly #encoder = new MessageEncoder();
  readonly #cursors: CursorTable;
  readonly #limits: ProtocolLimits;
  /** As the log was told last. */
  #membersTold = '';
  /** Until those who have left the group are not talked to any more. */
  #farewell: Timer | null = null;
  #listener: Listener | null = null;
  /** Of each group, once the node is to stop. */
  #departures: readonly Departure[] = [];
  /** Whether somebody who came in at the last moment is still to be told that the node stops. */
  #lastLook: Lookout | null = null;
  #stopped = false;

  /** Recovers and starts a node. `done` comes once it listens. */
  static open(options: NodeOptions, done: (outcome: Outcome<Node>) => void): void {
    openParts(options, (parts) => {
      if (!parts.ok) {
        done(parts);
        return;
      }
      try {
        const node = new Node(options, parts.value);
        node.#start();
        done({ ok: true, value: node });
      } catch (error) {
        releaseParts(parts.value);
        done({ ok: false, error: toError(error) });
      }
    });
  }

  private constructor(options: NodeOptions, { log, groups }: NodeParts) {
    this.#options = options;
    this.#cursors = new CursorTable(options.random);
    this.#connections = new ConnectionLimit(options.connectionsMax ?? CONNECTIONS_MAX);
    this.#log = log;
    this.#limits = options.limits ?? DEFAULT_LIMITS;
    this.#peers = new Peers(options, this.#groups, (error) => this.#fail(error));
    log.onFailure = (error) => this.#fail(error);
    log.onRest = () => {
      for (const { store } of this.#groups.values()) store.rest();
    };
    for (const parts of groups) this.#groups.set(parts.group, this.#host(parts));
    const first = this.#groups.get(FIRST_GROUP);
    assert(first !== undefined, 'every node hosts the first group');
    this.store = first.store;
    this.hardState = first.hardState;
    this.groupLog = first.log;
    this.replica = first.replica;
    this.#peers.linkMembers();
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
        members.map((address, at) => ({ id: at + 1, address: formatAddress(address), identity: 0 })),
      ),
      timing: options.timing ?? DEFAULT_TIMING,
      flow: { ...DEFAULT_FLOW, ...options.flow },
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
        this.#peers.send(to, { kind: 'raft', group, message: this.#encoder.encode(message) });
      },
      disk: options.disk,
      directory,
      snapshots: { ...DEFAULT_SNAPSHOT_LIMITS, ...options.snapshots },
      sendSnapshot: (to, message) => {
        const fields = encodeSnapshotMessage(message);
        this.#peers.send(to, { kind: 'snapshot', group, message: fields });
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
      send: (to, frame) => this.#peers.send(to, frame),
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
      cluster: this.#peers.cluster,
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
          hasClientsToTell: (sinceMs) => this.#hasClientsToTell(sinceMs),
          done: () => {
            left--;
            if (left === 0) this.#closeDoor(done);
          },
        }),
    );
    for (const departure of this.#departures) departure.start();
  }

  #hasClientsToTell(sinceMs: number): boolean {
    for (const { handler } of this.#connections) {
      const mayAsk = handler instanceof Session || handler instanceof UnheardConnection;
      if (mayAsk && handler.isExpected(sinceMs, BUSY_MS)) return true;
    }
    return false;
  }

  /** Nobody is let in any more; who came in at the last moment is still told. */
  #closeDoor(done: (error: Error | null) => void): void {
    const { clock } = this.#options;
    const closedAtMs = clock.monotonicMs();
    // Behind what this turn brings: who is still in the queue of a listener that closes is thrown out.
    clock.later(() => this.#listener?.close());
    this.#lastLook = new Lookout(clock, () => {
      const isLate = clock.monotonicMs() >= closedAtMs + BUSY_MS;
      if (!isLate && this.#hasNewcomers(closedAtMs - NEWCOMER_MS)) return 'again';
      this.#close(done);
      return 'over';
    });
  }

  #hasNewcomers(sinceMs: number): boolean {
    for (const { handler } of this.#connections) {
      if (handler instanceof UnheardConnection && handler.isExpected(sinceMs, 0)) return true;
    }
    return false;
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
    this.#peers.start();
    const { configuration } = this.replica.raft;
    const nodes = configuration.members.length;
    logger.log('info', 'node-started', { node: id, address: formatAddress(address), nodes });
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
    if (this.#stopped) {
      connection.handler = { onData: () => {}, onClose: () => {} };
      connection.destroy();
      return;
    }
    connection.handler = new UnheardConnection(connection, {
      acceptedAtMs: this.#options.clock.monotonicMs(),
      handlerFor: (firstByte) => this.#handlerFor(connection, firstByte),
      onClose: (closed) => this.#connections.delete(closed),
    });
    this.#connections.add(connection);
  }

  #handlerFor(connection: Connection, firstByte: number): ConnectionHandler {
    const { id, logger } = this.#options;
    const onClose = (closed: Connection): void => {
      this.#connections.delete(closed);
    };
    const onFailure = (error: Error): void => this.#fail(error);
    const isPeer = firstByte === PREAMBLE[0];
    if (!this.#connections.admits(connection, isPeer ? 'peer' : 'client')) {
      if (!isPeer) return new RefusedClient(connection, this.#connections.max, onClose);
      connection.destroy();
      return { onData: () => {}, onClose: () => onClose(connection) };
    }
    if (isPeer) {
      return new PeerAcceptor(connection, {
        self: id,
        refusalOf: (hello) => this.#peers.refusalOf(hello),
        frameBytesMax: frameBytesMax(this.#limits.valueBytes),
        logger,
        onGreeted: (from) => {
          if (!this.#stopped) this.#peers.onGreeted(from);
        },
        onFrame: (from, frame) => this.#onPeerFrame(connection, from, frame),
        onClose: (closed, from) => {
          onClose(closed);
          if (from !== null && !this.#stopped) this.#peers.onSpeakerLost(from);
        },
      });
    }
    return new Session(connection, {
      dialect: firstByte === 0x2a ? 'resp' : 'text',
      limits: this.#limits,
      clock: this.#options.clock,
      group: this.#groupOf(FIRST_GROUP),
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
      case 'goodbye':
      case 'ping':
      case 'pong':
        return;
    }
  }

  #onMembersChange(): void {
    if (this.#stopped) return;
    const { clock, logger, id, timing = DEFAULT_TIMING } = this.#options;
    const { voters, outgoing, learners } = this.replica.raft.configuration;
    const members = { voters: voters.join(' '), outgoing: outgoing.join(' '), learners: learners.join(' ') };
    // An entry that says who they are is appended, and committed later.
    if (Object.values(members).join() !== this.#membersTold) {
      this.#membersTold = Object.values(members).join();
      logger.log('info', 'members-changed', { node: id, ...members });
    }
    this.#peers.linkMembers();
    // Those who have left shall still learn that they have.
    this.#farewell ??= clock.after(timing.electionTimeoutMs, () => {
      this.#farewell = null;
      this.#peers.dropStrangers();
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
    this.#lastLook?.cancel();
    this.#listener?.close();
    for (const { router, replica } of this.#groups.values()) {
      router.stop();
      replica.stop();
    }
    this.#peers.close(how);
    for (const connection of this.#connections) {
      const { handler } = connection;
      if (how === 'at-once') connection.destroy();
      else if (handler instanceof PeerAcceptor) handler.close();
      else if (handler instanceof Session) handler.leave();
      else connection.close();
    }
    if (how === 'at-once') for (const { store } of this.#groups.values()) store.close();
  }
}

function isFormatError(error: unknown): error is EnvelopeError {
  return error instanceof Error && (error as Partial<EnvelopeError>).code === 'FORMAT';
}
