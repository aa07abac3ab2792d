import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EnvelopeError } from '../../src/base/errors.ts';
import { itemAsJson, itemAsText } from '../../src/cli/inspect.ts';
import { writeFrame } from '../../src/codec/frame.ts';
import { inspect } from '../../src/inspect/inspect.ts';
import type { InspectOptions, Item } from '../../src/inspect/item.ts';
import type { Disk } from '../../src/io/disk.ts';
import { HardStateFile } from '../../src/replica/hard_state_file.ts';
import { SnapshotFileWriter } from '../../src/replica/snapshot_file.ts';
import { IdentityRegistry } from '../../src/server/identity_registry.ts';
import type { EngineRig } from '../embedded/rig.ts';
import { flip, makeStore, replace } from './store_rig.ts';

const LONG = process.env.ENVELOPEDB_LONG_TESTS === '1' ? 40 : 1;
/** All bytes of a table, or every so manieth. */
const STRIDE = LONG > 1 ? 1 : 5;

function look(rig: EngineRig, path: string, values: InspectOptions['values'] = 'hidden'): Item[] {
  let items: Item[] = [];
  rig.process.run(() => {
    items = [...inspect(rig.disk.attach(rig.process), path, { values })];
  });
  return items;
}

function find(rig: EngineRig, part: string): string[] {
  return rig.disk.files().filter((path) => path.includes(part));
}

function count(items: readonly Item[], type: string): number {
  return items.filter((item) => item.type === type).length;
}

/** As `makeStore`, with term and vote, a fetched snapshot and the marks of a node beside it. */
function makeNode(): EngineRig {
  const rig = makeStore();
  rig.process.run(() => {
    const disk: Disk = rig.disk.attach(rig.process);
    const options = { disk, directory: '/db', group: 1, node: 2 };
    HardStateFile.open(options, (opened) => {
      if (!opened.ok) throw opened.error;
      opened.value.save({ term: 7, vote: 3 }, () => {});
    });
    const snapshot = new SnapshotFileWriter(disk, '/db/snapshot', { index: 9, term: 2 });
    // Key "k", sequence 5, value "v"; then key "l", sequence 6, no value.
    snapshot.append(Uint8Array.of(1, 0x6b, 5, 1, 0x76, 1, 0x6c, 6, 0));
    snapshot.end();
    snapshot.file.close();
    new IdentityRegistry(disk, '/db', (error) => {
      throw error;
    }).note(3, 4_711_000);
  });
  rig.pass(200_000);
  replace(rig, '/db/odd', writeFrame(Uint8Array.of(2, 1, 3)));
  return rig;
}

