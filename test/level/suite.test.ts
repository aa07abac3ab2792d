import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Database } from '../../src/embedded/database.ts';
import type { OpenOptions } from '../../src/embedded/open_options.ts';
import { EnvelopeLevel } from '../../src/level/index.ts';
import { EngineRig } from '../embedded/rig.ts';
import { TapeTests } from './tape.ts';

/** The tests that the authors of `abstract-level` hold each of its implementations to. */
const suite = createRequire(import.meta.url)('abstract-level/test') as (options: {
  readonly test: TapeTests['test'];
  readonly factory: (options?: object) => EnvelopeLevel;
}) => void;

/** Takes little room. As an option of the constructor that would show, and the suite looks. */
class SmallLevel extends EnvelopeLevel {
  override _open(options: OpenOptions): Promise<void> {
    return super._open({ ...options, segmentBytes: 64 * 1024 });
  }
}

/** What it has asked of version 3.1.1, of a database that can do all of it and of a sublevel: fewer were not asked. */
const TESTS = 1500;
const ASSERTIONS = 5100;

describe("abstract-level's suite, over files", () => {
  // Each test makes a store of its own: on a disk, their syncs would take minutes.
  const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'envelopedb-level-'));
  const tests = new TapeTests();
  let stores = 0;
  afterAll(() => rmSync(root, { recursive: true }), 60_000);

  suite({
    test: tests.test,
    factory: (options) => new SmallLevel(join(root, String(stores++)), options),
  });

  it('was asked all of it', () => {
    expect(tests.count).toBeGreaterThanOrEqual(TESTS);
    expect(tests.assertions).toBeGreaterThanOrEqual(ASSERTIONS);
  });
});

describe("abstract-level's suite, over a bucket of a store on a simulated disk", () => {
  const rig = new EngineRig('level', {
    store: { memtableBytes: 16 * 1024, blockBytes: 256, mergeAtTables: 2 },
  });
  const database = new Database(rig.mustOpen(), null, () => {});
  const tests = new TapeTests();
  let buckets = 0;
  let turn: NodeJS.Immediate;

  beforeAll(() => {
    const go = (): void => {
      rig.pass(1000);
      turn = setImmediate(go);
    };
    go();
  });

  afterAll(async () => {
    await database.close();
    clearImmediate(turn);
  });

  suite({
    test: tests.test,
    factory: (options) => new EnvelopeLevel(database, { ...options, bucket: `b${buckets++}` }),
  });

  it('was asked all of it, and has gone through flushes and merges', () => {
    expect(tests.count).toBeGreaterThanOrEqual(TESTS);
    expect(tests.assertions).toBeGreaterThanOrEqual(ASSERTIONS);
    expect(database.stats().merges).toBeGreaterThan(0);
  });
});
