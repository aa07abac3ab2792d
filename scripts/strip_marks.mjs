// Takes the simulator's marks out of the built server code: `sometimes('...')` and `rarely('...')`
// statements go, `maybe('...')` is false.
// The simulator's own part of the package keeps them.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const built = fileURLToPath(new URL('../dist/src', import.meta.url));
let marks = 0;
for (const path of readdirSync(built, { recursive: true, encoding: 'utf8' })) {
  if (!path.endsWith('.js') || path.endsWith('rare.js')) continue;
  const file = join(built, path);
  const source = readFileSync(file, 'utf8');
  // The line stays, empty: source maps go on meaning the same.
  const stripped = source
    .replaceAll(/\b(?:sometimes|rarely)\('[^']*'\);/g, () => count(';'))
    .replaceAll(/\bmaybe\('[^']*'\)/g, () => count('false'))
    .replaceAll(/^import \{[^}]*\} from '[./]*base\/rare\.js';$/gm, '');
  if (stripped !== source) writeFileSync(file, stripped);
}
if (marks === 0) throw new Error('no marks were found in dist: has the build changed?');
process.stdout.write(`${marks} marks taken out\n`);

function count(replacement) {
  marks++;
  return replacement;
}
