import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { modelCommand } from '../../../sim/commands/model.ts';

const FIGURE_8 = fileURLToPath(new URL('./paths/figure_8.json', import.meta.url));

/** Objects within objects are changed, not replaced. */
function merged(value: unknown, changed: unknown): unknown {
  const isPlain = typeof changed === 'object' && changed !== null && !Array.isArray(changed);
  if (!isPlain) return changed;
  const result = { ...(value as Record<string, unknown>) };
  for (const [name, field] of Object.entries(changed)) result[name] = merged(result[name], field);
  return result;
}

describe('sim model', () => {
  let printed = '';
  let directory = '';

  beforeEach(() => {
    printed = '';
    directory = mkdtempSync(join(tmpdir(), 'envelopedb-model-'));
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
  });

  afterEach(() => {
    rmSync(directory, { recursive: true });
    vi.restoreAllMocks();
  });

  it('plays a saved path: every property holds in it, and not when the bug is there that it was saved for', async () => {
    expect(await modelCommand(['--path', FIGURE_8])).toBe(0);
    expect(printed).toContain('every property held');
    expect(await modelCommand(['--path', FIGURE_8, '--mutant', 'old-term-commit'])).toBe(1);
    expect(printed).toContain('leader completeness: node 3 leads in term 4 without the entry');
  });

  it('exits with 0 when the model is exhausted, and with 1 and a path when a property is violated', async () => {
    const bounds = ['--start', 'elected', '--timeouts', '0', '--crashes', '0', '--reads', '0', '--json'];
    expect(await modelCommand(bounds)).toBe(0);
    expect(JSON.parse(printed)).toMatchObject({ outcome: 'exhausted', property: null });
    printed = '';
    expect(await modelCommand([...bounds, '--mutant', 'unsynced-own-copy'])).toBe(1);
    expect(JSON.parse(printed)).toMatchObject({ outcome: 'violated', property: 'durability', steps: 4 });
  });

  it.each([
    ['{', 'it is not JSON'],
    ['null', 'it is not an object'],
    ['{"format":"2"}', "'format' must be 'envelopedb-model-path-1'"],
    [{ setup: 1 }, "'setup' is not an object"],
    [{ setup: { nodes: 'x' } }, '\'setup.nodes\' is from 1 to 7, not "x"'],
    [{ setup: { start: 'there' } }, '\'setup.start\' is one of empty, elected, diverged, not "there"'],
    [{ setup: { rarePaths: [1] } }, "'setup.rarePaths' must be a list of names"],
    [{ setup: { bounds: { crashes: 8 } } }, "'setup.bounds.crashes' is from 0 to 7, not 8"],
    [{ steps: {} }, "'steps' must be a list"],
    [{ steps: [7] }, "'steps[0]' is not an object"],
    [
      { steps: [{ step: 'lose' }] },
      '\'steps[0].step\' is one of deliver, duplicate, drop, local, not "lose"',
    ],
    [{ steps: [{ step: 'drop', from: 1 }] }, "'steps[0].to' is from 1 to 7, not undefined"],
  ])('refuses a saved path of %j', async (changed, message) => {
    const whole = JSON.parse(readFileSync(FIGURE_8, 'utf8'));
    const file = join(directory, 'path.json');
    writeFileSync(file, typeof changed === 'string' ? changed : JSON.stringify(merged(whole, changed)));
    await expect(modelCommand(['--path', file])).rejects.toThrow(`${file}: ${message}`);
  });

  it.each([
    [['--path', FIGURE_8, '--save', 'x'], '--save does not go with --path'],
    [['--nodes', '9'], '--nodes is from 1 to 7, not 9'],
    [['--rare', 'nosuch'], "the core has no rarer way 'nosuch'; there are "],
    [['--depth', '0'], "--depth takes a whole number from 1 to 999999999, not '0'"],
    [['--nodes', '2', '--start', 'diverged'], "--start 'diverged' needs 3 nodes or more"],
    [['--crashes', '8'], '--crashes is from 0 to 7, not 8'],
    [['--search', 'best'], '--search is one of breadth, depth, walk'],
    [['--mutant', 'none'], "no mutant 'none' of the core"],
  ])('refuses %j', async (args, message) => {
    await expect(modelCommand(args)).rejects.toThrow(message);
  });
});
