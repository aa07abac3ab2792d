import { afterEach, describe, expect, it } from 'vitest';
import { ClientError } from '../../src/client/client.ts';
import { eventually, ProcessCluster } from './cluster.ts';

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

/** Writes numbered keys through one node, one at a time, until told to stop; keeps what was acknowledged. */
class Writer {
  readonly acknowledged: string[] = [];
  #stopped = false;
  readonly #prefix: string;
  readonly #cluster: ProcessCluster;

  constructor(running: ProcessCluster, prefix: string) {
    this.#cluster = running;
    this.#prefix = prefix;
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(port: number): Promise<void> {
    const client = await this.#cluster.connect(port);
    for (let n = 0; !this.#stopped; n++) {
      const key = `${this.#prefix}:${n}`;
      try {
        await client.set(key, `value of ${key}`);
        this.acknowledged.push(key);
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        // Not acknowledged: whatever became of it is fine. Without a connection there is nothing left to do.
        if (error.code !== 'REPLY') return;
      }
    }
  }
}

async function missing(running: ProcessCluster, port: number, keys: readonly string[]): Promise<string[]> {
  const client = await running.connect(port);
  const values = await Promise.all(keys.map((key) => client.get(key)));
  client.close();
  const text = values.map((value) => (value === null ? null : new TextDecoder().decode(value)));
  return keys.filter((key, at) => text[at] !== `value of ${key}`);
}

describe('a cluster of real processes', () => {
  it('loses no acknowledged write when the leader is killed, and serves again within 2 s', async () => {
    const running = await ProcessCluster.start();
    cluster = running;
    const leader = await running.leader();
    const [first, second] = running.ports.filter((port) => port !== leader);
    if (first === undefined || second === undefined) throw new Error('three ports');
    const writers = running.ports.map((port) => new Writer(running, `port${port}`));
    const done = writers.map((writer, at) => writer.run(running.ports[at] ?? 0));
    await eventually('200 acknowledged writes', 20_000, async () =>
      writers.reduce((sum, writer) => sum + writer.acknowledged.length, 0) >= 200 ? true : null,
    );

    expect(await running.end(leader, 'SIGKILL')).toBe('SIGKILL');
    const killedAt = performance.now();
    const survivor = await running.connect(first);
    await eventually('a write after the leader was killed', 10_000, async () => {
      try {
        await survivor.set('after', 'the kill');
        return true;
      } catch {
        return null;
      }
    });
    const outageMs = performance.now() - killedAt;
    for (const writer of writers) writer.stop();
    await Promise.all(done);
    expect(outageMs).toBeLessThan(2000);

    const acknowledged = writers.flatMap((writer) => writer.acknowledged);
    expect(await missing(running, first, acknowledged)).toEqual([]);
    expect(await missing(running, second, acknowledged)).toEqual([]);

    // The killed node comes back and catches up.
    running.start(leader);
    const newLeader = await running.leader();
    await eventually('the killed node has applied everything', 20_000, async () => {
      const there = Number((await running.info(newLeader))?.get('commit_index'));
      const here = Number((await running.info(leader))?.get('applied_index'));
      return here > 0 && here >= there ? true : null;
    });
    expect(await missing(running, leader, acknowledged)).toEqual([]);

    // All three at once.
    await Promise.all(running.ports.map((port) => running.end(port, 'SIGKILL')));
    for (const port of running.ports) running.start(port);
    await running.leader();
    await running.allAnswer();
    for (const port of running.ports) expect(await missing(running, port, acknowledged)).toEqual([]);
  }, 120_000);

  it('stops in order at SIGTERM and finds its data at the next start', async () => {
    const running = await ProcessCluster.start();
    cluster = running;
    const leader = await running.leader();
    const client = await running.connect(leader);
    await client.set('kept', 'value of kept');
    client.close();
    const ends = await Promise.all(running.ports.map((port) => running.end(port, 'SIGTERM')));
    expect(ends).toEqual([0, 0, 0]);
    for (const port of running.ports) running.start(port);
    await running.leader();
    await running.allAnswer();
    for (const port of running.ports) expect(await missing(running, port, ['kept'])).toEqual([]);
  }, 60_000);
});
