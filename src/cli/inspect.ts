/** `envelopedb inspect FILE`: prints what is in a file of a store, a line for each piece. */
import { existsSync, statSync } from 'node:fs';
import { EnvelopeError } from '../base/errors.ts';
import { inspect } from '../inspect/inspect.ts';
import type { Field, Fields, Item } from '../inspect/item.ts';
import { nodeCompressions } from '../io/node/compression.ts';
import { NodeDisk } from '../io/node/disk.ts';
import { describeKey, describeText } from './describe.ts';
import { Printer } from './printer.ts';

export interface InspectCommand {
  readonly file: string;
  readonly json: boolean;
  readonly values: boolean;
  /** Of records; 0: all. */
  readonly limit: number;
}

/** Values, and what is no store key. */
const PLAIN_BYTES: ReadonlySet<string> = new Set(['value']);
/** Between an offset and what is there; offsets up to 10 GB line up. */
const OFFSET_DIGITS = 10;

/** @returns whether nothing is damaged, as far as was looked. */
export async function runInspect({ file, json, values, limit }: InspectCommand): Promise<boolean> {
  if (!existsSync(file)) throw new EnvelopeError('USAGE', `there is no file ${file}`);
  if (statSync(file).isDirectory()) {
    throw new EnvelopeError('USAGE', `${file} is a directory: name a file in it, or see envelopedb verify`);
  }
  const items = inspect(new NodeDisk({ reads: 'pread' }), file, {
    values: values ? 'shown' : 'hidden',
    compressions: nodeCompressions,
  });
  const printer = new Printer(process.stdout);
  let isWhole = true;
  let records = 0;
  for (const item of items) {
    records += item.depth;
    if (limit > 0 && records > limit) {
      if (!json) await printer.line(`${' '.repeat(OFFSET_DIGITS)}  more follow (--limit ${limit})`);
      break;
    }
    if (item.type === 'damage') isWhole = false;
    if (!(await printer.line(json ? itemAsJson(item) : itemAsText(item)))) return isWhole;
  }
  await printer.end();
  return isWhole;
}

/** `offset  type name=value ...`, records set in under their blocks. */
export function itemAsText({ type, offset, depth, fields }: Item): string {
  const head = `${String(offset).padStart(OFFSET_DIGITS)}  ${'  '.repeat(depth)}`;
  if (type === 'damage') return `${head}DAMAGED ${fieldsAsText(fields)}`;
  const text = fieldsAsText(fields);
  return text === '' ? `${head}${type}` : `${head}${type} ${text}`;
}

function fieldsAsText(fields: Fields): string {
  return Object.entries(fields)
    .map(([name, value]) => (name === 'what' ? String(value) : `${name}=${fieldAsText(name, value)}`))
    .join(' ');
}

function fieldAsText(name: string, value: Field): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string') return isPlain(value) ? value : JSON.stringify(value);
  if (value instanceof Uint8Array) {
    const text = PLAIN_BYTES.has(name) ? describeText(value) : describeKey(value);
    return isPlain(text) ? text : `"${text}"`;
  }
  return `[${value.map((one) => `{${fieldsAsText(one)}}`).join(' ')}]`;
}

/** It cannot be taken for several fields. */
function isPlain(text: string): boolean {
  return /^[^\s"=[\]{}]+$/.test(text);
}

/** One object a line. Bytes are told twice: as text, and, under the name with `Hex` behind it, in hexadecimal. */
export function itemAsJson({ type, offset, fields }: Item): string {
  return JSON.stringify({ type, offset, ...fieldsAsJson(fields) });
}

function fieldsAsJson(fields: Fields): Record<string, unknown> {
  const json: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Uint8Array) {
      json[name] = PLAIN_BYTES.has(name) ? describeText(value) : describeKey(value);
      json[`${name}Hex`] = Buffer.from(value).toString('hex');
    } else json[name] = typeof value === 'object' ? value.map(fieldsAsJson) : value;
  }
  return json;
}
