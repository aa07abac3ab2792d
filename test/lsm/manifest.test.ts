import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptionError } from '../../src/base/errors.ts';
import { utf8 } from '../../src/codec/bytes.ts';
import {
  type ManifestState,
  ManifestWriter,
  readManifest,
  type TableEntry,
  type VersionEdit,
} from '../../src/lsm/manifest.ts';
import { Rig } from './rig.ts';

const PATH = '/m/manifest-3';
function entry(number: number): TableEntry {
  return { number, level: number > 5 ? 1 : 0, run: number, low: utf8('a'), end: utf8(`k${number}`) };
}

const EDITS: readonly VersionEdit[] = [
  { flushedIndex: 300, nextFile: 5, added: [entry(2), entry(4)], removed: [] },
  { flushedIndex: 400, nextFile: 6, added: [entry(5)], removed: [] },
  { flushedIndex: 400, nextFile: 7, added: [entry(6)], removed: [2, 4, 5] },
];
const STATES: readonly ManifestState[] = [
  { flushedIndex: 300, nextFile: 5, tables: [entry(2), entry(4)] },
  { flushedIndex: 400, nextFile: 6, tables: [entry(2), entry(4), entry(5)] },
  { flushedIndex: 400, nextFile: 7, tables: [entry(6)] },
];

/** The bytes of a manifest, and where each edit, and each seal, ends. */
function write(edits: readonly VersionEdit[], number = 3): { bytes: Uint8Array; ends: number[] } {
  const rig = new Rig('manifest');
  const disk = rig.disk.attach(rig.process);
  disk.makeDirectory('/m');
  const file = disk.create(PATH);
  const writer = new ManifestWriter(file, number);
  const ends: number[] = [];
  for (const edit of edits) {
    writer.append(edit, (error) => expect(error).toBe(null));
    ends.push(file.position);
    rig.settle();
    ends.push(file.position);
  }
  return { bytes: rig.disk.readRaw(PATH), ends };
}

describe('a manifest', () => {
  it('has the bytes that its page shows', () => {
    const named = { number: 2, level: 0, run: 2, low: utf8('a'), end: utf8('k2') };
    const { bytes } = write([{ flushedIndex: 300, nextFile: 4, added: [named], removed: [] }]);
    const page = readFileSync(new URL('../../docs/formats/manifest.md', import.meta.url), 'utf8');
    const rows = page.slice(page.indexOf('### An example')).matchAll(/^ *\d+ {2}((?:[0-9a-f]{2} ?)+) /gm);
    const shown = [...rows].map(([, hex = '']) => hex.replaceAll(' ', '')).join('');
    expect(Buffer.from(bytes).toString('hex')).toBe(shown);
  });

  it('gives the state after its last edit', () => {
    for (let count = 1; count <= EDITS.length; count++) {
      expect(readManifest(write(EDITS.slice(0, count)).bytes, PATH, 3)).toEqual(STATES[count - 1]);
    }
  });

  it('gives the state after the last whole edit wherever a crash cuts it, zeros behind or not', () => {
    const { bytes, ends } = write(EDITS);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const zeroed = bytes.slice();
      zeroed.fill(0, cut);
      for (const torn of [bytes.subarray(0, cut), zeroed]) {
        // An edit that ends in zeros is whole before all of it is there, if zeros follow.
        const whole = EDITS.filter((_edit, n) => {
          const end = ends[2 * n] ?? 0;
          return Buffer.compare(torn.subarray(0, end), bytes.subarray(0, end)) === 0;
        }).length;
        if (whole === 0) expect(() => readManifest(torn, PATH, 3)).toThrow(CorruptionError);
        else expect(readManifest(torn, PATH, 3)).toEqual(STATES[whole - 1]);
      }
    }
  });

  it('reports every flipped bit of what was relied upon, and never gives a wrong state', () => {
    const { bytes, ends } = write(EDITS);
    const lastSeal = ends[ends.length - 2] ?? 0;
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >>> 3] ^= 1 << (bit & 7);
      if (bit >>> 3 >= lastSeal) expect(readManifest(damaged, PATH, 3)).toEqual(STATES[2]);
      else expect(() => readManifest(damaged, PATH, 3)).toThrow(CorruptionError);
    }
  });

  it('reports records that lie where they were not written', () => {
    const { bytes, ends } = write(EDITS);
    expect(() => readManifest(bytes, PATH, 4)).toThrow(CorruptionError);
    const withoutSecond = new Uint8Array([...bytes.subarray(0, ends[1]), ...bytes.subarray(ends[3])]);
    // No record behind is intact in its new place, so this is a torn tail: a state that was once true.
    expect(readManifest(withoutSecond, PATH, 3)).toEqual(STATES[0]);
  });

  it('reports edits that do not fit the state', () => {
    const [first] = EDITS;
    if (first === undefined) throw new Error('there are edits');
    const removesMore = { ...first, added: [], removed: [9] };
    expect(() => readManifest(write([first, removesMore]).bytes, PATH, 3)).toThrow(/table 9/);
    const fallsBack = { ...first, flushedIndex: 299, added: [] };
    expect(() => readManifest(write([first, fallsBack]).bytes, PATH, 3)).toThrow(/falls/);
  });

  it('reads any bytes without a wrong turn: a state, or an error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => readManifest(bytes, PATH, 3)).toThrow(CorruptionError);
      }),
    );
  });
});
