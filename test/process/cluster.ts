/** Real nodes in processes of their own, on loopback ports and temporary directories, for tests that kill them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '../../src/client/client.ts';
import { freePorts } from './ports.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const LOADER = new URL('../../scripts/typescript.mjs', import.meta.url).href;
const HOST = '127.0.0.1';

export class ProcessCluster {
  /** What Node is given to run `envelopedb`: the sources, unless somebody wants it otherwise. */
  static program: readonly string[] = ['--import', LOADER, MAIN];
  readonly directory: string;
  readonly ports: readonly number[];
  /** Of every node, beside those that say who belongs to the cluster. */
  readonly #options: readonly string[];
  readonly #children = new Map<number, ChildProcess>();
  /** What the nodes said, for when a test fails. */
  log = '';

  private constructor(ports: readonly number[], options: readonly string[]) {
    this.ports = ports;
    this.#options = options;
    this.directory = mkdtempSync(join(tmpdir(), 'envelopedb-cluster-'));
  }

  /** Ports and an empty directory; no node runs yet. */
  static async prepare(options: readonly string[] = []): Promise<ProcessCluster> {
    return new ProcessCluster(await freePorts(3), options);
  }

  /** @param options Of every node. */
  static async start(options: readonly string[] = []): Promise<ProcessCluster> {
    const cluster = await ProcessCluster.prepare(options);
    for (const port of cluster.ports) cluster.start(port);
    return cluster;
  }

  start(port: number): void {
    const peers = this.ports.map((peer) => `${HOST}:${peer}`).join(',');
    this.#spawn(port, ['--peers', peers]);
  }

  /** Starts a node that joins the cluster by way of another, or starts one that has joined before. */
  join(port: number, via: number, ...options: readonly string[]): void {
    this.#spawn(port, ['--join', `${HOST}:${via}`, ...options]);
  }

  /** What `envelopedb member` prints, on either stream. */
  async member(via: number, ...words: readonly string[]): Promise<string> {
    const args = [...ProcessCluster.program, 'member', ...words, '--node', `${HOST}:${via}`];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    const keep = (bytes: Buffer): void => {
      text += bytes.toString();
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    await new Promise((resolve) => child.on('close', resolve));
    return text;
  }

  #spawn(port: number, options: readonly string[]): void {
    const node = ['node', String(port), '--data', this.directory];
    const args = [...ProcessCluster.program, ...node, ...this.#options, ...options];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const keep = (bytes: Buffer): void => {
      this.log += bytes.toString();
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    this.#children.set(port, child);
  }

  isRunning(port: number): boolean {
    const child = this.#children.get(port);
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** Ends a node and returns once it is gone: its code, or the signal that ended it. */
  async end(port: number, signal: 'SIGKILL' | 'SIGTERM'): Promise<number | string> {
    const child = this.#children.get(port);
    if (child === undefined || !this.isRunning(port))
      throw new Error(`the node on port ${port} is not running`);
    const gone = new Promise<number | string>((resolve) => {
      child.on('exit', (code, by) => resolve(by ?? code ?? -1));
    });
    child.kill(signal);
    return gone;
  }

  /** Stops a node where it is, without its doing anything about it, and lets it go on. */
  freeze(port: number): void {
    this.#children.get(port)?.kill('SIGSTOP');
  }

  thaw(port: number): void {
    this.#children.get(port)?.kill('SIGCONT');
  }

  async connect(port: number): Promise<Client> {
    return await Client.connect({ host: HOST, port });
  }

  /** The INFO of a node as pairs; null when it does not answer. */
  async info(port: number): Promise<Map<string, string> | null> {
    try {
      const client = await this.connect(port);
      try {
        const reply = await client.command('INFO');
        if (reply.type !== 'bulk' || reply.value === null) return null;
        const lines = new TextDecoder().decode(reply.value).split('\r\n');
        return new Map(lines.filter((line) => line.includes(':')).map((line) => splitOnce(line, ':')));
      } finally {
        client.close();
      }
    } catch {
      return null;
    }
  }

  /** The port of the node that a majority of those running takes for the leader. */
  async leader(): Promise<number> {
    return await eventually('a leader', 20_000, async () => {
      const votes = new Map<string, number>();
      for (const port of this.ports) {
        const leader = (await this.info(port))?.get('leader_address');
        if (leader !== undefined && leader !== 'none') votes.set(leader, (votes.get(leader) ?? 0) + 1);
      }
      for (const [address, count] of votes) {
        const port = Number(address.split(':')[1]);
        if (count >= 2 && this.isRunning(port)) return port;
      }
      return null;
    });
  }

  /** A leader may be known to two nodes while the third still starts: waits until every node answers. */
  async allAnswer(): Promise<void> {
    for (const port of this.ports) {
      await eventually('an answer of every node', 20_000, async () => await this.info(port));
    }
  }

  async stop(): Promise<void> {
    for (const port of this.#children.keys()) if (this.isRunning(port)) await this.end(port, 'SIGKILL');
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Tries until it gets something, or fails naming what it waited for. */
export async function eventually<T>(
  what: string,
  withinMs: number,
  attempt: () => Promise<T | null>,
): Promise<T> {
  const end = performance.now() + withinMs;
  for (;;) {
    const found = await attempt();
    if (found !== null) return found;
    if (performance.now() > end) throw new Error(`not seen within ${withinMs} ms: ${what}`);
    // The pace of asking, not a wait for something to be true.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return [text.slice(0, at), text.slice(at + 1)];
}
