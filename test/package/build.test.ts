import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { transformSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Consumer, ROOT } from './consumer.ts';

function run(...args: string[]): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  expect(`${status} ${stdout} ${stderr}`).toMatch(/^0 /);
}

beforeAll(() => {
  run('node_modules/typescript/bin/tsc', '--project', 'tsconfig.build.json');
  run('scripts/strip_marks.mjs');
}, 120_000);

describe('the built package', () => {
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
});

describe('the package as it is installed', () => {
  let consumer: Consumer;

  beforeAll(() => {
    consumer = new Consumer();
    consumer.install('@types/node');
  }, 120_000);

  afterAll(() => consumer.remove());

  it('opens a store, and needs nothing of Level for it', () => {
    const printed = consumer.run(
      'store.js',
      `import { open } from 'envelopedb';
      const db = await open('./data');
      const users = db.bucket('users', { values: 'json' });
      await users.put('alice', { score: 100 });
      await db.compact();
      console.log(users.get('alice').score, db.stats().tables);
      await db.close();
      await import('envelopedb/level').catch(({ code, message }) => console.log(code, message.includes('abstract-level')));`,
    );
    expect(printed).toBe('100 1\nERR_MODULE_NOT_FOUND true\n');
  });

  it('simulates', () => {
    const printed = consumer.run(
      'sim.js',
      `import { runSeed } from 'envelopedb/sim';
      const { failure, events } = runSeed('7', { stormMs: 1000 });
      console.log(failure, events > 100);`,
    );
    expect(printed).toBe('null true\n');
  }, 120_000);

  it('runs the counter service of docs/simulation.md, and prints what stands there', () => {
    const page = readFileSync(join(ROOT, 'docs/simulation.md'), 'utf8');
    const program = /```js\n(import \{ runLab \}.*?)```\n/s.exec(page)?.[1] ?? '';
    const printed = /\$ node counter\.mjs\n([^`]*)```/.exec(page)?.[1] ?? 'nothing is said to be printed';
    expect(consumer.run('counter.mjs', program)).toBe(printed);
  }, 60_000);

  it('checks histories as docs/histories.md says', () => {
    const page = readFileSync(join(ROOT, 'docs/histories.md'), 'utf8');
    const example = /```ts\n(.*?)```/s.exec(page)?.[1] ?? '';
    consumer.check({ 'history.ts': example });
    const { code } = transformSync(example, { loader: 'ts', format: 'esm', target: 'node20' });
    const told = code.replace(/^stream\.finish\(\)\.type;/m, 'console.log(stream.finish().type);');
    expect(consumer.run('history.js', told)).toBe('linearizable\n');
  }, 60_000);

  it('is a database of Level where abstract-level is installed', () => {
    consumer.install('abstract-level');
    const printed = consumer.run(
      'level.js',
      `import { EnvelopeLevel } from 'envelopedb/level';
      const db = new EnvelopeLevel('./level', { valueEncoding: 'json' });
      await db.put('a', { n: 1 }, { sync: true });
      await db.batch([{ type: 'put', key: 'b', value: { n: 2 } }]);
      for await (const [key, value] of db.iterator({ gte: 'a' })) console.log(key, value.n);
      await db.close();`,
    );
    expect(printed).toBe('a 1\nb 2\n');
  });

  it('says so when a bundler has left out the thread that writes tables, and does without it', () => {
    const program = (options: string): string =>
      `import { open } from 'envelopedb';
      open('./data', ${options}).then(async (db) => {
        for (let i = 0; i < 2000; i++) await db.bucket().put('k' + i, 'v', { durability: 'buffered' });
        await db.compact();
        console.log(await db.bucket().count());
        await db.close();
      }, (error) => console.log(error.code, error.message));`;
    const steps = program("{ background: 'steps', tuning: { memtableBytes: 16384 } }");
    for (const format of ['esm', 'cjs'] as const) {
      expect(consumer.runBundled('thread', program('{}'), { format })).toMatch(
        /^UNSUPPORTED run_writer_thread\.js is missing, .* envelopedb is external, or .* background: 'steps'/,
      );
      expect(consumer.runBundled('steps', steps, { format })).toBe('2000\n');
    }
    const packages = 'external' as const;
    expect(consumer.runBundled('whole', program('{}'), { format: 'esm', packages })).toBe('2000\n');
  }, 60_000);

  it.each(['README.md', 'docs/embedding.md'])('runs the examples of %s as they are written', (page) => {
    const examples = [...readFileSync(join(ROOT, page), 'utf8').matchAll(/```ts\n(.*?)```/gs)];
    expect(examples.length).toBeGreaterThan(1);
    // The first is what a stranger tries, in whatever version of Node: nothing makes older code of it.
    expect(consumer.run('first.mjs', examples[0][1])).toBe('{ score: 100 }\n');
    const sources: Record<string, string> = {};
    for (const [at, [, text]] of examples.entries()) {
      // One that goes on from those before needs a store.
      const opening = text.includes('open(') ? '' : "await using db = await open('./data');\n";
      const imports = text.includes('import ') ? '' : "import { open } from 'envelopedb';\n";
      const source = text.includes('import ') ? text : `${imports}${opening}${text}`;
      sources[`example${at}.ts`] = `${source}\nexport {};\n`;
      const { code } = transformSync(source, { loader: 'ts', format: 'esm', target: 'node20' });
      consumer.run(`example${at}.js`, code);
    }
    consumer.check(sources);
  }, 60_000);

  it('has types that say what its doors take', () => {
    consumer.check({
      'types.ts': `import { type Bucket, type DatabaseStatistics, json, open } from 'envelopedb';
      import { EnvelopeLevel } from 'envelopedb/level';
      import { runSeed } from 'envelopedb/sim';
      const db = await open('./data');
      const score: unknown = db.bucket('users', { values: 'json' }).get('alice');
      const typed: Bucket<string, { score: number }> = db.bucket('users', { values: json<{ score: number }>() });
      const known: number | undefined = typed.get('alice')?.score;
      const bytes: Uint8Array | undefined = db.bucket('raw', { values: 'buffer' }).get('k');
      const stats: DatabaseStatistics = db.stats();
      const level = new EnvelopeLevel<string, number>(db, { bucket: 'l', valueEncoding: 'json' });
      await level.put('a', 1, { sync: true, ttlMs: 1000 });
      await level.batch().put('b', 2).write({ sync: true });
      // @ts-expect-error: its values are numbers.
      await level.put('a', 'text');
      console.log(score, bytes, stats.levels, runSeed('1', { stormMs: 1 }).failure);`,
    });
  }, 60_000);
});
