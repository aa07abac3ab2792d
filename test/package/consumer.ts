/** A project that has the built package installed: packed, and unpacked into its `node_modules`. Nothing is fetched. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, buildSync } from 'esbuild';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export class Consumer {
  readonly #directory = mkdtempSync(join(tmpdir(), 'envelopedb-consumer-'));

  /** `dist` has been built. */
  constructor() {
    const packed = this.#run('npm', ['pack', ROOT, '--ignore-scripts', '--json', '--offline']);
    const [{ filename }] = JSON.parse(packed) as { filename: string }[];
    mkdirSync(join(this.#directory, 'node_modules/envelopedb'), { recursive: true });
    this.#run('tar', ['-xzf', filename, '-C', 'node_modules/envelopedb', '--strip-components=1']);
    const { dependencies, optionalDependencies } = JSON.parse(
      readFileSync(join(ROOT, 'package.json'), 'utf8'),
    ) as { dependencies: object; optionalDependencies: object };
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) this.install(name);
    writeFileSync(join(this.#directory, 'package.json'), '{ "type": "module" }');
  }

  /** A package that this project has. */
  install(name: string): void {
    const place = join(this.#directory, 'node_modules', name);
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', name), place);
  }

  /** What a program prints. @throws Error with all of that when it fails. */
  run(name: string, text: string): string {
    writeFileSync(join(this.#directory, name), text);
    return this.#run(process.execPath, [name]);
  }

  /** As `run`, of what a bundler makes of the program, in a directory of its own. */
  runBundled(name: string, text: string, options: BuildOptions): string {
    const entry = join(this.#directory, name);
    writeFileSync(entry, text);
    const outfile = `bundled/${name}.${options.format === 'cjs' ? 'cjs' : 'mjs'}`;
    buildSync({
      absWorkingDir: this.#directory,
      entryPoints: [entry],
      bundle: true,
      platform: 'node',
      logLevel: 'silent',
      outfile,
      ...options,
    });
    return this.#run(process.execPath, [outfile]);
  }

  /** @param files By name. @throws Error with what the compiler finds wrong. */
  check(files: Readonly<Record<string, string>>): void {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(this.#directory, name), text);
    const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
    const target = ['--module', 'nodenext', '--target', 'es2023', '--lib', 'es2023,esnext.disposable'];
    const options = ['--noEmit', '--strict', ...target, '--types', 'node'];
    this.#run(process.execPath, [compiler, ...options, ...Object.keys(files)]);
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }

  #run(command: string, args: readonly string[]): string {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd: this.#directory, encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${status}\n${stdout}\n${stderr}`);
    return stdout;
  }
}
