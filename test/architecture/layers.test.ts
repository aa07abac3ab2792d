import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));

/** Each layer and the layers that it may import. `io` stands for the seams' types, `io/node` for the real ones. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  base: [],
  io: ['base'],
  codec: ['base'],
  'io/node': ['base', 'io'],
  log: ['base', 'io', 'codec'],
  raft: ['base', 'io', 'codec', 'log'],
  lsm: ['base', 'io', 'codec', 'log'],
  kv: ['base', 'io', 'codec', 'log', 'lsm'],
  protocol: ['base', 'codec', 'kv'],
  replica: ['base', 'io', 'codec', 'log', 'raft', 'lsm', 'kv'],
  threads: ['base', 'io', 'io/node', 'lsm', 'kv'],
  server: ['base', 'io', 'codec', 'log', 'raft', 'lsm', 'kv', 'protocol', 'replica'],
  client: ['base', 'codec'],
  backup: ['base', 'io', 'io/node', 'codec', 'log', 'lsm'],
  embedded: ['base', 'io', 'io/node', 'codec', 'log', 'lsm', 'kv', 'threads', 'backup'],
  level: ['base', 'codec', 'embedded'],
  inspect: ['base', 'io', 'io/node', 'codec', 'log', 'lsm', 'kv', 'replica', 'backup'],
  cli: ['base', 'io', 'io/node', 'codec', 'kv', 'client', 'server', 'inspect', 'backup', 'threads'],
};

const CORE = ['base', 'codec', 'log', 'lsm', 'raft', 'replica', 'kv', 'protocol'];

interface SourceFile {
  readonly path: string;
  readonly layer: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const files: SourceFile[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => {
    const text = readFileSync(join(SRC, path), 'utf8');
    const imports = [...text.matchAll(/^(?:import|export)\s[^;]*?from '([^']+)';/gms)].map(
      (match) => match[1] ?? '',
    );
    return { path, layer: layerOf(path), text, imports };
  });

function layerOf(path: string): string {
  return path.startsWith('io/node/') ? 'io/node' : path.includes('/') ? (path.split('/')[0] ?? '') : 'index';
}

describe('the layers', () => {
  it('are all listed here', () => {
    const found = [...new Set(files.map((file) => file.layer))].filter((layer) => layer !== 'index').sort();
    expect(found).toEqual(Object.keys(ALLOWED).sort());
  });

  it('import only downwards', () => {
    const wrong: string[] = [];
    for (const file of files) {
      const allowed = ALLOWED[file.layer];
      if (allowed === undefined) continue;
      for (const specifier of file.imports) {
        if (!specifier.startsWith('.')) continue;
        const target = relative(SRC, resolve(dirname(join(SRC, file.path)), specifier));
        const layer = layerOf(target);
        if (layer !== file.layer && !allowed.includes(layer)) wrong.push(`${file.path} imports ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('have no circles among files', () => {
    const byPath = new Map(files.map((file) => [file.path, file]));
    const state = new Map<string, 'open' | 'done'>();
    const circles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (state.get(path) === 'done') return;
      if (state.get(path) === 'open') {
        circles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
        return;
      }
      state.set(path, 'open');
      const file = byPath.get(path);
      for (const specifier of file?.imports ?? []) {
        if (!specifier.startsWith('.')) continue;
        visit(relative(SRC, resolve(dirname(join(SRC, path)), specifier)), [...trail, path]);
      }
      state.set(path, 'done');
    };
    for (const { path } of files) visit(path, []);
    expect(circles).toEqual([]);
  });
});

describe('the core', () => {
  const core = files.filter((file) => CORE.includes(file.layer));

  it('imports no module of Node, but for one pure function of bytes', () => {
    const found = core.flatMap((file) =>
      file.imports.filter((name) => name.startsWith('node:')).map((name) => `${file.path}: ${name}`),
    );
    expect(found).toEqual(['codec/crc32.ts: node:zlib']);
  });

  it('has no promise, clock, timer or randomness of its own', () => {
    const forbidden =
      /\basync\b|\bawait\b|\bPromise\b|\bMath\.(random|sin|cos|tan|exp|log\w*|pow|sqrt)\b|\bDate\b|\bset(Timeout|Interval|Immediate)\b|\bqueueMicrotask\b|\bperformance\b|\bprocess\./;
    const found: string[] = [];
    for (const { path, text } of core) {
      const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '');
      for (const line of code.split('\n')) if (forbidden.test(line)) found.push(`${path}: ${line.trim()}`);
    }
    expect(found).toEqual([]);
  });
});
