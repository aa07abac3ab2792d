/** What an operator does to bring in a new version: each node is stopped in order and started again, under load. */
import { afterEach, describe, expect, it } from 'vitest';
import { type Client, ClientError } from '../../src/client/client.ts';
import { eventually, ProcessCluster } from './cluster.ts';

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

/** Writes numbered keys one at a time; goes to the next node when the one it talks to says that it stops. */
class Writer {
  acknowledged = 0;
  /** Operations whose outcome is open: a stop in order must leave none. */
  readonly failures: string[] = [];
  longestMs = 0;
  #stopped = false;
  readonly #cluster: ProcessCluster;
  readonly #name: string;
  #port: number;

  constructor(running: ProcessCluster, name: string, port: number) {
    this.#cluster = running;
    this.#name = name;
    this.#port = port;
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(): Promise<void> {
    let client = await this.#cluster.connect(this.#port);
    for (let n = 0; !this.#stopped; n++) {
      const startedAt = performance.now();
      for (let isDone = false; !isDone; ) {
        try {
          await client.set(`${this.#name}:${n}`, String(n));
          isDone = true;
        } catch (error) {
          if (!(error instanceof ClientError)) throw error;
          // Not executed, and says so, or not sent: another node takes it.
          const isOpen = error.code !== 'CLOSED' && !error.message.includes('the node is stopping');
          if (isOpen) this.failures.push(`${n}: ${error.message}`);
          client.close();
          client = await this.#reconnect();
        }
      }
      this.acknowledged++;
      this.longestMs = Math.max(this.longestMs, performance.now() - startedAt);
    }
    client.close();
  }

  async #reconnect(): ReturnType<ProcessCluster['connect']> {
    return await eventually('a node that takes connections', 10_000, async () => {
      const { ports } = this.#cluster;
      this.#port = ports[(ports.indexOf(this.#port) + 1) % ports.length] ?? this.#port;
      try {
        return await this.#cluster.connect(this.#port);
      } catch {
        return null;
      }
    });
  }
}

describe('a rolling restart', () => {
  it('loses no write that a node without a processor still had in hand for a leader that was gone by then', async () => {
    const running = await ProcessCluster.start();
    cluster = running;
    const leader = await running.leader();
    await running.allAnswer();
    const slow = running.ports.find((port) => port !== leader) ?? 0;
    const clients = [await running.connect(slow), await running.connect(slow)];
    // Before the leader stops, the node has sent requests by the connection that will end.
    for (const client of clients) await client.command('INCR', 'n');
    running.freeze(slow);
    const answers = clients.map((client) => [1, 2, 3].map(() => client.command('INCR', 'n')));
    expect(await running.end(leader, 'SIGTERM')).toBe(0);
    running.thaw(slow);
    const counted: number[] = [];
    for (const ofClient of answers) {
      const replies = await Promise.all(ofClient);
      expect(replies.filter(({ type }) => type !== 'integer')).toEqual([]);
      const values = replies.map((reply) => (reply.type === 'integer' ? reply.value : 0));
      // In the order in which this client asked, each once.
      expect(values).toEqual(values.toSorted((a, b) => a - b));
      counted.push(...values);
    }
    expect(counted.sort((a, b) => a - b)).toEqual([3, 4, 5, 6, 7, 8]);
    for (const client of clients) client.close();
  }, 60_000);

  it('lets no client that comes while a node stops wait for an answer in vain', async () => {
    const running = await ProcessCluster.start();
    cluster = running;
    await running.leader();
    await running.allAnswer();
    const lost: string[] = [];
    let told = 0;
    /** Connects so many milliseconds after the signal, and asks a moment later. */
    const ask = async (port: number, comesMs: number, asksMs: number): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, comesMs));
      let client: Client;
      try {
        client = await running.connect(port);
      } catch {
        // It was not let in.
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, asksMs));
      try {
        await client.set('k', '1');
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        if (error.message.includes('the node is stopping')) told++;
        else if (error.code !== 'CLOSED') lost.push(`${comesMs} + ${asksMs} ms: ${error.message}`);
      }
      client.close();
    };
    for (const port of running.ports) {
      const ended = running.end(port, 'SIGTERM');
      const clients = Array.from({ length: 20 }, (_none, at) => ask(port, 13 * at, 10 * (at % 4)));
      expect(await ended).toBe(0);
      await Promise.all(clients);
      running.start(port);
      await running.allAnswer();
      await running.leader();
    }
    expect(lost).toEqual([]);
    expect(told).toBeGreaterThan(3);
  }, 90_000);

  it('fails no operation of a client that goes on to the next node', async () => {
    const running = await ProcessCluster.start();
    cluster = running;
    await running.leader();
    const writers = running.ports.map((port) => new Writer(running, `w${port}`, port));
    const done = writers.map((writer) => writer.run());
    for (const port of running.ports) {
      expect(await running.end(port, 'SIGTERM')).toBe(0);
      running.start(port);
      await eventually('the node that was restarted has caught up', 20_000, async () => {
        const there = Number((await running.info(await running.leader()))?.get('commit_index'));
        const here = Number((await running.info(port))?.get('applied_index'));
        return here > 0 && here + 500 >= there ? true : null;
      });
    }
    for (const writer of writers) writer.stop();
    await Promise.all(done);
    expect(writers.flatMap((writer) => writer.failures)).toEqual([]);
    // Every one of them was stopped at a time at which it had answered something.
    for (const writer of writers) expect(writer.acknowledged).toBeGreaterThan(10);

    const client = await running.connect(running.ports[0] ?? 0);
    for (const [at, writer] of writers.entries()) {
      const last = writer.acknowledged - 1;
      const value = await client.get(`w${running.ports[at]}:${last}`);
      expect(value === null ? null : new TextDecoder().decode(value)).toBe(String(last));
    }
    client.close();
  }, 90_000);
});
