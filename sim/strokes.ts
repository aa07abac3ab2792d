/**
 * Everything that the nemesis can do to a world, each as one stroke: plain data that names what is hit, so that it can
 * be written down, left out and played again. A stroke that no longer fits (a crash of a process that is down) does
 * nothing.
 */
import { applyDiskStroke, type DiskStroke, describeDiskStroke, isDiskStroke } from './disk_strokes.ts';
import type { Machine } from './machine.ts';
import type { World } from './world.ts';

export type StrokeAction =
  /** The machine stops: the process ends at once, and what its disk had not synced may be lost. */
  | { readonly kind: 'crash'; readonly node: number }
  /** The process ends at once; its machine goes on, and keeps what was written. */
  | { readonly kind: 'kill'; readonly node: number }
  /** The process crashes inside its n-th next operation that changes the disk, n from 1. */
  | { readonly kind: 'crash-inside'; readonly node: number; readonly operation: number }
  /** Starts the process if it is down. */
  | { readonly kind: 'boot'; readonly node: number }
  /** Stops the process in order, as an operator does: for an upgrade, say. */
  | { readonly kind: 'stop'; readonly node: number }
  | { readonly kind: 'pause'; readonly node: number }
  | { readonly kind: 'resume'; readonly node: number }
  /** Each callback of the process takes this long, in microseconds; 0: no time again. */
  | { readonly kind: 'slow-cpu'; readonly node: number; readonly taskUs: number }
  /** Nothing gets from the first node of a pair to the second. */
  | { readonly kind: 'cut'; readonly routes: readonly Route[] }
  | { readonly kind: 'join'; readonly routes: readonly Route[] }
  /** Breaks every connection between the two. */
  | { readonly kind: 'reset'; readonly node: number; readonly peer: number }
  /** Of a thousand pieces on all routes, how many take a long time. */
  | { readonly kind: 'slow-network'; readonly longTailPermille: number }
  | { readonly kind: 'drift'; readonly node: number; readonly ppm: number }
  | { readonly kind: 'wall-jump'; readonly node: number; readonly ms: number }
  /** The clock stands still; timers wait. */
  | { readonly kind: 'freeze'; readonly node: number }
  | { readonly kind: 'thaw'; readonly node: number }
  /** Every sync takes `factor` times as long. */
  | { readonly kind: 'slow-disk'; readonly node: number; readonly factor: number }
  /** An operator's command, sent to the node over a connection of its own. */
  | { readonly kind: 'command'; readonly node: number; readonly text: OperatorCommand }
  /** An operator asks the node for a change of membership: of the group's number for a spare, or of a removal. */
  | {
      readonly kind: 'member';
      readonly node: number;
      readonly change: 'add' | 'remove';
      readonly subject: number;
    }
  | DiskStroke;

export type OperatorCommand = 'MERGE' | 'FLUSH' | `MEMBER TRANSFER ${number}`;

/** From a node to a node, by number. */
export type Route = readonly [from: number, to: number];

/** `atUs`: virtual time in microseconds. */
export type Stroke = { readonly atUs: number } & StrokeAction;

/** A stroke that undoes nothing and breaks something; used to count what a run has suffered. */
export function isFault(stroke: StrokeAction): boolean {
  return !['boot', 'resume', 'join', 'thaw', 'command', 'member', 'disk-free'].includes(stroke.kind);
}

export function applyStroke(world: World, stroke: StrokeAction): void {
  switch (stroke.kind) {
    case 'cut':
      for (const [from, to] of stroke.routes) world.network.block(hostOf(from), hostOf(to));
      return;
    case 'join':
      for (const [from, to] of stroke.routes) world.network.unblock(hostOf(from), hostOf(to));
      return;
    case 'reset':
      world.network.resetConnections(hostOf(stroke.node), hostOf(stroke.peer));
      return;
    case 'slow-network':
      world.network.setFaults({ longTailPermille: stroke.longTailPermille });
      return;
    default:
      if (isDiskStroke(stroke)) applyDiskStroke(world, world.machine(stroke.node), stroke);
      else applyToMachine(world, world.machine(stroke.node), stroke);
  }
}

