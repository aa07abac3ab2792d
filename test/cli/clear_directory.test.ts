/** What is left of a node's directory when emptying it is interrupted. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { clearDirectory } from '../../src/cli/clear_directory.ts';

const FILES = ['vote-a', 'vote-b', 'founder.json', 'identity.json', 'identity-2', 'identity-3.new', 'odd'];
let directory = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'envelopedb-clear-'));
  for (const part of ['log', 'tables']) {
    mkdirSync(join(directory, part));
    writeFileSync(join(directory, part, 'content'), '');
  }
  for (const name of [...FILES, 'of-somebody-else']) writeFileSync(join(directory, name), '');
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('removes all that is of a node, and nothing else', () => {
  clearDirectory(directory);
  expect(readdirSync(directory)).toEqual(['of-somebody-else']);
});

it('never leaves an identity beside votes that are gone, wherever it ends', () => {
  let isWhole = false;
  for (let steps = 0; !isWhole; steps++) {
    let left = steps;
    try {
      clearDirectory(directory, (path) => {
        if (left-- === 0) throw new Error('the process is killed');
        rmSync(path, { recursive: true, force: true });
      });
      isWhole = true;
    } catch {
      // As it would be found at the next start.
    }
    const has = (name: string): boolean => existsSync(join(directory, name));
    if (has('founder.json') || has('identity.json')) {
      expect([steps, has('vote-a'), has('vote-b'), has('log')]).toEqual([steps, true, true, true]);
    }
  }
  expect(readdirSync(directory)).toEqual(['of-somebody-else']);
});
