/**
 * Collects a run from what its world tells (`Probe`), and makes a record of it. It only listens: whatever is decoded or
 * added up is done here, from copies, and nothing flows back.
 */
import type { Operation } from '../check/history.ts';
import type { WorldOptions } from '../options.ts';
import { describeStroke, type StrokeAction } from '../strokes.ts';
import { DiskLog } from './disk_log.ts';
import { MessageLog } from './message_log.ts';
import { NodeLog } from './node_log.ts';
import { describeAnswer, describeOperation, isWriting } from './operation_label.ts';
import { PartitionLog } from './partitions.ts';
import type { ObservedNode, Probe } from './probe.ts';
import {
  type Header,
  type Lane,
  type MarkKind,
  type MarkRecord,
  type MessageRecord,
  type OperationRecord,
  RECORD_FORMAT,
  type RunRecord,
  type SpanKind,
} from './record.ts';
import { SpanLog } from './span_log.ts';

export interface RecorderTopology {
  readonly nodes: number;
  readonly clients: number;
}

/** What the recorder can't see by itself. */
export interface Ending {
  readonly seed: string;
  readonly commit: string | null;
  readonly replay: string;
  readonly check: string | null;
  readonly message: string | null;
  readonly hash: string;
  readonly figures: Readonly<Record<string, number>>;
  readonly options: WorldOptions;
  /** What clients asked, but for what was refused. */
  readonly operations: readonly Operation[];
}

interface GivenUp {
  readonly operation: Operation;
  readonly outcome: 'unknown' | 'refused';
  readonly atUs: number;
}

const WORLD = 0;
const MESSAGE_LENGTH_MAX = 200;
const NODE_ENDS: ReadonlySet<string> = new Set(['crash', 'kill', 'exit']);

export class Recorder implements Probe {
  readonly #lanes: readonly Lane[];
  readonly #nodes: number;
  readonly #marks: MarkRecord[] = [];
  readonly #spans = new SpanLog();
  readonly #messages: MessageLog;
  readonly #nodeLog: NodeLog;
  readonly #diskLog: DiskLog;
  readonly #givenUp = new Map<number, GivenUp>();
  readonly #offending = new Set<number>();
  readonly #partitions = new PartitionLog(WORLD);
  #nowUs: () => number = () => 0;

