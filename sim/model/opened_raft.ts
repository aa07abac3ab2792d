/**
 * Loads the consensus core as it stands in `src/raft`, with its private fields made readable.
 *
 * A model checker must see the whole state of a node to tell whether two nodes are in the same state. The core hides
 * its state in private fields, and that is right; so the sources are read, `#name` becomes a plain name there, and the
 * result is bundled in memory. Nothing else changes, unless a mutant is planted. A field that is added to the core
 * later is seen without a change here.
 */
import { readFileSync } from 'node:fs';
import { relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { EnvelopeError } from '../../src/base/errors.ts';
import type { setRareProbe } from '../../src/base/rare.ts';
import type { Raft } from '../../src/raft/raft.ts';
import type { Mutant } from '../mutants/mutant.ts';
import { plantIn } from './planting.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export type RaftClass = typeof Raft;

/** What a private field `#x` is called in the loaded core: `$x`. */
const PRIVATE_PREFIX = '$';
const MAYBE = /\bmaybe\('([^']+)'\)/g;

/**
 * @param options.mutants Planted in the sources, in this order; each must be in a file that the core consists of.
 * @param options.rarePaths Where the core has two ways, `maybe(name)`, and may take the rarer one: there it always does.
 * @throws Error when a mutant does not fit the sources, EnvelopeError `USAGE` when the core has no such rarer way.
 */
export async function loadOpenedRaft(options: {
  readonly mutants?: readonly Mutant[];
  readonly rarePaths?: readonly string[];
}): Promise<RaftClass> {
  const { mutants = [], rarePaths = [] } = options;
  // Here, as the rest of the simulator runs without it.
  const { build } = await import('esbuild');
  const planted = new Set<Mutant>();
  const declared = new Set<string>();
  const result = await build({
    stdin: {
      contents: `export { Raft } from './src/raft/raft.ts'; export { setRareProbe } from './src/base/rare.ts';`,
      resolveDir: ROOT,
    },
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2022',
    logLevel: 'silent',
    plugins: [
      {
        name: 'open',
        setup(setup) {
          setup.onLoad({ filter: /\.ts$/ }, ({ path }) => {
            const file = relative(ROOT, path).split(sep).join('/');
            let source = readFileSync(path, 'utf8');
            for (const mutant of mutants) {
              if (mutant.file !== file) continue;
              source = plantIn(source, mutant);
              planted.add(mutant);
            }
            for (const [, name] of source.matchAll(MAYBE)) declared.add(name);
            return { contents: openPrivateFields(source), loader: 'ts' };
          });
        },
      },
    ],
  });
  for (const mutant of mutants) {
    if (!planted.has(mutant))
      throw new Error(`the mutant ${mutant.name} is in ${mutant.file}, which the core does not use`);
  }
  for (const name of rarePaths) {
    if (!declared.has(name))
      throw new EnvelopeError(
        'USAGE',
        `the core has no rarer way '${name}'; there are ${[...declared].sort().join(', ')}`,
      );
  }
  const [output] = result.outputFiles;
  const module: unknown = await import(
    `data:text/javascript;base64,${Buffer.from(output.text).toString('base64')}`
  );
  const core = module as { readonly Raft: RaftClass; readonly setRareProbe: typeof setRareProbe };
  const rare = new Set(rarePaths);
  core.setRareProbe({ sometimes: () => {}, maybe: (name) => rare.has(name) });
  return core.Raft;
}

function openPrivateFields(source: string): string {
  return source.replace(/(?<=^|[\s.(!])#(?=[a-z])/gim, () => PRIVATE_PREFIX);
}
