/** A node that was away for longer than the others keep their logs. */
import { describe, expect, it } from 'vitest';
import { DEFAULT_FLOW } from '../../src/raft/flow.ts';
import type { NodeOptions } from '../../src/server/node.ts';
import { ServerRig } from './rig.ts';

const SMALL: Partial<NodeOptions> = {
  log: { segmentBytes: 4096, cacheBytes: 4096 },
  store: { memtableBytes: 4096, blockBytes: 256 },
  snapshots: { logTailEntries: 10, chunkBytes: 500, bytesPerSecondMax: 1_000_000 },
};

/** Writes that fill many memtables, through any node that runs. */
function fill(rig: ServerRig, through: number, name: string): void {
  const client = rig.connect(through);
  for (let n = 0; n < 20; n++) {
    let lines = '';
    for (let i = 0; i < 20; i++) lines += `SET ${name}:${n}:${i} ${'x'.repeat(80)}\r\n`;
    expect(client.ask(lines, 300)).toBe('+OK\r\n'.repeat(20));
  }
  // What is deleted must not come back with the snapshot.
  expect(client.ask(`DEL ${name}:0:0\r\n`, 300)).toBe('+OK\r\n');
}

function keys(rig: ServerRig, id: number): string[] {
  const store = rig.machine(id).node?.store;
  if (store === undefined) throw new Error(`node ${id} is down`);
  const found: string[] = [];
  const iterator = store.iterator();
  while (iterator.next()) found.push(`${iterator.key().join()}=${iterator.value().join()}`);
  iterator.close();
  return found;
}

/** Waits until all that run have applied the same. */
function catchUp(rig: ServerRig): void {
  for (let waited = 0; waited < 300; waited++) {
    const nodes = rig.machines.flatMap(({ node, process }) => (node !== null && process.alive ? [node] : []));
    const applied = new Set(nodes.map(({ replica }) => replica.appliedIndex));
    const committed = new Set(nodes.map(({ replica }) => replica.raft.commitIndex));
    if (nodes.length === 3 && applied.size === 1 && committed.size === 1) return;
    rig.run(100);
  }
  throw new Error('the nodes do not catch up');
}

function others(rig: ServerRig, leader: number): [number, number] {
  const [a, b] = rig.machines.map(({ id }) => id).filter((id) => id !== leader);
  if (a === undefined || b === undefined) throw new Error('three nodes');
  return [a, b];
}

describe('a follower that lags behind the log', () => {
  it('gets the state and goes on, and the log of the others stays short', () => {
    const rig = new ServerRig(3, SMALL);
    const leader = rig.leader();
    const [away] = others(rig, leader);
    rig.crash(away);
    fill(rig, leader, 'a');
    const { groupLog } = rig.machine(leader).node ?? {};
    expect(groupLog?.firstIndex).toBeGreaterThan(200);
    rig.boot(away);
    catchUp(rig);
    expect(rig.machine(away).failure).toBeNull();
    expect(rig.machine(away).node?.groupLog.firstIndex).toBeGreaterThan(200);
    expect(keys(rig, away)).toEqual(keys(rig, leader));
    expect(keys(rig, away).length).toBe(399);
    // And it is a node like any other.
    rig.crash(leader);
    rig.run(3000);
    fill(rig, away, 'b');
    expect(keys(rig, away).length).toBe(798);
  });

  it('gets it all the same when connections break again and again', () => {
    const rig = new ServerRig(3, SMALL);
    const leader = rig.leader();
    const [away] = others(rig, leader);
    rig.crash(away);
    fill(rig, leader, 'a');
    rig.boot(away);
    for (let n = 0; n < 20; n++) {
      rig.run(30);
      rig.network.resetConnections(`node${leader}`, `node${away}`);
    }
    catchUp(rig);
    expect(keys(rig, away)).toEqual(keys(rig, leader));
  });

  it('gets it while the others write more than the tail of their logs holds', () => {
    const rig = new ServerRig(3, { ...SMALL, flow: { ...DEFAULT_FLOW, appendBytesMax: 2000 } });
    const leader = rig.leader();
    const [away] = others(rig, leader);
    rig.crash(away);
    fill(rig, leader, 'a');
    rig.boot(away);
    const writer = rig.connect(leader);
    const lines = `SET hot ${'x'.repeat(80)}\r\n`.repeat(4);
    let behind = Number.POSITIVE_INFINITY;
    for (let n = 0; n < 800 && behind > 20; n++) {
      writer.ask(lines, 4);
      const committed = rig.machine(leader).node?.replica.raft.commitIndex ?? 0;
      behind = committed - (rig.machine(away).node?.replica.appliedIndex ?? 0);
    }
    expect(behind).toBeLessThanOrEqual(20);
  });

  it('survives a power loss at any moment of it', () => {
    const rig = new ServerRig(3, SMALL);
    const leader = rig.leader();
    const [away] = others(rig, leader);
    rig.crash(away);
    fill(rig, leader, 'a');
    for (let ms = 1; ms < 400; ms += 7) {
      rig.boot(away);
      rig.run(ms);
      expect(rig.machine(away).failure).toBeNull();
      rig.crash(away);
    }
    rig.boot(away);
    catchUp(rig);
    expect(keys(rig, away)).toEqual(keys(rig, leader));
  });
});