function applyToMachine(
  world: World,
  machine: Machine,
  stroke: Exclude<StrokeAction, DiskStroke | { kind: 'cut' | 'join' | 'reset' | 'slow-network' }>,
): void {
  const { process, clock, disk } = machine;
  switch (stroke.kind) {
    case 'crash':
      if (process.alive) world.lifecycle.crash(machine);
      return;
    case 'kill':
      if (process.alive) world.lifecycle.kill(machine);
      return;
    case 'crash-inside':
      disk.crashInsideAfter(stroke.operation);
      return;
    case 'boot':
      if (!process.alive) world.lifecycle.boot(machine);
      return;
    case 'stop':
      world.lifecycle.stopInOrder(machine);
      return;
    case 'pause':
      process.pause();
      return;
    case 'resume':
      process.resume();
      return;
    case 'slow-cpu':
      process.setTaskUs(stroke.taskUs);
      return;
    case 'drift':
      clock.setDriftPpm(stroke.ppm);
      return;
    case 'wall-jump':
      clock.jumpWallMs(stroke.ms);
      return;
    case 'freeze':
      clock.freeze();
      return;
    case 'thaw':
      clock.thaw();
      return;
    case 'slow-disk':
      disk.setSlowness(stroke.factor);
      return;
    case 'command':
      world.operate(stroke.node, stroke.text);
      return;
    case 'member':
      world.members.ask(stroke);
  }
}

export function hostOf(node: number): string {
  return `node${node}`;
}

/** The inverse of `hostOf`. */
export function nodeOf(host: string): number {
  return Number(host.slice('node'.length));
}

export function describeStroke(stroke: StrokeAction): string {
  if (isDiskStroke(stroke)) return describeDiskStroke(stroke);
  switch (stroke.kind) {
    case 'crash':
      return `node ${stroke.node} crashes`;
    case 'kill':
      return `the process of node ${stroke.node} is killed`;
    case 'crash-inside':
      return `node ${stroke.node} will crash inside its disk operation ${stroke.operation} from now`;
    case 'boot':
      return `node ${stroke.node} starts`;
    case 'stop':
      return `node ${stroke.node} is stopped in order`;
    case 'pause':
      return `node ${stroke.node} pauses`;
    case 'resume':
      return `node ${stroke.node} goes on`;
    case 'slow-cpu':
      return stroke.taskUs === 0
        ? `node ${stroke.node} has its full speed again`
        : `node ${stroke.node} needs ${stroke.taskUs} us for each callback`;
    case 'cut':
      return `cut: ${describeRoutes(stroke.routes)}`;
    case 'join':
      return `joined: ${describeRoutes(stroke.routes)}`;
    case 'reset':
      return `connections between node ${stroke.node} and node ${stroke.peer} break`;
    case 'slow-network':
      return `of a thousand pieces on the network ${stroke.longTailPermille} take a long time`;
    case 'drift':
      return `the clock of node ${stroke.node} drifts by ${stroke.ppm} parts in a million`;
    case 'wall-jump':
      return `the wall time of node ${stroke.node} jumps by ${stroke.ms} ms`;
    case 'freeze':
      return `the clock of node ${stroke.node} stands still`;
    case 'thaw':
      return `the clock of node ${stroke.node} goes on`;
    case 'slow-disk':
      return `syncs of node ${stroke.node} take ${stroke.factor} times as long`;
    case 'command':
      return `an operator sends ${stroke.text} to node ${stroke.node}`;
    case 'member':
      return `an operator asks node ${stroke.node} to ${stroke.change} node ${stroke.subject}`;
  }
}

/** `1-2` both ways, `1>3` one way. */
function describeRoutes(routes: readonly Route[]): string {
  const has = (from: number, to: number): boolean => routes.some(([a, b]) => a === from && b === to);
  return routes
    .filter(([from, to]) => from < to || !has(to, from))
    .map(([from, to]) => (has(to, from) ? `${from}-${to}` : `${from}>${to}`))
    .join(' ');
}
