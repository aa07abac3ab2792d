/** Starts the floor's three processes on free loopback ports. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePorts } from '../../test/process/ports.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
const LOADER = new URL('../../scripts/typescript.mjs', import.meta.url).href;

export interface Floor {
  readonly port: number;
  stop(): Promise<void>;
}

/** @param options `directory` takes the three files. */
export async function startFloor(options: { readonly directory: string }): Promise<Floor> {
  const [port, first, second] = await freePorts(3);
  const children: ChildProcess[] = [];
  const start = (role: string, own: number | undefined, ...rest: (number | undefined)[]): Promise<void> => {
    const file = join(options.directory, `floor-${own}`);
    const child = spawn(
      process.execPath,
      ['--import', LOADER, MAIN, role, String(own), file, ...rest.map(String)],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    children.push(child);
    return new Promise((resolve, reject) => {
      child.stdout?.once('data', () => resolve());
      child.once('exit', (code) => reject(new Error(`the floor's ${role} ended with code ${code}`)));
    });
  };
  await Promise.all([start('follower', first), start('follower', second)]);
  await start('primary', port, first, second);
  return {
    port: port ?? 0,
    stop: async () => {
      await Promise.all(
        children.map((child) => {
          const gone = new Promise((resolve) => child.once('exit', resolve));
          child.kill('SIGKILL');
          return gone;
        }),
      );
    },
  };
}
