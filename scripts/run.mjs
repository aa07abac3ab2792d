// Runs one of the project's TypeScript entry points from a fresh clone: installs the locked packages
// first when they are missing or older than the lock file, then hands over to the sources.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [entry, ...args] = process.argv.slice(2);

function installIsCurrent() {
  const installed = join(root, 'node_modules', '.package-lock.json');
  const wanted = join(root, 'package-lock.json');
  if (!existsSync(installed)) return false;
  return statSync(installed).mtimeMs >= statSync(wanted).mtimeMs;
}

if (!installIsCurrent()) {
  process.stderr.write('installing the locked packages (once)\n');
  // No package may run an install script: everything that is needed ships inside the packages.
  const npm = process.env.npm_execpath;
  const command = npm ? process.execPath : 'npm';
  const install = ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const result = spawnSync(command, npm ? [npm, ...install] : install, {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

const loader = pathToFileURL(join(root, 'scripts', 'typescript.mjs')).href;
const child = spawn(process.execPath, ['--import', loader, join(root, entry), ...args], { stdio: 'inherit' });
// A terminal's Ctrl-C reaches the whole group by itself; a signal sent to this process alone is passed on.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal);
  });
}
child.on('exit', (code, signal) => {
  if (signal === null) process.exit(code ?? 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
