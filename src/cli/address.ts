/** `host:port` on the command line. */
import { EnvelopeError } from '../base/errors.ts';
import type { Address } from '../io/network.ts';

/** @param what Names it in the error. @throws EnvelopeError `USAGE` */
export function parseAddress(text: string, what: string): Address {
  const colon = text.lastIndexOf(':');
  if (colon < 1) throw new EnvelopeError('USAGE', `${what}: '${text}' is not host:port`);
  return { host: text.slice(0, colon), port: parsePort(text.slice(colon + 1), what) };
}

/** @throws EnvelopeError `USAGE` */
export function parsePort(text: string, what: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535) {
    throw new EnvelopeError('USAGE', `${what}: '${text}' is not a port (1 to 65535)`);
  }
  return port;
}
