import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

function run(...args: string[]): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  expect(`${status} ${stdout} ${stderr}`).toMatch(/^0 /);
}

describe('the built package', () => {
  beforeAll(() => {
    run('node_modules/typescript/bin/tsc', '--project', 'tsconfig.build.json');
    run('scripts/strip_marks.mjs');
  }, 60_000);

  it('has a file for each door and command that package.json names, with types', () => {
    const { exports, bin } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      exports: Record<string, string | Record<string, string>>;
      bin: Record<string, string>;
    };
    const named = [...Object.values(exports), bin].flatMap((one) =>
      typeof one === 'string' ? [one] : Object.values(one),
    );
    expect(named.length).toBeGreaterThan(4);
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  it('holds none of the marks that only the simulator needs', () => {
    const built = join(ROOT, 'dist/src');
    const marked = readdirSync(built, { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.js') && !path.endsWith('rare.js'))
      .filter((path) => /\b(sometimes|rarely|maybe)\(/.test(readFileSync(join(built, path), 'utf8')));
    expect(marked).toEqual([]);
  });

  it('simulates', async () => {
    const sim = (await import(pathToFileURL(join(ROOT, 'dist/sim/index.js')).href)) as {
      runSeed(seed: string, options: { stormMs: number }): { failure: unknown; events: number };
    };
    const { failure, events } = sim.runSeed('7', { stormMs: 1000 });
    expect(failure).toBeNull();
    expect(events).toBeGreaterThan(100);
  });
});
