import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { lockDirectory } from '../../src/io/node/directory_lock.ts';
import { makeRoot } from './node_harness.ts';

const MODULE = new URL('../../src/io/node/directory_lock.ts', import.meta.url).href;
const LOADER = new URL('../../scripts/typescript.mjs', import.meta.url).href;
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));

describe("a data directory's lock", () => {
  let root: string;
  let cleanup: () => void;

  beforeEach(() => {
    ({ root, cleanup } = makeRoot());
  });

  afterEach(() => cleanup());

  const holder = (): string => readFileSync(`${root}/LOCK`, 'utf8').split(' ')[0] ?? '';

  it('is taken in a free directory, and leaves nothing but itself there', () => {
    lockDirectory(root);
    expect(readdirSync(root)).toEqual(['LOCK']);
    expect(holder()).toBe(String(process.pid));
  });

  it('takes one listener of the process, however many directories it holds', () => {
    lockDirectory(root);
    const before = process.listenerCount('exit');
    const unlocks = Array.from({ length: 20 }, (_none, n) => {
      mkdirSync(`${root}/${n}`);
      return lockDirectory(`${root}/${n}`);
    });
    expect(process.listenerCount('exit')).toBe(before);
    for (const unlock of unlocks) unlock();
    expect(readdirSync(`${root}/7`)).toEqual([]);
  });

  it('is refused to a second taker, with the name of the first', () => {
    lockDirectory(root);
    expect(() => lockDirectory(root)).toThrow(
      `${root} is in use by process ${process.pid} (see ${root}/LOCK)`,
    );
    expect(readdirSync(root)).toEqual(['LOCK']);
  });

  it('stays with who took it anew when the directory was removed under its first holder', () => {
    const directory = `${root}/store`;
    mkdirSync(directory);
    const unlockFirst = lockDirectory(directory);
    rmSync(directory, { recursive: true });
    mkdirSync(directory);
    const unlockSecond = lockDirectory(directory);
    unlockFirst();
    expect(() => lockDirectory(directory)).toThrow(`in use by process ${process.pid}`);
    unlockSecond();
    expect(readdirSync(directory)).toEqual([]);
    lockDirectory(directory)();
  });

  it('is taken over from a process that is gone', () => {
    const { pid } = spawnSync(process.execPath, ['--version']);
    writeFileSync(`${root}/LOCK`, `${pid} 12345\n`);
    lockDirectory(root);
    expect(holder()).toBe(String(process.pid));
    expect(readdirSync(root)).toEqual(['LOCK']);
  });

  it.skipIf(process.platform !== 'linux')(
    'is taken over when the number of its holder is now another process',
    () => {
      writeFileSync(`${root}/LOCK`, `${process.ppid} 1\n`);
      lockDirectory(root);
      expect(holder()).toBe(String(process.pid));
    },
  );

  it.skipIf(process.platform !== 'linux')(
    'is taken over from a process that has ended, and whose parent has not asked how',
    async () => {
      // The parent becomes a program that knows of no child.
      const parent = spawn('sh', ['-c', 'sleep 600 & echo $!; exec sleep 600'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      try {
        const pid = Number(await new Promise((resolve) => parent.stdout.once('data', resolve)));
        const stat = (): string[] =>
          readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
        process.kill(pid, 'SIGKILL');
        await vi.waitFor(() => expect(stat()[0]).toBe('Z'), { timeout: 10_000 });
        writeFileSync(`${root}/LOCK`, `${pid} ${stat()[19]}\n`);
        lockDirectory(root);
        expect(holder()).toBe(String(process.pid));
      } finally {
        parent.kill('SIGKILL');
      }
    },
  );

  it.skipIf(process.platform === 'win32')(
    'is taken over from a thread of this process that was ended, and from none that lives',
    async () => {
      const script = `
        import(${JSON.stringify(LOADER)}).then(() => import(${JSON.stringify(MODULE)})).then(({ lockDirectory }) => {
          lockDirectory(${JSON.stringify(root)});
          require('node:worker_threads').parentPort.postMessage('taken');
          setInterval(() => {}, 1000);
        });`;
      const thread = new Worker(script, { eval: true });
      await new Promise((resolve, reject) => {
        thread.once('message', resolve);
        thread.once('error', reject);
      });
      expect(() => lockDirectory(root)).toThrow(`in use by process ${process.pid}`);
      await thread.terminate();
      expect(readdirSync(root)).toEqual(['LOCK']);
      lockDirectory(root);
      expect(() => lockDirectory(root)).toThrow(`in use by process ${process.pid}`);
    },
  );

  it.each(['', 'garbage', '-1 5', '0 0'])('is taken over when it names nobody: %j', (text) => {
    writeFileSync(`${root}/LOCK`, text);
    lockDirectory(root);
    expect(holder()).toBe(String(process.pid));
  });

  it('goes to one of several that want to take it over at once, and is gone when that one exits', async () => {
    writeFileSync(`${root}/LOCK`, '999999999 1\n');
    const script = `
      const { lockDirectory } = await import(${JSON.stringify(MODULE)});
      process.stdout.write('ready\\n');
      process.stdin.once('data', () => {
        try { lockDirectory(${JSON.stringify(root)}); process.stdout.write('taken\\n'); }
        catch (error) { process.stdout.write(error.code + '\\n'); }
        process.stdin.once('data', () => process.exit(0));
      });`;
    const children = Array.from({ length: 3 }, () =>
      spawn(process.execPath, ['--import', './scripts/typescript.mjs', '--input-type=module', '-e', script], {
        cwd: PROJECT,
        stdio: ['pipe', 'pipe', 'inherit'],
      }),
    );
    const outputs = children.map(() => '');
    const said = (word: RegExp): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => {
          if (outputs.every((output) => word.test(output))) resolve();
        };
        for (const child of children) child.stdout.on('data', look);
        look();
      });
    for (const [i, child] of children.entries()) {
      child.stdout.on('data', (bytes: Buffer) => {
        outputs[i] += bytes.toString();
      });
    }
    await said(/ready/);
    for (const child of children) child.stdin.write('go\n');
    await said(/taken|LOCKED/);
    const ends = children.map((child) => new Promise((resolve) => child.on('exit', resolve)));
    expect(outputs.filter((output) => output.includes('taken'))).toHaveLength(1);
    for (const child of children) child.stdin.end('exit\n');
    await Promise.all(ends);
    expect(readdirSync(root)).toEqual([]);
  });

  it('says so when there is no directory to lock', () => {
    expect(() => lockDirectory(`${root}/missing`)).toThrow(/ENOENT/);
    mkdirSync(`${root}/missing`);
    lockDirectory(`${root}/missing`);
  });
});
