/** How many files and connections the system lets this process have open. */
import { readFileSync } from 'node:fs';

/** Null where the system does not say: it does on Linux. Node has raised the soft limit to the hard one by then. */
export function openFilesMax(): number | null {
  try {
    const found = /^Max open files\s+(\d+)\s/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    return found === null ? null : Number(found[1]);
  } catch {
    return null;
  }
}
