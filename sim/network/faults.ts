/** What a simulated network does wrong, and how slow it is. Everything is off unless switched on. */
import type { LatencyRange } from '../disk/faults.ts';

export interface NetworkFaults {
  /** How long bytes are on their way, in microseconds; drawn evenly for each piece, but order is kept. */
  readonly latencyUs: LatencyRange;
  /** Of a thousand pieces, how many take `longTailUs` instead. */
  readonly longTailPermille: number;
  readonly longTailUs: LatencyRange;
  /** Of a thousand writes, how many are cut into several pieces at drawn places. */
  readonly fragmentPermille: number;
  /** Of a thousand times that several pieces wait for a reader, how often they arrive as one. */
  readonly mergePermille: number;
  /** Of a million pieces, how many have one bit flipped on the way, on routes that `mayFlip`. */
  readonly bitFlipPerMillion: number;
  /** Clients' bytes have no checksum: only what travels between hosts that can find a flipped bit is damaged. */
  readonly mayFlip: (fromHost: string, toHost: string) => boolean;
  /** Of a thousand attempts to connect, how many are refused although somebody listens. */
  readonly refusePermille: number;
  /** How long an attempt to connect goes unanswered before it fails. */
  readonly connectTimeoutUs: LatencyRange;
  /** Of a thousand connections blocked with bytes on their way, how many the sender gives up after `stallUs`. */
  readonly stallResetPermille: number;
  readonly stallUs: LatencyRange;
  /** Of a thousand connections destroyed, how many are reset; the others end. */
  readonly destroyResetPermille: number;
  /** Of a thousand connections of a crashed process, how many are reset; see `crashEndPermille`. */
  readonly crashResetPermille: number;
  /** How many are ended in order, as an operating system does that lives on. The rest say nothing until written to. */
  readonly crashEndPermille: number;
  /** Bytes on their way or unread at which a connection takes no more from its writer. */
  readonly windowBytes: number;
  /** Bytes buffered beyond the window above which `write` returns false. */
  readonly highWaterBytes: number;
  /** Checks that nobody changes bytes between `write` and delivery; whoever does panics. */
  readonly checkMutation: boolean;
}

export const NO_NETWORK_FAULTS: NetworkFaults = {
  latencyUs: { min: 50, max: 500 },
  longTailPermille: 0,
  longTailUs: { min: 10_000, max: 500_000 },
  fragmentPermille: 50,
  mergePermille: 100,
  bitFlipPerMillion: 0,
  mayFlip: () => true,
  refusePermille: 0,
  connectTimeoutUs: { min: 1_000_000, max: 5_000_000 },
  stallResetPermille: 500,
  stallUs: { min: 500_000, max: 10_000_000 },
  destroyResetPermille: 500,
  crashResetPermille: 400,
  crashEndPermille: 300,
  windowBytes: 256 * 1024,
  highWaterBytes: 64 * 1024,
  checkMutation: false,
};
