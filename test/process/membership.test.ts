/** Real processes: a cluster grows from three nodes to five and shrinks to three again while clients write. */
import { rmSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { eventually, ProcessCluster } from './cluster.ts';
import { freePorts } from './ports.ts';

let cluster: ProcessCluster | null = null;

afterEach(async () => {
  await cluster?.stop();
  cluster = null;
});

/** Writes numbered keys one at a time over one connection to one node, and counts what fails. */
class Writer {
  acknowledged = 0;
  failures: string[] = [];
  #stopped = false;

  stop(): void {
    this.#stopped = true;
  }

  async run(running: ProcessCluster, port: number): Promise<void> {
    const client = await running.connect(port);
    for (let n = 0; !this.#stopped; n++) {
      try {
        await client.set(`w${port}:${n}`, String(n));
        this.acknowledged++;
      } catch (error) {
        this.failures.push(`${n}: ${error instanceof Error ? error.message : error}`);
        break;
      }
    }
    client.close();
  }
}

async function voters(running: ProcessCluster, port: number, expected: string): Promise<void> {
  await eventually(`voters ${expected}`, 20_000, async () => {
    return (await running.info(port))?.get('voters') === expected ? true : null;
  });
}

describe('a cluster of processes', () => {
  it('grows to five nodes, replaces one, and shrinks to three under load, and no operation fails', async () => {
    const running = await ProcessCluster.start();
    cluster = running;
    const [first = 0] = running.ports;
    await running.leader();
    await running.allAnswer();
    const added = (await freePorts(5)).filter((port) => !running.ports.includes(port)).slice(0, 2);
    const writers = running.ports.map(() => new Writer());
    const done = writers.map((writer, at) => writer.run(running, running.ports[at] ?? 0));

    for (const [at, port] of added.entries()) {
      running.join(port, first);
      await voters(running, first, [1, 2, 3, 4, 5].slice(0, 4 + at).join(' '));
    }
    expect((await running.member(first, 'list')).split('\n').length).toBe(7);
    // A node that has joined is one of the cluster for good: it is started again without more ado.
    const [fourth = 0, fifth = 0] = added;
    expect(await running.end(fourth, 'SIGTERM')).toBe(0);
    running.join(fourth, first);
    await eventually('the node that was restarted', 20_000, async () => await running.info(fourth));

    // One that has lost its disk is not, under its old number.
    expect(await running.end(fifth, 'SIGKILL')).toBe('SIGKILL');
    rmSync(`${running.directory}/node-${fifth}`, { recursive: true });
    running.join(fifth, first);
    const words = 'is node 5 already, with another data directory: remove node 5 first';
    await eventually('a refusal', 20_000, async () => (running.log.includes(words) ? true : null));
    expect(await running.member(first, 'remove', '5')).toContain('node 5 has left the group');
    running.join(fifth, first);
    await voters(running, first, '1 2 3 4 6');

    const counts = writers.map(({ acknowledged }) => acknowledged);
    for (const id of [4, 6]) {
      expect(await running.member(first, 'remove', String(id))).toBe(
        `node ${id} has left the group; it can be stopped\n`,
      );
    }
    await voters(running, first, '1 2 3');
    for (const port of added) expect(await running.end(port, 'SIGTERM')).toBe(0);
    await eventually('writes behind the change', 20_000, async () =>
      writers.every(({ acknowledged }, at) => acknowledged > (counts[at] ?? 0)) ? true : null,
    );
    for (const writer of writers) writer.stop();
    await Promise.all(done);
    expect(writers.flatMap(({ failures }) => failures)).toEqual([]);
  }, 90_000);
});
