/** A sorted table, part by part, then block by block: see `docs/formats/table.md`. */
import { CorruptionError } from '../base/errors.ts';
import { isUserKey } from '../kv/key_space.ts';
import { decodeStored, NEVER } from '../kv/stored_value.ts';
import { BlockReader } from '../lsm/block_reader.ts';
import { RecordKind } from '../lsm/record.ts';
import { damaged, type Fields, type InspectOptions, type Item, part, record } from './item.ts';
import type { BlockPart, TableParts } from './table_parts.ts';

export function* inspectTable(table: TableParts, options: InspectOptions): Generator<Item> {
  const { footer, properties, filter, index, ranges } = table;
  yield part('file', 0, { path: table.path, kind: 'table', number: table.number, bytes: table.sizeBytes });
  if (!footer.ok) yield damaged(footer.damage);
  else {
    const { filterOffset, indexOffset, rangesOffset, propertiesOffset } = footer.value;
    const places = { filterOffset, indexOffset, rangesOffset, propertiesOffset };
    yield part('footer', footer.offset, { table: footer.value.table, ...places });
    if (!properties.ok) yield damaged(properties.damage);
    else {
      const { minKey, maxKey, ...numbers } = properties.value;
      yield part('properties', properties.offset, { ...numbers, minKey, maxKey });
    }
    if (!filter.ok) yield damaged(filter.damage);
    else {
      const { value } = filter;
      const bits = 8 * Math.max(0, value.length - 1);
      yield part('filter', filter.offset, bits === 0 ? { bits } : { bits, probes: value[value.length - 1] });
    }
    if (!index.ok) yield damaged(index.damage);
    else yield part('index', index.offset, { blocks: index.value.length });
    if (!ranges.ok) yield damaged(ranges.damage);
    else {
      yield part('range-tombstones', ranges.offset, { count: ranges.value.length });
      for (const { gte, lt, sequence } of ranges.value) {
        yield record('range-tombstone', ranges.offset, { sequence, from: gte, to: lt });
      }
    }
  }
  for (const block of table.blocks()) yield* inspectBlock(table, block, options);
}

function* inspectBlock(table: TableParts, block: BlockPart, options: InspectOptions): Generator<Item> {
  const { offset, length, lastKey, damage, bytes } = block;
  if (damage !== null) yield damaged(damage);
  if (bytes.length === 0) return;
  const fields: Fields = lastKey === null ? { bytes: length } : { bytes: length, lastKey };
  yield part('block', offset, fields);
  // Each record has a checksum of its own: those of a damaged block are shown up to the first that fails it.
  try {
    if (block.records === null && table.isPacked) return;
    const records = block.records ?? new BlockReader(bytes, table.placeOf(offset));
    for (records.seekToFirst(); records.isValid; records.next()) yield recordOf(records, offset, options);
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error;
    if (damage === null || error.offset !== damage.offset) yield damaged(error);
  }
}

function recordOf(records: BlockReader, block: number, { values }: InspectOptions): Item {
  const { sequence } = records;
  const key = records.key.slice();
  const offset = block + records.offset;
  if (records.kind === RecordKind.Tombstone) return record('tombstone', offset, { sequence, key });
  const value = records.value.slice();
  const fields: Fields = { sequence, key, valueBytes: value.length };
  return record('put', offset, values === 'shown' ? { ...fields, ...storedFields(key, value) } : fields);
}

/** What the value says of itself; a value of the state machine's own keys is told as it is. */
function storedFields(key: Uint8Array, bytes: Uint8Array): Fields {
  if (!isUserKey(key)) return { value: bytes };
  try {
    const { revision, expiresAtMs, value } = decodeStored(bytes);
    const said = { revision, value: value.slice() };
    return expiresAtMs === NEVER ? said : { ...said, expiresAtMs };
  } catch {
    return { value: bytes };
  }
}
