/**
 * The connections between routers on trial: each node has one to each other node, by which it sends. One that breaks
 * loses what is on its way, and its sender sees it at once. A node that stops in order reads nothing more and says on each
 * connection up to where it has read; until that has arrived the sender goes on sending, to nobody. What such a node has
 * sent itself still arrives.
 */

import { lastReadOf, ReadRequests } from '../../src/server/last_read.ts';
import type { PeerFrame } from '../../src/server/peer_protocol.ts';
import type { SimRandom } from '../random.ts';
import type { Scheduler } from '../scheduler.ts';

export interface RouterLinksOptions {
  readonly nodes: number;
  readonly group: number;
  readonly scheduler: Scheduler;
  readonly random: SimRandom;
  readonly delayUsMax: number;
  readonly isRunning: (node: number) => boolean;
  /** A frame has arrived. */
  readonly onFrame: (from: number, to: number, frame: PeerFrame) => void;
  /** The sender of a connection sees its end; see `Router.onPeerDown`. */
  readonly onDown: (from: number, to: number, lastRead: number | null) => void;
}

class Line {
  /** What was read at its end. */
  readonly requests = new ReadRequests();
  /** What is sent arrives. */
  isWhole = true;
}

/** From one node to another. */
interface Route {
  /** The connection by which is sent now, as far as the sender knows. */
  line: Line;
  /** When the last frame arrives. */
  lastUs: number;
}

export class RouterLinks {
  readonly #options: RouterLinksOptions;
  /** By `from>to`. */
  readonly #routes = new Map<string, Route>();

  constructor(options: RouterLinksOptions) {
    this.#options = options;
  }

  /** False: certainly not sent. */
  send(from: number, to: number, frame: PeerFrame): boolean {
    const { scheduler, isRunning } = this.#options;
    const route = this.#routeOf(from, to);
    const { line } = route;
    if (line.isWhole && !isRunning(to)) return false;
    route.lastUs = Math.max(route.lastUs, scheduler.nowUs) + this.#delayUs();
    scheduler.at(route.lastUs, () => {
      if (!line.isWhole) return;
      if (frame.kind === 'request' && !line.requests.note(frame.group, frame.id))
        throw new Error(`node ${from} sends request ${frame.id} behind one of a higher id`);
      this.#options.onFrame(from, to, frame);
    });
    return true;
  }

  /** The connection from one node to another breaks. */
  break(from: number, to: number): void {
    const { scheduler, onDown } = this.#options;
    this.#renew(from, to).isWhole = false;
    scheduler.after(1, () => onDown(from, to, null));
  }

  /** A node stops in order; those who send to it learn up to where it has read, or only that it is gone. */
  leave(node: number, saysGoodbye: (to: number) => boolean): void {
    const { scheduler, group, onDown } = this.#options;
    for (const other of this.#others(node)) {
      const route = this.#routeOf(other, node);
      const { line } = route;
      line.isWhole = false;
      const lastRead = saysGoodbye(other) ? lastReadOf(line.requests.last, group) : null;
      scheduler.after(this.#delayUs(), () => {
        // It broke meanwhile, or its sender is gone as well.
        if (route.line !== line) return;
        this.#renew(other, node);
        onDown(other, node, lastRead);
      });
      this.#renew(node, other);
    }
  }

  /** @returns The connection of before. */
  #renew(from: number, to: number): Line {
    const route = this.#routeOf(from, to);
    const { line } = route;
    route.line = new Line();
    return line;
  }

  #others(node: number): number[] {
    return Array.from({ length: this.#options.nodes }, (_none, at) => at + 1).filter((id) => id !== node);
  }

  #delayUs(): number {
    return 1 + this.#options.random.below(this.#options.delayUsMax);
  }

  #routeOf(from: number, to: number): Route {
    const name = `${from}>${to}`;
    const known = this.#routes.get(name) ?? { line: new Line(), lastUs: 0 };
    this.#routes.set(name, known);
    return known;
  }
}