  constructor({ nodes, clients }: RecorderTopology) {
    this.#nodes = nodes;
    this.#lanes = [
      { kind: 'world', number: 0, name: 'world' },
      ...numbered(nodes).map((number) => ({ kind: 'node' as const, number, name: `node ${number}` })),
      ...numbered(clients).map((number) => ({ kind: 'client' as const, number, name: `client ${number}` })),
    ];
    this.#messages = new MessageLog((host) => this.#laneOf(host));
    const mark = (lane: number, kind: MarkKind, text: string): void => this.#mark(lane, kind, text);
    this.#nodeLog = new NodeLog(this.#spans, mark);
    this.#diskLog = new DiskLog(this.#spans, mark);
  }

  onStart(nowUs: () => number): void {
    this.#nowUs = nowUs;
    this.#phase('storm');
  }

  onSend(connection: number, route: string, bytes: Uint8Array): void {
    this.#messages.onSend(this.#nowUs(), connection, route, bytes);
  }

  onArrive(connection: number, route: string, byteCount: number, receiver: 'open' | 'closed'): void {
    const fate = receiver === 'open' ? 'arrived' : 'unheard';
    this.#messages.onArrive(this.#nowUs(), connection, route, byteCount, fate);
  }

  onLost(connection: number, route: string, keptBytes: number): void {
    this.#messages.onLost(this.#nowUs(), connection, route, keptBytes);
  }

  onEvent(label: string, name: string | null, a: number, b: number): void {
    const space = label.indexOf(' ');
    const first = space === -1 ? label : label.slice(0, space);
    if (space === -1) {
      this.#onNote(first, name, a);
    } else if (first.startsWith('node')) {
      this.#diskLog.onEvent(this.#nowUs(), this.#laneOf(first), label.slice(space + 1), name, a, b);
    } else {
      this.#onNetworkEvent(first, label.slice(space + 1), a);
    }
  }

  onStroke(stroke: StrokeAction): void {
    const lane = 'node' in stroke ? stroke.node : WORLD;
    const text = describeStroke(stroke);
    const isShownOtherwise = ['crash', 'kill', 'boot'].includes(stroke.kind);
    if (!isShownOtherwise) this.#mark(lane, 'fault', text);
    switch (stroke.kind) {
      case 'pause':
        if (this.#nodeLog.isUp(lane)) this.#openFault(lane, 'paused', text);
        return;
      case 'resume':
        this.#closeFault(lane, 'paused');
        return;
      case 'freeze':
        this.#openFault(lane, 'frozen', text);
        return;
      case 'thaw':
        this.#closeFault(lane, 'frozen');
        return;
      case 'slow-cpu':
        this.#closeFault(lane, 'slow-cpu');
        if (stroke.taskUs > 0) this.#openFault(lane, 'slow-cpu', text);
        return;
      case 'slow-disk':
        this.#closeFault(lane, 'slow-disk');
        if (stroke.factor > 1) this.#openFault(lane, 'slow-disk', text);
        return;
      case 'drift':
        this.#closeFault(lane, 'drift');
        if (stroke.ppm !== 0) this.#openFault(lane, 'drift', text);
        return;
      case 'slow-network':
        this.#closeFault(WORLD, 'slow-network');
        if (stroke.longTailPermille > 0) this.#openFault(WORLD, 'slow-network', text);
        return;
      default:
    }
  }

  onNode(id: number, node: ObservedNode): void {
    this.#nodeLog.onNode(this.#nowUs(), id, node.replica.raft);
  }

  onUp(id: number): void {
    this.#nodeLog.onUp(this.#nowUs(), id);
  }

  onLog(id: number, level: string, event: string, fields: Readonly<Record<string, unknown>>): void {
    const rest = Object.entries(fields).map(([name, value]) => ` ${name}=${JSON.stringify(value)}`);
    this.#mark(id, 'log', `${level}: ${event}${rest.join('')}`);
  }

  onGivenUp(operation: Operation, outcome: 'unknown' | 'refused'): void {
    this.#givenUp.set(operation.id, { operation, outcome, atUs: this.#nowUs() });
  }

  onOffending(operations: readonly Operation[]): void {
    for (const { id } of operations) this.#offending.add(id);
  }

  /** Ends the record; the recorder must not be used any more. */
  finish(ending: Ending): RunRecord {
    const endUs = this.#nowUs();
    const { operations, ...rest } = ending;
    const header: Header = { ...rest, endUs };
    if (header.check !== null) {
      const [firstLine = ''] = (header.message ?? '').split('\n');
      this.#mark(WORLD, 'failure', `${header.check}: ${firstLine.slice(0, MESSAGE_LENGTH_MAX)}`);
    }
    const messages = this.#messages.finish(endUs);
    return {
      format: RECORD_FORMAT,
      header,
      lanes: this.#lanes,
      messages,
      spans: [...this.#spans.finish(endUs), ...this.#partitions.finish(endUs)].sort(
        (a, b) => a.fromUs - b.fromUs || a.toUs - b.toUs,
      ),
      marks: this.#marks,
      operations: this.#operations(operations, messages, endUs),
    };
  }

  #onNote(label: string, name: string | null, node: number): void {
    const nowUs = this.#nowUs();
    if (label === 'boot') {
      this.#nodeLog.onBoot(nowUs, node);
    } else if (NODE_ENDS.has(label)) {
      this.#nodeLog.onEnd(nowUs, node, label);
    } else if (label === 'calm' || label === 'blackout') {
      // Everything is healed at the moment the calm begins.
      this.#spans.closeAll(nowUs, ({ kind }) => isFaultKind(kind));
      this.#phase(label);
    } else if (label === 'disk-crash') {
      const lane = this.#nodeLog.lastEnded;
      if (lane !== null) this.#mark(lane, 'disk', `what was not synced: ${name ?? 'lost'}`);
    } else if (label.startsWith('disk-')) {
      this.#mark(WORLD, 'disk', `${label} ${name ?? ''}`);
    }
  }

  #onNetworkEvent(what: string, route: string, connection: number): void {
    const [from = '', to = ''] = route.split('>');
    if (what === 'block' || what === 'unblock') {
      const nowUs = this.#nowUs();
      if (what === 'block') this.#partitions.onBlock(nowUs, from, to);
      else this.#partitions.onUnblock(nowUs, from, to);
    } else if (what === 'connect' || what === 'accept' || what === 'reset') {
      const lane = what === 'accept' ? this.#laneOf(to) : this.#laneOf(from);
      const text = {
        connect: `connects to ${to}`,
        accept: `accepts ${from}`,
        reset: `connection with ${to} breaks`,
      };
      this.#mark(lane, 'connection', `${text[what]} (#${connection})`);
    }
  }

  #phase(name: string): void {
    this.#spans.open(this.#nowUs(), 'phase', { lane: WORLD, kind: 'phase', term: 0, text: name });
  }

  #openFault(lane: number, kind: SpanKind, text: string): void {
    const key = faultKey(lane, kind);
    if (!this.#spans.isOpen(key)) this.#spans.open(this.#nowUs(), key, { lane, kind, term: 0, text });
  }

  #closeFault(lane: number, kind: SpanKind): void {
    this.#spans.close(this.#nowUs(), faultKey(lane, kind));
  }

  #mark(lane: number, kind: MarkKind, text: string): void {
    this.#marks.push({ lane, kind, atUs: this.#nowUs(), text });
  }

  #laneOf(host: string): number {
    const node = /^node(\d+)$/.exec(host);
    if (node !== null) return Number(node[1]);
    const client = /^client(\d+)$/.exec(host);
    // Whoever else speaks is an operator, from outside.
    return client === null ? WORLD : this.#nodes + Number(client[1]);
  }

  #operations(
    operations: readonly Operation[],
    messages: readonly MessageRecord[],
    endUs: number,
  ): OperationRecord[] {
    const requests = requestsByLane(messages);
    const refused = [...this.#givenUp.values()].filter(({ outcome }) => outcome === 'refused');
    return [...operations, ...refused.map(({ operation }) => operation)]
      .sort((a, b) => a.invokedAt - b.invokedAt || a.id - b.id)
      .map((operation) => {
        const lane = this.#nodes + operation.client;
        const givenUp = this.#givenUp.get(operation.id);
        const { invokedAt, returnedAt } = operation;
        const until = returnedAt ?? givenUp?.atUs ?? endUs;
        return {
          lane,
          node: firstReceiver(requests.get(lane) ?? [], invokedAt, until),
          key: operation.key,
          isWrite: isWriting(operation),
          text: describeOperation(operation),
          answer: describeAnswer(operation),
          invokedUs: invokedAt,
          endUs: until,
          outcome: returnedAt !== null ? ('ok' as const) : (givenUp?.outcome ?? ('unknown' as const)),
          isOffending: this.#offending.has(operation.id),
        };
      });
  }
}

function requestsByLane(messages: readonly MessageRecord[]): Map<number, MessageRecord[]> {
  const byLane = new Map<number, MessageRecord[]>();
  for (const message of messages) {
    if (message.kind !== 'client' || message.isReply) continue;
    const requests = byLane.get(message.from);
    if (requests === undefined) byLane.set(message.from, [message]);
    else requests.push(message);
  }
  return byLane;
}

/** Who got the first request that was sent in this time. */
function firstReceiver(requests: readonly MessageRecord[], fromUs: number, toUs: number): number | null {
  let low = 0;
  let high = requests.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (requests[middle].sentUs < fromUs) low = middle + 1;
    else high = middle;
  }
  const request = requests[low];
  return request === undefined || request.sentUs > toUs ? null : request.to;
}

function isFaultKind(kind: SpanKind): boolean {
  return ['paused', 'slow-network', 'slow-cpu', 'slow-disk', 'drift', 'frozen'].includes(kind);
}

function faultKey(lane: number, kind: SpanKind): string {
  return `${kind} ${lane}`;
}

function numbered(count: number): number[] {
  return Array.from({ length: count }, (_none, at) => at + 1);
}
