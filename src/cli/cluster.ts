/**
 * `envelopedb cluster`: three nodes on this machine, each a process of its own, as it would be on three machines. Shows
 * who leads, passes their logs through, and stops them in order at Ctrl-C.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { ReplyReader } from '../client/reply_reader.ts';
import { fromUtf8, utf8 } from '../codec/bytes.ts';
import type { LogLevel } from '../io/logger.ts';

export interface ClusterCommand {
  readonly data: string;
  readonly clear: boolean;
  readonly logLevel: LogLevel | 'silent';
}

const HOST = '127.0.0.1';
const PORTS = [9001, 9002, 9003] as const;
const POLL_MS = 100;

export async function runCluster(command: ClusterCommand): Promise<void> {
  const main = fileURLToPath(new URL(`main${import.meta.url.slice(-3)}`, import.meta.url));
  const children: ChildProcess[] = [];
  let stopping = false;
  for (const port of PORTS) {
    const args = ['node', String(port), '--data', command.data, '--log-level', command.logLevel];
    if (command.clear) args.push('--clear');
    // Their own process groups: a Ctrl-C at the terminal reaches this process alone, which then stops them in order.
    const child = spawn(process.execPath, [...process.execArgv, main, ...args], {
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true,
    });
    children.push(child);
    child.on('exit', (code, signal) => {
      if (stopping) return;
      process.stderr.write(`envelopedb: the node on port ${port} ended (${signal ?? `code ${code}`})\n`);
      process.exitCode = 1;
    });
  }
  const stop = (): void => {
    if (stopping) return;
    stopping = true;
    for (const child of children) child.kill('SIGTERM');
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  process.on('exit', () => {
    for (const child of children)
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  });
  const leader = await leaderOf(() => stopping || children.every((child) => child.exitCode !== null));
  if (leader !== null) process.stdout.write(greeting(leader, command.data));
  await Promise.all(children.map(ended));
}

function greeting(leader: string, data: string): string {
  return [
    '',
    `EnvelopeDB is serving on ${PORTS.map((port) => `${HOST}:${port}`).join(', ')}; ${leader} leads.`,
    `Data is kept under ${data}. Talk to any node:`,
    '',
    `  nc ${HOST} ${PORTS[0]}`,
    '  SET user:1 {"name": "Alice", "score": 100}',
    '  JGET user:1 name',
    '',
    `or with Redis' tools: redis-cli -p ${PORTS[0]}. Ctrl-C stops the cluster.`,
    '',
    '',
  ].join('\n');
}

/** Asks the nodes until one of them knows the leader. Null when there is no point in asking any more. */
async function leaderOf(isOver: () => boolean): Promise<string | null> {
  for (let attempt = 0; !isOver(); attempt++) {
    const info = await ask(PORTS[attempt % PORTS.length], 'INFO');
    const leader = /^leader_address:(.+)$/m.exec(info)?.[1]?.trim();
    if (leader !== undefined && leader !== 'none') return leader;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return null;
}

/** The reply to one command; empty when the node cannot be reached. */
function ask(port: number, line: string): Promise<string> {
  return new Promise((resolve) => {
    const reader = new ReplyReader();
    const socket = connect({ host: HOST, port });
    socket.setTimeout(1000, () => socket.destroy());
    socket.on('connect', () => socket.write(utf8(`${line}\r\n`)));
    socket.on('data', (bytes) => {
      reader.push(bytes);
      const reply = reader.next();
      if (reply === null) return;
      socket.destroy();
      resolve(reply.type === 'bulk' && reply.value !== null ? fromUtf8(reply.value) : '');
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(''));
  });
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.on('exit', () => resolve());
  });
}
