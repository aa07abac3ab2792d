/** Which sources a report is about. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The commit that is checked out, with `+` when files differ from it; null when this is not a checkout. */
export function readCommit(): string | null {
  try {
    const commit = git('rev-parse', 'HEAD').trim();
    const isChanged = git('status', '--porcelain', '--untracked-files=no') !== '';
    return isChanged ? `${commit}+` : commit;
  } catch {
    return null;
  }
}

function git(...args: string[]): string {
  const cwd = fileURLToPath(new URL('.', import.meta.url));
  return execFileSync('git', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}