describe('inspecting', () => {
  it('tells every part of a table, and every record in it', () => {
    const rig = makeStore();
    const tables = find(rig, '/table-');
    const items = tables.flatMap((path) => look(rig, path));
    for (const type of ['footer', 'properties', 'filter', 'index', 'range-tombstones']) {
      expect([type, count(items, type)]).toEqual([type, tables.length]);
    }
    expect(count(items, 'damage')).toBe(0);
    expect(count(items, 'block')).toBeGreaterThan(tables.length);
    expect(count(items, 'put')).toBeGreaterThan(50);
    expect(count(items, 'tombstone')).toBe(2);
    expect(count(items, 'range-tombstone')).toBe(1);
    const text = items.map(itemAsText).join('\n');
    expect(text).toMatch(/^ {9}0 {2}file path=\/db\/tables\/table-\d+ kind=table number=\d+ bytes=\d+$/m);
    expect(text).toMatch(/^ {9}0 {4}put sequence=1 key=b\/k000 valueBytes=26$/m);
    expect(text).toMatch(/^ +\d+ {4}tombstone sequence=41 key=b\/k001$/m);
    expect(text).toMatch(/^ +\d+ {4}range-tombstone sequence=42 from=b\/k010 to=b\/k020$/m);
  });

  it('shows values when they are asked for, with what is kept beside them', () => {
    const rig = makeStore();
    const text = find(rig, '/table-')
      .flatMap((path) => look(rig, path, 'shown'))
      .map(itemAsText)
      .join('\n');
    expect(text).toMatch(/key=b\/k000 valueBytes=26 revision=1 value="value 0 value 0 value 0 "$/m);
    expect(text).toMatch(/key=b\/expires valueBytes=\d+ revision=53 value=soon expiresAtMs=1\d+$/m);
  });

  it('names the records of the log, and what they do', () => {
    const rig = makeStore();
    const items = find(rig, '.log').flatMap((path) => look(rig, path, 'shown'));
    const text = items.map(itemAsText).join('\n');
    expect(count(items, 'damage')).toBe(0);
    expect(count(items, 'marker')).toBeGreaterThan(0);
    expect(text).toMatch(/^ +0 {2}header segment=2 previousEnd=\d+$/m);
    expect(text).toMatch(
      /entry group=1 index=59 term=1 kind=command payloadBytes=\d+ write=batch .*edits=\[\{edit=put key=b\/k090 value="of a batch"\} \{edit=delete key=b\/k003\}\]$/m,
    );
    expect(text).toMatch(/index=61 .* write=add timeMs=\d+ key=b\/counter$/m);
    expect(text).toMatch(/ {2}end zerosBehind=\d+$/m);
  });

  it('tells the edits of a manifest and what they come to', () => {
    const rig = makeStore();
    const [path = ''] = find(rig, '/manifest-');
    const items = look(rig, path);
    expect(items.map(({ type }) => type)).toEqual([
      'file',
      ...['edit', 'seal', 'edit', 'seal', 'edit', 'seal'],
      'state',
    ]);
    expect(itemAsText(items.at(-1) as Item)).toMatch(
      /state flushedIndex=53 nextFile=\d+ tables=\[\{table=\d+ level=0 run=\d+ from=b\/k000 to=/,
    );
    const [current = ''] = find(rig, '/CURRENT');
    expect(look(rig, current).map(itemAsText)[1]).toMatch(/current manifest=\d+$/);
  });

  it('tells terms and votes, and a fetched snapshot', () => {
    const rig = makeNode();
    const votes = look(rig, '/db/vote-b').map(itemAsText);
    expect(votes.at(-1)).toBe('        48    vote group=1 node=2 generation=2 term=7 vote=3');
    const snapshot = look(rig, '/db/snapshot', 'shown').map(itemAsText);
    expect(snapshot.slice(1)).toEqual([
      '         0  head index=9 term=2',
      '        11  records bytes=9',
      '        11    put sequence=5 key="(internal 6b)" valueBytes=1 value=v',
      '        11    put sequence=6 key="(internal 6c)" valueBytes=0 value=""',
      '        29  end',
    ]);
  });

  it('tells what a node knows of other members, and who agrees where it is odd', () => {
    const rig = makeNode();
    expect(look(rig, '/db/identity-3').map(itemAsText)).toEqual([
      '         0  file path=/db/identity-3 kind=identity-of-member bytes=13',
      '         0  identity node=3 identity=4711000',
    ]);
    expect(look(rig, '/db/odd').map(itemAsText)[1]).toBe('         0  odd agreeing=[{node=1} {node=3}]');
    replace(rig, '/db/identity-4', rig.disk.readRaw('/db/identity-3'));
    expect(look(rig, '/db/identity-4').map(itemAsText)[1]).toBe(
      '         0  DAMAGED the identity of a member is not intact',
    );
  });

  it('gives machines one object a line, with bytes as text and in hexadecimal', () => {
    const rig = makeStore();
    const [path = ''] = find(rig, '/table-');
    const items = look(rig, path, 'shown').map((item) => JSON.parse(itemAsJson(item)) as object);
    expect(items).toContainEqual({
      type: 'put',
      offset: 0,
      sequence: 1,
      key: 'b/k000',
      keyHex: '0162006b303030',
      valueBytes: 26,
      revision: 1,
      value: 'value 0 value 0 value 0 ',
      valueHex: Buffer.from('value 0 value 0 value 0 ').toString('hex'),
    });
  });

  it('refuses what is no file of a store', () => {
    const rig = makeStore();
    replace(rig, '/db/other', new Uint8Array(100));
    expect(() => look(rig, '/db/other')).toThrow(/other is no file of a store/);
    expect(() => look(rig, '/db/missing')).toThrow(/no such file/);
  });

  it('knows tables, segments and votes under any name', () => {
    const rig = makeNode();
    for (const part of ['/table-', '000002.log', 'vote-a']) {
      const [path = ''] = find(rig, part);
      replace(rig, '/db/copy', rig.disk.readRaw(path));
      const [, ...own] = look(rig, path);
      const [, ...copy] = look(rig, '/db/copy');
      expect(copy).toEqual(own);
    }
  });
});

describe('inspecting what is damaged', () => {
  it('shows damage wherever a byte of a table has changed, and all records of the other blocks', () => {
    const rig = makeStore();
    for (const path of find(rig, '/table-')) {
      const whole = look(rig, path);
      const blocks = whole.filter(({ type }) => type === 'block');
      const dataEnd = Number(whole.find(({ type }) => type === 'footer')?.fields.filterOffset);
      for (let offset = 0; offset < rig.disk.sizeOf(path); offset += STRIDE) {
        flip(rig, path, offset);
        const items = look(rig, path);
        expect([offset, count(items, 'damage') > 0]).toEqual([offset, true]);
        const own = blocks.findIndex((block) => block.offset + Number(block.fields.bytes) > offset);
        for (const [at, block] of blocks.entries()) {
          const end = block.offset + Number(block.fields.bytes);
          const isOf = (item: Item): boolean =>
            item.type === 'put' && item.offset >= block.offset && item.offset < end;
          if (offset >= dataEnd || at !== own) {
            expect([offset, at, items.filter(isOf)]).toEqual([offset, at, whole.filter(isOf)]);
          }
        }
        flip(rig, path, offset);
      }
    }
  });

  it('names a log entry whose payload is damaged, and shows those behind it', () => {
    const rig = makeStore();
    const path = find(rig, '.log').at(-1) ?? '';
    const entries = look(rig, path).filter(({ type }) => type === 'entry');
    const [first] = entries;
    const offset = (first?.offset ?? 0) + 41;
    flip(rig, path, offset);
    const items = look(rig, path);
    const damage = items.find(({ type }) => type === 'damage');
    expect(damage?.fields).toMatchObject({ index: first?.fields.index, term: 1, group: 1 });
    expect(items.filter(({ type }) => type === 'entry')).toEqual(entries.slice(1));
    flip(rig, path, offset);
    flip(rig, path, (first?.offset ?? 0) + 20);
    const [unnamed] = look(rig, path).filter(({ type }) => type === 'damage');
    expect(unnamed?.offset).toBe(first?.offset);
    expect(unnamed?.fields.bytes).toBe((entries[1]?.offset ?? 0) - (first?.offset ?? 0));
    expect(look(rig, path).filter(({ type }) => type === 'entry')).toEqual(entries.slice(1));
  });

  it('shows damage wherever a byte of a manifest, CURRENT, a vote, a fetched snapshot or a mark has changed', () => {
    const rig = makeNode();
    for (const part of ['/manifest-', '/CURRENT', '/vote-a', '/snapshot', '/identity-3', '/odd']) {
      for (const path of find(rig, part)) {
        for (let offset = 0; offset < rig.disk.sizeOf(path); offset++) {
          flip(rig, path, offset);
          expect([path, offset, count(look(rig, path), 'damage') > 0]).toEqual([path, offset, true]);
          flip(rig, path, offset);
        }
      }
    }
  });

  it('meets any bytes under any name with items or an error that says what is wrong', () => {
    const rig = makeNode();
    const samples = [
      '/table-',
      '.log',
      '/manifest-',
      '/CURRENT',
      '/vote-a',
      '/snapshot',
      '/identity-3',
      '/odd',
    ].flatMap((part) => {
      return find(rig, part).map((path) => ({ path, bytes: rig.disk.readRaw(path) }));
    });
    const sample = fc.constantFrom(...samples);
    const changed = sample.chain(({ path, bytes }) =>
      fc
        .tuple(
          fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { maxLength: 8 }),
          fc.oneof(fc.constant(bytes.length), fc.nat(bytes.length)),
        )
        .map(([changes, length]) => {
          const mutated = bytes.slice();
          for (const [at, byte] of changes) mutated[at] = byte;
          return { path, bytes: mutated.slice(0, length) };
        }),
    );
    const anything = fc
      .tuple(sample, fc.uint8Array({ maxLength: 300 }))
      .map(([{ path }, bytes]) => ({ path, bytes }));
    // The right beginning, so that more than the magic number is looked at.
    const begun = fc
      .tuple(sample, fc.nat(80), fc.uint8Array({ maxLength: 300 }))
      .map(([{ path, bytes }, kept, rest]) => ({
        path,
        bytes: Uint8Array.of(...bytes.slice(0, kept), ...rest),
      }));
    fc.assert(
      fc.property(fc.oneof(changed, anything, begun), ({ path, bytes }) => {
        replace(rig, path, bytes);
        try {
          for (const item of look(rig, path, 'shown')) {
            itemAsText(item);
            itemAsJson(item);
          }
        } catch (error) {
          if (!(error instanceof EnvelopeError) || error.code === 'ASSERTION') throw error;
        }
      }),
      { numRuns: 400 * LONG },
    );
  });
});
