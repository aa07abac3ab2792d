/** What a store's directory holds beside the bytes of its log and its tables, and what it should hold. */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeVerification } from '../../src/cli/verify.ts';
import { writeFrame } from '../../src/codec/frame.ts';
import { open } from '../../src/index.ts';
import { type Verification, verify } from '../../src/inspect/verify.ts';
import { NodeDisk } from '../../src/io/node/disk.ts';
import { SnapshotFileWriter } from '../../src/replica/snapshot_file.ts';

const disk = new NodeDisk({ reads: 'pread' });
let root = '';
let directory = '';

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'envelopedb-verify-'));
  const db = await open(`${root}/whole`, { segmentBytes: 4096, background: 'steps' });
  // Several segments, of which the log keeps the last ones.
  for (let n = 0; n < 200; n++) {
    await db.bucket().put(`k${n}`, 'value'.repeat(10), { durability: n % 20 === 0 ? 'sync' : 'buffered' });
  }
  await db.flush();
  await db.bucket().put('k0', 'value'.repeat(900));
  await db.flush();
  await db.bucket().put('behind', 'tables');
  await db.backup(`${root}/backup`);
  await db.close();
});

beforeEach(() => copyOver('whole'));

function copyOver(source: 'whole' | 'backup'): void {
  directory = `${root}/db`;
  rmSync(directory, { recursive: true, force: true });
  cpSync(`${root}/${source}`, directory, { recursive: true });
}

afterAll(() => rmSync(root, { recursive: true }));

function check(): Verification {
  return verify(disk, directory);
}

/** The bytes of what was fetched: records of two chunks. */
function fetched(): Buffer {
  const path = `${root}/fetched`;
  const writer = new SnapshotFileWriter(disk, path, { index: 300, term: 7 });
  for (const key of ['a', 'b']) writer.append(new Uint8Array([1, key.charCodeAt(0), 5, 2, 104, 105]));
  writer.end();
  writer.file.close();
  return readFileSync(path);
}

/** Each file of a node's directory of which one bit after the other is to be told, and what is said of it. */
const FILES: readonly (readonly [string, () => Uint8Array, RegExp])[] = [
  ['identity-2', () => writeFrame(new Uint8Array([2, 0x81, 0x01])), /identity of a member is not intact/],
  ['odd', () => writeFrame(new Uint8Array([2, 1, 3])), /mark of the odd one out is not intact/],
  ['snapshot', fetched, /frame|checksum of all frames|bytes behind its end/],
  ['mend', fetched, /frame|checksum of all frames|bytes behind its end/],
  ['BACKUP', () => readFileSync(`${root}/backup/BACKUP`), /not the list of files of a backup/],
];

describe('verification of a backup', () => {
  it('finds each file of its list that is missing or has lost its end', () => {
    copyOver('backup');
    expect(check().damage).toEqual([]);
    const names = readFileSync(`${directory}/BACKUP`, 'utf8').match(/(?<= )(log|tables)\/.*/g) ?? [];
    expect(names.length).toBeGreaterThan(3);
    for (const name of names) {
      const bytes = readFileSync(`${directory}/${name}`);
      rmSync(`${directory}/${name}`);
      expect(check().damage).not.toEqual([]);
      writeFileSync(`${directory}/${name}`, bytes.subarray(0, bytes.length - 1));
      expect(check().damage).not.toEqual([]);
      writeFileSync(`${directory}/${name}`, bytes);
    }
    // Of the end of the log nothing else tells.
    const last = `${directory}/${names.filter((name) => name.startsWith('log/')).at(-1)}`;
    const bytes = readFileSync(last);
    writeFileSync(last, bytes.subarray(0, bytes.length - 20));
    const lacks = `it has ${bytes.length - 20} bytes, and ${bytes.length} on the list of the backup (BACKUP)`;
    expect(check().damage).toEqual([{ path: last, offset: bytes.length - 20, what: lacks, keys: null }]);
    rmSync(last);
    const missing = 'it is missing, and on the list of the backup (BACKUP)';
    expect(check().damage).toContainEqual({ path: last, offset: 0, what: missing, keys: null });
  });

  it('leaves the list alone once the directory was opened as a store', async () => {
    copyOver('backup');
    const db = await open(directory, { segmentBytes: 4096, background: 'steps' });
    for (let n = 0; n < 100; n++) await db.bucket().put(`more${n}`, 'value'.repeat(20));
    await db.flush();
    await db.close();
    expect(check().damage).toEqual([]);
  });
});

