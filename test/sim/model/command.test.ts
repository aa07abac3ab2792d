import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { modelCommand } from '../../../sim/commands/model.ts';

const FIGURE_8 = fileURLToPath(new URL('./paths/figure_8.json', import.meta.url));

describe('sim model', () => {
  let printed = '';

  beforeEach(() => {
    printed = '';
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      printed += String(text);
      return true;
    });
  });

  afterEach(() => {
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
