/** The `sometimes` marks that the sources hold: what a campaign should reach. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

/** Sorted. Empty when the sources are not there. */
export function declaredMarks(): string[] {
  const names = new Set<string>();
  for (const path of readdirSync(SRC, { recursive: true, encoding: 'utf8' })) {
    if (!path.endsWith('.ts')) continue;
    for (const [, name] of readFileSync(join(SRC, path), 'utf8').matchAll(/\bsometimes\('([^']+)'\)/g)) {
      names.add(name);
    }
  }
  return [...names].sort();
}
