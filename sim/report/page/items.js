// @ts-check
/**
 * A record as one list of items in order of time: each is drawn, found, filtered and described as one thing, be it a
 * message, a span, a mark or an operation.
 */

/**
 * @typedef {import('../record.ts').RunRecord} RunRecord
 * @typedef {import('../record.ts').MessageRecord} MessageRecord
 * @typedef {import('../record.ts').SpanRecord} SpanRecord
 * @typedef {import('../record.ts').MarkRecord} MarkRecord
 * @typedef {import('../record.ts').OperationRecord} OperationRecord
 * @typedef {{ id: number, className: string, lane: number, toLane: number, fromUs: number, toUs: number, title: string }} ItemBase
 * @typedef {ItemBase & { type: 'message', record: MessageRecord }} MessageItem
 * @typedef {ItemBase & { type: 'span', record: SpanRecord }} SpanItem
 * @typedef {ItemBase & { type: 'mark', record: MarkRecord }} MarkItem
 * @typedef {ItemBase & { type: 'operation', record: OperationRecord }} OperationItem
 * @typedef {MessageItem | SpanItem | MarkItem | OperationItem} Item
 */

/**
 * What can be shown and hidden, in the order of the switches.
 * @type {readonly { name: string, title: string, isOn: boolean }[]}
 */
export const CLASSES = [
  { name: 'operation', title: 'operations', isOn: true },
  { name: 'role', title: 'roles and votes', isOn: true },
  { name: 'commit', title: 'commits', isOn: true },
  { name: 'process', title: 'processes', isOn: true },
  { name: 'fault', title: 'faults', isOn: true },
  { name: 'vote', title: 'vote', isOn: true },
  { name: 'append', title: 'append', isOn: true },
  { name: 'heartbeat', title: 'heartbeat', isOn: true },
  { name: 'forward', title: 'forward', isOn: true },
  { name: 'client', title: 'client traffic', isOn: true },
  { name: 'control', title: 'control', isOn: false },
  { name: 'sync', title: 'syncs', isOn: true },
  { name: 'disk', title: 'disk', isOn: false },
  { name: 'connection', title: 'connections', isOn: false },
  { name: 'log', title: 'logs', isOn: false },
];

/** @type {Readonly<Record<string, string>>} */
const SPAN_CLASSES = {
  follower: 'role',
  candidate: 'role',
  leader: 'role',
  down: 'process',
  starting: 'process',
  phase: 'process',
  sync: 'sync',
};

/** @type {Readonly<Record<string, string>>} */
const MARK_CLASSES = {
  elected: 'role',
  voted: 'role',
  commit: 'commit',
  crash: 'process',
  start: 'process',
  fault: 'fault',
  failure: 'fault',
  connection: 'connection',
  disk: 'disk',
  log: 'log',
};

/**
 * Every item of a record, by time; `id` is the position.
 * @param {RunRecord} record
 * @returns {Item[]}
 */
export function buildItems(record) {
  /** @type {Item[]} */
  const items = [];
  for (const message of record.messages) items.push(messageItem(message, record));
  for (const span of record.spans) items.push(spanItem(span));
  for (const mark of record.marks) items.push(markItem(mark));
  for (const operation of record.operations) items.push(operationItem(operation));
  items.sort((a, b) => a.fromUs - b.fromUs || a.toUs - b.toUs);
  items.forEach((item, at) => {
    item.id = at;
  });
  return items;
}

/**
 * @param {MessageRecord} message
 * @param {RunRecord} record
 * @returns {MessageItem}
 */
function messageItem(message, record) {
  const { from, to, sentUs, endUs, kind, name } = message;
  const title = `${name} ${record.lanes[from].name} → ${record.lanes[to].name}`;
  const className = kind === 'damaged' ? 'fault' : kind;
  return {
    id: 0,
    type: 'message',
    className,
    lane: from,
    toLane: to,
    fromUs: sentUs,
    toUs: endUs,
    title,
    record: message,
  };
}

/**
 * @param {SpanRecord} span
 * @returns {SpanItem}
 */
function spanItem(span) {
  const { lane, kind, fromUs, toUs, text } = span;
  const className = SPAN_CLASSES[kind] ?? 'fault';
  return { id: 0, type: 'span', className, lane, toLane: lane, fromUs, toUs, title: text, record: span };
}

/**
 * @param {MarkRecord} mark
 * @returns {MarkItem}
 */
function markItem(mark) {
  const { lane, kind, atUs, text } = mark;
  const className = MARK_CLASSES[kind] ?? 'log';
  return {
    id: 0,
    type: 'mark',
    className,
    lane,
    toLane: lane,
    fromUs: atUs,
    toUs: atUs,
    title: text,
    record: mark,
  };
}

/**
 * @param {OperationRecord} operation
 * @returns {OperationItem}
 */
function operationItem(operation) {
  const { lane, invokedUs, endUs, text } = operation;
  return {
    id: 0,
    type: 'operation',
    className: 'operation',
    lane,
    toLane: lane,
    fromUs: invokedUs,
    toUs: endUs,
    title: text,
    record: operation,
  };
}

/**
 * How an operation ended.
 * @param {OperationRecord} operation
 */
export function outcomeText(operation) {
  if (operation.outcome === 'unknown') return 'outcome unknown';
  if (operation.outcome === 'refused') return 'refused, without effect';
  return operation.answer === null ? 'OK' : operation.answer;
}
