/** The marks that the sources hold, the simulator's own among them: what a campaign should reach. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SOURCES = ['../src', '.'].map((path) => fileURLToPath(new URL(path, import.meta.url)));

/** `sometimes`: every campaign should reach it; `rarely`: a long one may. */
export type MarkKind = 'sometimes' | 'rarely';

/** Names of the marks of a kind, sorted. */
export function declaredMarks(kind: MarkKind): string[] {
  const pattern = new RegExp(`\\b${kind}\\('([^']+)'\\)`, 'g');
  const names = new Set<string>();
  for (const directory of SOURCES) {
    for (const path of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
      if (!path.endsWith('.ts')) continue;
      for (const [, name] of readFileSync(join(directory, path), 'utf8').matchAll(pattern)) {
        names.add(name);
      }
    }
  }
  return [...names].sort();
}
