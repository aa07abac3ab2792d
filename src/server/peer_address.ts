/** Addresses as text, and what they say of a group. */
import { utf8 } from '../codec/bytes.ts';
import { crc32 } from '../codec/crc32.ts';
import type { Address } from '../io/network.ts';

/** The same on all nodes that were given the same list of members. */
export function clusterChecksum(members: readonly Address[]): number {
  return crc32(utf8(members.map(formatAddress).join(',')));
}

export function formatAddress(address: Address | undefined): string {
  return address === undefined ? '' : `${address.host}:${address.port}`;
}

/** Null: it says nothing that could be dialled. */
export function parseAddress(text: string): Address | null {
  const colon = text.lastIndexOf(':');
  const port = Number(text.slice(colon + 1));
  return colon < 1 || !Number.isInteger(port) || port < 1 || port > 65_535
    ? null
    : { host: text.slice(0, colon), port };
}
