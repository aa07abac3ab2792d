/**
 * What a world tells about itself while it runs, to whoever wants to draw it. Where nobody listens the probe is null and
 * costs a comparison. A probe only looks: it draws nothing, plans nothing, traces nothing, so that a run is the same run
 * with it and without.
 */
import type { Operation } from '../check/history.ts';
import type { StrokeAction } from '../strokes.ts';

/** A node as far as the picture shows it. */
export interface ObservedNode {
  readonly replica: {
    readonly raft: {
      readonly term: number;
      readonly vote: number | null;
      readonly role: 'follower' | 'candidate' | 'leader';
      readonly commitIndex: number;
    };
  };
}

/** What the network tells. `route` is `from>to` in host names, `connection` the number of the connection. */
export interface NetworkProbe {
  /** @param bytes Only valid during the call. */
  onSend(connection: number, route: string, bytes: Uint8Array): void;
  onArrive(connection: number, route: string, byteCount: number, receiver: 'open' | 'closed'): void;
  /** All that had been sent is lost but for the next `keptBytes`, which are still on their way. */
  onLost(connection: number, route: string, keptBytes: number): void;
}

/** What the trace tells: every event of a run, under the label and numbers that go into its hash. */
export interface TraceProbe {
  /** @param name Of what it is about; null when the label says it. */
  onEvent(label: string, name: string | null, a: number, b: number): void;
}

export interface Probe extends NetworkProbe, TraceProbe {
  /** Before all else. `nowUs` gives virtual time. */
  onStart(nowUs: () => number): void;
  onStroke(stroke: StrokeAction): void;
  /** A node's code has run. */
  onNode(id: number, node: ObservedNode): void;
  onUp(id: number): void;
  onLog(id: number, level: string, event: string, fields: Readonly<Record<string, unknown>>): void;
  /** What was asked has ended without an effect that is known. */
  onGivenUp(operation: Operation, outcome: 'unknown' | 'refused'): void;
  /** These operations contradict a check. */
  onOffending(operations: readonly Operation[]): void;
}
