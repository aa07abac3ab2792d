/** A node whose disk is lost, replaced as docs/operations.md says, under load, when the logs reach back no further. */
import { rmSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { fromUtf8 } from '../../src/codec/bytes.ts';
import { eventually, ProcessCluster } from './cluster.ts';

const VALUE_BYTES = 4000;
const KEPT_LOG_BYTES = 1024 * 1024;

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

/** Writes numbered keys through one node, some at a time, and keeps what was acknowledged and what failed. */
class Writer {
  readonly name: string;
  acknowledged = 0;
  readonly failures: string[] = [];
  #stopped = false;

  constructor(name: string) {
    this.name = name;
  }

  stop(): void {
    this.#stopped = true;
  }

  valueOf(n: number): string {
    return `${this.name}:${n}:`.padEnd(VALUE_BYTES, '.');
  }

  async run(running: ProcessCluster, port: number): Promise<void> {
    const client = await running.connect(port);
    while (!this.#stopped) {
      const first = this.acknowledged;
      const batch = [0, 1, 2, 3].map((n) => client.set(`${this.name}:${first + n}`, this.valueOf(first + n)));
      try {
        await Promise.all(batch);
      } catch (error) {
        this.failures.push(error instanceof Error ? error.message : String(error));
        break;
      }
      this.acknowledged += batch.length;
    }
    client.close();
  }
}

it('is rebuilt by a snapshot while clients write, and then holds everything itself', async () => {
  const running = await ProcessCluster.start(['--log-bytes', String(KEPT_LOG_BYTES)]);
  cluster = running;
  await running.leader();
  await running.allAnswer();
  const leader = await running.leader();
  const [lost = 0, other = 0] = running.ports.filter((port) => port !== leader);
  const writers = [leader, other].map((port) => new Writer(`w${port}`));
  const done = writers.map((writer, at) => writer.run(running, at === 0 ? leader : other));
  await eventually('a log that does not reach back to its beginning', 20_000, async () => {
    return Number((await running.info(leader))?.get('first_index')) > 500 ? true : null;
  });

  const id = 1 + running.ports.indexOf(lost);
  expect(await running.end(lost, 'SIGKILL')).toBe('SIGKILL');
  rmSync(`${running.directory}/node-${lost}`, { recursive: true });
  expect(await running.member(leader, 'remove', String(id))).toContain(`node ${id} has left the group`);
  running.join(lost, leader);
  await eventually('the vote of the node that replaces it', 20_000, async () => {
    const voters = (await running.info(leader))?.get('voters')?.split(' ');
    return voters?.includes('4') === true && voters.length === 3 ? true : null;
  });
  for (const writer of writers) writer.stop();
  await Promise.all(done);
  expect(writers.flatMap(({ failures }) => failures)).toEqual([]);
  expect(running.log).toContain('snapshot-installed');
  for (const port of running.ports) {
    // While a snapshot is held; and a segment more.
    const bytes = Number((await running.info(port))?.get('log_bytes'));
    expect(bytes).toBeLessThan(9 * KEPT_LOG_BYTES);
  }

  const client = await running.connect(lost);
  for (const writer of writers) {
    for (let n = 0; n < writer.acknowledged; n += 50) {
      const numbers = Array.from({ length: Math.min(50, writer.acknowledged - n) }, (_none, at) => n + at);
      const values = await Promise.all(
        numbers.map((number) =>
          client.get(`${writer.name}:${number}`, { consistency: 'stale', maxAgeMs: 1000 }),
        ),
      );
      const found = values.map((value) => (value === null ? null : fromUtf8(value)));
      expect(found).toEqual(numbers.map((number) => writer.valueOf(number)));
    }
  }
  client.close();
}, 60_000);
