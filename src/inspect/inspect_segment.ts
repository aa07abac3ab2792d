/** A segment of the log, record by record: see `docs/formats/log.md`. */
import { EnvelopeError } from '../base/errors.ts';
import { lastNonZero } from '../codec/zeros.ts';
import { BatchReader, EditKind } from '../kv/batch.ts';
import { storeKey } from '../kv/key_space.ts';
import type { Write } from '../kv/request.ts';
import { decodeWrite } from '../kv/write_codec.ts';
import { EntryKind } from '../log/entry.ts';
import { RECORD_ALIGNMENT_BYTES, RECORD_HEADER_BYTES, RecordKind } from '../log/record.ts';
import { RecordReader } from '../log/record_reader.ts';
import { readSegmentHeader, SEGMENT_HEADER_BYTES } from '../log/segment_header.ts';
import { damageAt, type Field, type Fields, type InspectOptions, type Item, part, record } from './item.ts';

const KIND_NAMES = ['no-op', 'command', 'configuration'] as const;

/** @param number From the name of the file; null: take it from the header. */
export function* inspectSegment(
  path: string,
  bytes: Uint8Array,
  number: number | null,
  options: InspectOptions,
): Generator<Item> {
  yield part('file', 0, { path, kind: 'log-segment', bytes: bytes.length });
  const header = readSegmentHeader(path, bytes);
  if (header === null) yield damageAt(0, 'the segment header is not intact');
  else {
    const fields: Fields = { segment: header.segment, previousEnd: header.previousEnd };
    yield part('header', 0, fields);
    if (number !== null && header.segment !== number) {
      yield damageAt(0, `the segment header is that of segment ${header.segment}`);
    }
  }
  // Every record is checked against the number of the segment: without one none can be read.
  const segment = number ?? header?.segment ?? null;
  if (segment === null) return;
  const end = lastNonZero(bytes, 0);
  const reader = new RecordReader(bytes, segment, 0);
  let offset = SEGMENT_HEADER_BYTES;
  while (offset < end) {
    const result = reader.read(offset);
    if (result === 'header') {
      const next = nextRecord(bytes, reader, offset + RECORD_ALIGNMENT_BYTES);
      yield damageAt(offset, 'a record that is not intact', { bytes: (next ?? end) - offset });
      if (next === null) break;
      offset = next;
      continue;
    }
    yield* describeRecord(bytes, reader, offset, result === 'intact', options);
    offset += reader.bytes;
  }
  const behind = Math.min(bytes.length, Math.max(offset, end));
  yield part('end', behind, { zerosBehind: bytes.length - behind });
}

/** Offset of the first intact header from an offset on; null: there is none. */
function nextRecord(bytes: Uint8Array, reader: RecordReader, from: number): number | null {
  for (let at = from; at + RECORD_HEADER_BYTES <= bytes.length; at += RECORD_ALIGNMENT_BYTES) {
    if (bytes[at] !== 0 && reader.readHeader(at)) return at;
  }
  return null;
}

function* describeRecord(
  bytes: Uint8Array,
  reader: RecordReader,
  offset: number,
  isIntact: boolean,
  options: InspectOptions,
): Generator<Item> {
  const { recordKind, entryKind, group, index, term, payloadBytes, version } = reader;
  if (recordKind === RecordKind.Marker) {
    yield record('marker', offset, { durableSegment: term, durableBelow: index });
  } else if (recordKind === RecordKind.Reset) yield record('reset', offset, { group, index, term });
  else if (recordKind === RecordKind.Entry) {
    const kind = KIND_NAMES[entryKind] ?? `unknown-${entryKind}`;
    const identity: Fields = { group, index, term, kind, payloadBytes };
    if (!isIntact) {
      yield damageAt(offset, 'the payload does not match its checksum, or is cut off', identity);
      return;
    }
    const start = offset + RECORD_HEADER_BYTES;
    const payload = bytes.subarray(start, start + payloadBytes);
    const said = entryKind === EntryKind.Command ? describeCommand(payload, options) : {};
    yield record('entry', offset, { ...identity, ...said });
  } else yield damageAt(offset, `a record of unknown kind ${recordKind}, version ${version}`);
}

/** What a command does, and to which keys. */
function describeCommand(payload: Uint8Array, options: InspectOptions): Fields {
  try {
    const { timeMs, write } = decodeWrite(payload);
    return { write: write.type, timeMs, ...describeWrite(write, options) };
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error;
    return { write: `not understood: ${error.message}` };
  }
}

function describeWrite(write: Write, { values }: InspectOptions): Fields {
  if (write.type === 'batch') {
    const edits = editsOf(write.edits, values === 'shown');
    return values === 'shown' ? { edits } : { edits: edits.length };
  }
  const fields: Record<string, Field> = {};
  if ('bucket' in write) {
    if ('key' in write) fields.key = storeKey(write.bucket, write.key);
    else if ('keys' in write) fields.keys = write.keys.map((key) => ({ key: storeKey(write.bucket, key) }));
    else fields.bucket = write.bucket;
  }
  if ('session' in write) fields.session = write.session;
  if ('value' in write) {
    fields.valueBytes = write.value.length;
    if (values === 'shown') fields.value = write.value;
  }
  if (write.type === 'delete-range') {
    fields.from = storeKey(write.bucket, write.from);
    if (write.to !== null) fields.to = storeKey(write.bucket, write.to);
  }
  return fields;
}

function editsOf(bytes: Uint8Array, withValues: boolean): Fields[] {
  const edits: Fields[] = [];
  const reader = new BatchReader(bytes);
  while (reader.next()) {
    const key = storeKey(reader.bucket, reader.key);
    if (reader.kind === EditKind.Delete) edits.push({ edit: 'delete', key });
    else if (withValues) edits.push({ edit: 'put', key, value: reader.value });
    else edits.push({ edit: 'put', key });
  }
  return edits;
}
