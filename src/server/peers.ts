/** The other nodes, as this one knows them: a link to each of them, and whom it talks to. */
import { assert } from '../base/assert.ts';
import { EnvelopeError } from '../base/errors.ts';
import { rarely } from '../base/rare.ts';
import type { Address } from '../io/network.ts';
import type { GroupId } from '../log/entry.ts';
import type { Member } from '../raft/configuration.ts';
import type { NodeId } from '../raft/message.ts';
import type { HostedGroup } from './hosted_group.ts';
import { IdentityRegistry } from './identity_registry.ts';
import { lastReadOf } from './last_read.ts';
import { FIRST_GROUP, type NodeOptions } from './node_options.ts';
import type { Refusal } from './peer_acceptor.ts';
import { clusterChecksum, formatAddress, parseAddress } from './peer_address.ts';
import { PeerLink } from './peer_link.ts';
import type { Hello, PeerFrame } from './peer_protocol.ts';

export class Peers {
  /** The number that nodes of one group have in common. */
  readonly cluster: number;
  readonly #options: NodeOptions;
  readonly #groups: ReadonlyMap<GroupId, HostedGroup>;
  readonly #onFailure: (error: Error) => void;
  readonly #links = new Map<NodeId, PeerLink>();
  readonly #identities: IdentityRegistry;
  /** Where others reach this node. */
  readonly #address: string;
  #hasStarted = false;

  /** @param groups That this node hosts; filled later, before anything is asked. */
  constructor(
    options: NodeOptions,
    groups: ReadonlyMap<GroupId, HostedGroup>,
    onFailure: (error: Error) => void,
  ) {
    const { id, members, listen, cluster } = options;
    this.cluster = cluster ?? clusterChecksum(members);
    this.#options = options;
    this.#groups = groups;
    this.#onFailure = onFailure;
    this.#identities = new IdentityRegistry(options.disk, options.directory, onFailure);
    this.#address = formatAddress(members[id - 1] ?? listen);
  }

  /** Dials, and goes on dialling whoever is added. */
  start(): void {
    this.#hasStarted = true;
    for (const link of this.#links.values()) link.start();
  }

  /** @returns whether it is on its way, which says nothing of its arrival. */
  send(to: NodeId, frame: PeerFrame): boolean {
    return this.#links.get(to)?.send(frame) ?? false;
  }

  /** A link to every member. */
  linkMembers(): void {
    for (const member of this.#known()) this.#addLink(member.id, member.address);
  }

  /** Closes the links to nodes that have left the group. One that this node has not heard of may be about to join. */
  dropStrangers(): void {
    const known = new Set(this.#known().map((member) => member.id));
    const { lastId } = this.#firstGroup.replica.raft.configuration;
    for (const [peer, link] of this.#links) {
      if (known.has(peer) || peer > lastId) continue;
      this.#links.delete(peer);
      link.close('at-once');
    }
  }

  close(how: 'in-order' | 'at-once'): void {
    for (const link of this.#links.values()) link.close(how);
  }

  /** A peer speaks to this node by a new connection. */
  onGreeted(peer: NodeId): void {
    if (this.#hasStarted) this.#links.get(peer)?.hurry();
  }

  /** The connection by which a peer spoke to this node has ended. */
  onSpeakerLost(peer: NodeId): void {
    for (const { replica } of this.#groups.values()) replica.onPeerLost(peer);
  }

  /** Whether this node talks to who greets it so; null: it does. */
  refusalOf({ cluster, from, to, address, identity }: Hello): Refusal | null {
    const { id } = this.#options;
    if (cluster !== this.cluster) return forNow('it belongs to another group');
    if (to !== id) return forNow(`it takes us for node ${to}`);
    const member = this.#known().find((one) => one.id === from);
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
    const { lastId } = this.#firstGroup.replica.raft.configuration;
    if (member === undefined && (from < 1 || from === id)) return forNow(`node ${from} is not a member`);
    // This node has not been told of it yet, and needs to answer.
    if (member === undefined && from > lastId) this.#addLink(from, address);
    return null;
  }

  /** Of the committed configuration and of those behind it, but for this node. */
  #known(): readonly Member[] {
    const known = new Map<NodeId, Member>();
    for (const { replica } of this.#groups.values()) {
      for (const { members } of replica.raft.configurations) {
        for (const member of members) if (member.id !== this.#options.id) known.set(member.id, member);
      }
    }
    return [...known.values()];
  }

  get #firstGroup(): HostedGroup {
    const group = this.#groups.get(FIRST_GROUP);
    assert(group !== undefined, 'every node hosts the first group');
    return group;
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
      hello: { kind: 'hello', cluster: this.cluster, from: id, to: peer, address: this.#address, identity },
      network,
      clock,
      random,
      logger,
      onRefused: (why) =>
        this.#onFailure(new EnvelopeError('REFUSED', `the group refuses this node: ${why}`)),
      onUp: () => {
        for (const { replica } of this.#groups.values()) replica.onPeerReset(peer);
      },
      onDown: (lastRead) => {
        for (const [group, { replica, router }] of this.#groups) {
          replica.onPeerReset(peer);
          replica.onPeerLost(peer);
          router.onPeerDown(peer, lastRead === null ? null : lastReadOf(lastRead, group));
        }
      },
    });
  }
}

function forNow(why: string): Refusal {
  return { why, holds: 'for-now' };
}
