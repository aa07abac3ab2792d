/** What is measured is what users run: the built package, without the simulator's marks. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

export const BUILT_MAIN = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url));
export const BUILT_INDEX = new URL('../dist/src/index.js', import.meta.url).href;

/** As `npm run build`. @throws Error when it fails, which has been told by then. */
export function buildPackage(): void {
  process.stderr.write('building the package\n');
  run(['node_modules/typescript/bin/tsc', '--project', 'tsconfig.build.json']);
  run(['scripts/strip_marks.mjs']);
}

function run(args: readonly string[]): void {
  // What it prints belongs to no table.
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 2, 2] });
  if (status !== 0) throw new Error(`${args.join(' ')} failed`);
}