describe('verification of what stands beside the log and the tables', () => {
  it.each(FILES)('finds %s whole, and each byte of it that has changed', (name, make, what) => {
    const bytes = Buffer.from(make());
    if (name === 'BACKUP') copyOver('backup');
    writeFileSync(`${directory}/${name}`, bytes);
    expect(check()).toMatchObject({ damage: [], leftovers: [], unknown: [] });
    // What ends it tells that it was fetched to its end; without that, a crash may have cut it off.
    const sure = name === 'snapshot' || name === 'mend' ? bytes.length - 13 : bytes.length;
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] ^= 0x11;
      writeFileSync(`${directory}/${name}`, changed);
      const { damage, leftovers } = check();
      if (at >= sure && damage.length === 0) expect(leftovers).toEqual([`${directory}/${name}`]);
      else
        expect(damage).toEqual([
          expect.objectContaining({ path: `${directory}/${name}`, what: expect.stringMatching(what) }),
        ]);
    }
  });

  it.each(
    FILES.filter(([name]) => !['snapshot', 'mend'].includes(name)),
  )('finds %s that is cut anywhere, is empty, or has bytes behind its end', (name, make, what) => {
    const bytes = Buffer.from(make());
    for (let length = 0; length < bytes.length; length++) {
      writeFileSync(`${directory}/${name}`, bytes.subarray(0, length));
      expect(check().damage).toEqual([expect.objectContaining({ what: expect.stringMatching(what) })]);
    }
    writeFileSync(`${directory}/${name}`, Buffer.concat([bytes, Buffer.from([0])]));
    expect(check().damage).toHaveLength(1);
  });

  it('takes a fetched snapshot that a crash has cut off for no damage, and says that nothing uses it', () => {
    const bytes = fetched();
    for (let length = 0; length < bytes.length; length++) {
      writeFileSync(`${directory}/snapshot`, bytes.subarray(0, length));
      expect(check()).toMatchObject({ damage: [], leftovers: [`${directory}/snapshot`] });
    }
    writeFileSync(`${directory}/snapshot`, Buffer.concat([bytes, Buffer.from([0])]));
    expect(check().damage).toMatchObject([{ what: expect.stringContaining('behind its end') }]);
  });

  it('finds an identity under the name of another member', () => {
    writeFileSync(`${directory}/identity-3`, writeFrame(new Uint8Array([2, 5])));
    expect(check().damage).toMatchObject([{ path: `${directory}/identity-3` }]);
  });

  it.each([
    ['founder.json', '{"identity": 5}', '{"identity": "5"}'],
    ['identity.json', '{"identity": 5, "node": 4, "cluster": 7}', '{"identity": 5}'],
    ['founder.json', '{"identity": 5}', 'null'],
    ['founder.json', '{"identity": 5}', ''],
  ])('finds %s that does not say what it should', (name, right, wrong) => {
    writeFileSync(`${directory}/${name}`, right);
    expect(check().damage).toEqual([]);
    writeFileSync(`${directory}/${name}`, wrong);
    expect(check().damage).toMatchObject([
      { path: `${directory}/${name}`, what: expect.stringContaining('whole numbers') },
    ]);
  });

  it('says which files it knows nothing of, and calls them no damage', () => {
    writeFileSync(`${directory}/notes.txt`, 'mine');
    mkdirSync(`${directory}/photos`);
    writeFileSync(`${directory}/tables/table-1.bak`, '');
    const found = check();
    expect(found.damage).toEqual([]);
    const unknown = ['notes.txt', 'photos', 'tables/table-1.bak'].map((name) => `${directory}/${name}`);
    expect([...found.unknown].sort()).toEqual(unknown);
    expect(describeVerification(directory, found)).toContain(
      `${directory}/notes.txt: not a file of a store, not checked\n`,
    );
  });
});

describe('tables and log of which one is missing', () => {
  const opened = (): Promise<unknown> => open(directory, { segmentBytes: 4096 }).then((db) => db.close());

  it.each(['is gone', 'is empty'])('are damage when the log %s: it is not begun anew', async (how) => {
    rmSync(`${directory}/log`, { recursive: true });
    if (how === 'is empty') mkdirSync(`${directory}/log`);
    const missing = {
      path: `${directory}/log`,
      what: 'the log is missing, and tables hold 201 writes of it',
    };
    expect(check().damage).toMatchObject([missing]);
    for (let attempt = 0; attempt < 2; attempt++) {
      await expect(opened()).rejects.toMatchObject({ code: 'CORRUPTION', path: `${directory}/log` });
    }
  });

  it.each(['are gone', 'are empty'])('are damage when the tables %s', async (how) => {
    rmSync(`${directory}/tables`, { recursive: true });
    if (how === 'are empty') mkdirSync(`${directory}/tables`);
    expect(check().damage).toMatchObject([
      {
        path: `${directory}/tables`,
        what: expect.stringMatching(/^they end with write 0, and the log begins with \d+$/),
      },
    ]);
    await expect(opened()).rejects.toMatchObject({ code: 'CORRUPTION', path: `${directory}/tables` });
  });

  it('may both have nothing in them, as when the making of a store was cut off', async () => {
    for (const part of ['log', 'tables']) {
      rmSync(`${directory}/${part}`, { recursive: true });
      mkdirSync(`${directory}/${part}`);
    }
    expect(check().damage).toEqual([]);
    await opened();
  });
});

it('names each damaged place of a log, not only the first', async () => {
  rmSync(directory, { recursive: true });
  const db = await open(directory, { segmentBytes: 4096, background: 'steps' });
  for (let n = 0; n < 30; n++) await db.bucket().put(`k${n}`, 'x'.repeat(500));
  await db.close();
  const segments = readdirSync(`${directory}/log`)
    .filter((name) => name.endsWith('.log'))
    .sort();
  expect(segments.length).toBeGreaterThan(3);
  for (const name of segments.slice(1, 3)) {
    const bytes = readFileSync(`${directory}/log/${name}`);
    bytes[1000] ^= 1;
    writeFileSync(`${directory}/log/${name}`, bytes);
  }
  const paths = check().damage.map(({ path }) => path);
  expect(paths).toEqual(segments.slice(1, 3).map((name) => `${directory}/log/${name}`));
});
