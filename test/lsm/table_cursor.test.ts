import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '../../src/codec/bytes.ts';
import { RecordKind } from '../../src/lsm/record.ts';
import { TableCursor } from '../../src/lsm/table_cursor.ts';
import { openTable, type TableReader } from '../../src/lsm/table_reader.ts';
import { TableWriter } from '../../src/lsm/table_writer.ts';
import { ValuePlace } from '../../src/lsm/value_place.ts';
import { Rig } from './rig.ts';

const VERSIONS = 3;
const KEYS = ['a', 'b', 'c', 'd'];
/** Each record is a block of its own. */
const OPTIONS = { blockBytes: 1, restartInterval: 1, filterBitsPerKey: 10, compression: null };

/** Several versions of each key, from new to old. */
function makeTable(): TableReader {
  const rig = new Rig('cursor', { poisonViews: true });
  const disk = rig.disk.attach(rig.process);
  disk.makeDirectory('/t');
  const file = disk.create('/t/table-1');
  const writer = new TableWriter(file, 1, OPTIONS);
  for (const key of KEYS) {
    for (let version = VERSIONS; version > 0; version--) {
      writer.add(utf8(key), version, RecordKind.Put, utf8(`${key}${version}`));
    }
  }
  for (const _step of writer.finish()) {
    // To the end.
  }
  file.sync(() => {});
  rig.settle();
  return openTable(disk, '/t/table-1', 1);
}

describe('a cursor over a table', () => {
  it('goes backwards to the newest version of each key, and leaves alone what it has told the place of', () => {
    for (const checks of ['each', 'none'] as const) {
      const cursor = new TableCursor(makeTable(), checks);
      const met: string[] = [];
      const place = new ValuePlace();
      for (cursor.seekToLast(); cursor.isValid; ) {
        cursor.placeValue(place);
        const key = cursor.key.slice();
        expect(fromUtf8(cursor.value)).toBe(fromUtf8(place.view));
        cursor.seekBelow(key);
        met.push(fromUtf8(place.view));
      }
      expect(met).toEqual(['d3', 'c3', 'b3', 'a3']);
    }
  });

  it('turns back from an older version, to which it came forwards', () => {
    const cursor = new TableCursor(makeTable(), 'none');
    const place = new ValuePlace();
    cursor.seek(utf8('c'));
    cursor.next();
    cursor.placeValue(place);
    expect(fromUtf8(place.view)).toBe('c2');
    cursor.seekBelow(utf8('c'));
    expect(fromUtf8(cursor.value)).toBe('b3');
    expect(fromUtf8(place.view)).toBe('c2');
  });

  it('goes forwards through all versions', () => {
    const cursor = new TableCursor(makeTable(), 'none');
    const met: string[] = [];
    for (cursor.seekToFirst(); cursor.isValid; cursor.next()) met.push(fromUtf8(cursor.value));
    expect(met).toEqual(KEYS.flatMap((key) => [3, 2, 1].map((version) => `${key}${version}`)));
  });
});
