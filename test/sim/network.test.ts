import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { NetworkFaults } from '../../sim/network/faults.ts';
import type { SimNetwork } from '../../sim/network.ts';
import type { SimProcess } from '../../sim/process.ts';
import type { Connection, Network } from '../../src/io/network.ts';
import { runs } from '../long.ts';
import { Recorder, Rig } from './rig.ts';

const HEADS_DOWN_US = 60_000_000;

/** A connection from `a` to `b` that has opened, with a recorder at each side. */
class Pair {
  readonly rig: Rig;
  readonly network: SimNetwork;
  readonly a: SimProcess;
  readonly b: SimProcess;
  readonly client = new Recorder();
  readonly server = new Recorder();
  readonly near: Connection;
  readonly atA: Network;

  constructor(seed: string, faults: Partial<NetworkFaults> = {}) {
    this.rig = new Rig(seed);
    this.network = this.rig.network(faults);
    this.a = this.rig.process('a');
    this.b = this.rig.process('b');
    this.atA = this.network.attach(this.a, 'a');
    this.network.attach(this.b, 'b').listen(
      { host: 'b', port: 1 },
      (connection) => {
        connection.handler = this.server;
        this.server.connection = connection;
      },
      (error) => expect.fail(error.message),
    );
    this.rig.run(10);
    this.near = this.atA.connect({ host: 'b', port: 1 }, this.client);
    this.rig.run(2_000_000);
    expect(this.client.events).toEqual(['open']);
  }

  get far(): Connection {
    const { connection } = this.server;
    if (connection === null) throw new Error('nothing was accepted');
    return connection;
  }
}

describe('a simulated network', () => {
  it('never delivers anything but a prefix of what was written, whatever breaks', () => {
    const action = fc.oneof(
      { weight: 8, arbitrary: fc.record({ kind: fc.constant('write' as const), n: fc.nat(3000) }) },
      { weight: 8, arbitrary: fc.record({ kind: fc.constant('answer' as const), n: fc.nat(3000) }) },
      { weight: 6, arbitrary: fc.record({ kind: fc.constant('wait' as const), n: fc.nat(3_000_000) }) },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constantFrom(
            ...([
              'block',
              'block-back',
              'unblock',
              'heal',
              'pause',
              'resume',
              'read-pause',
              'read-resume',
            ] as const),
          ),
          n: fc.constant(0),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constantFrom(...(['reset', 'crash', 'crash-back', 'close', 'destroy'] as const)),
          n: fc.constant(0),
        }),
      },
    );
    let broken = 0;
    let whole = 0;
    fc.assert(
      fc.property(
        fc.string({ maxLength: 8 }),
        fc.array(action, { minLength: 8, maxLength: 40 }),
        (seed, actions) => {
          const pair = new Pair(seed, {
            longTailPermille: 20,
            fragmentPermille: 300,
            windowBytes: 2000,
            highWaterBytes: 1000,
            checkMutation: true,
          });
          const { network, rig, near, far, a, b, client, server } = pair;
          const there: number[] = [];
          const back: number[] = [];
          for (const { kind, n } of actions) {
            if (kind === 'write' && a.alive) near.write(sequence(there, n));
            else if (kind === 'answer' && b.alive) far.write(sequence(back, n));
            else if (kind === 'wait') rig.run(n);
            else if (kind === 'block') network.block('a', 'b');
            else if (kind === 'block-back') network.block('b', 'a');
            else if (kind === 'unblock') network.unblock('a', 'b');
            else if (kind === 'heal') network.healAll();
            else if (kind === 'pause') b.pause();
            else if (kind === 'resume') b.resume();
            else if (kind === 'read-pause') far.pause();
            else if (kind === 'read-resume') far.resume();
            else if (kind === 'reset') network.resetConnections('b', 'a');
            else if (kind === 'crash') a.crash();
            else if (kind === 'crash-back') b.crash();
            else if (kind === 'close') near.close();
            else if (kind === 'destroy') far.destroy();
          }
          network.healAll();
          b.resume();
          far.resume();
          rig.run(HEADS_DOWN_US);
          expect(server.bytes).toEqual(there.slice(0, server.bytes.length));
          expect(client.bytes).toEqual(back.slice(0, client.bytes.length));
          for (const { events } of [client, server]) {
            const closed = events.findIndex((event) => event.startsWith('close'));
            if (closed >= 0) expect(closed, events.join()).toBe(events.length - 1);
          }
          const isBroken =
            !a.alive ||
            !b.alive ||
            [...client.events, ...server.events].some((event) => event.startsWith('close'));
          if (isBroken) {
            broken++;
          } else {
            whole++;
            expect(server.bytes.length).toBe(there.length);
            expect(client.bytes.length).toBe(back.length);
          }
        },
      ),
      { numRuns: runs(120) },
    );
    // Both kinds must occur for the property to say much.
    expect(broken).toBeGreaterThan(10);
    expect(whole).toBeGreaterThan(10);
  });

  it('blocks one direction and lets the other pass; what was held arrives after healing, in order', () => {
    const { network, rig, near, far, client, server } = new Pair('one-way', { stallResetPermille: 0 });
    network.block('a', 'b');
    for (let i = 0; i < 10; i++) near.write(Uint8Array.of(i));
    far.write(Uint8Array.of(42));
    rig.run(HEADS_DOWN_US);
    expect(server.bytes).toEqual([]);
    expect(client.bytes).toEqual([42]);
    network.unblock('a', 'b');
    rig.run();
    expect(server.bytes).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('breaks a blocked connection on the sending side after a while; the other side learns it when it writes', () => {
    const { network, rig, near, far, client, server } = new Pair('stall', { stallResetPermille: 1000 });
    network.block('a', 'b');
    near.write(Uint8Array.of(1));
    rig.run(HEADS_DOWN_US);
    expect(client.events).toEqual(['open', 'close ETIMEDOUT']);
    expect(server.events).toEqual([]);
    network.healAll();
    rig.run();
    expect(server.events).toEqual([]);
    far.write(Uint8Array.of(1));
    rig.run();
    expect(server.events).toEqual(['close ECONNRESET']);
    expect(network.size).toBe(0);
  });

  it('refuses where nobody listens and times out behind a partition', () => {
    const { network, rig, atA, b } = new Pair('connect');
    const nobody = new Recorder();
    atA.connect({ host: 'b', port: 2 }, nobody);
    rig.run();
    expect(nobody.events).toEqual(['close ECONNREFUSED']);
    network.block('b', 'a');
    const blocked = new Recorder();
    atA.connect({ host: 'b', port: 1 }, blocked);
    rig.run(HEADS_DOWN_US);
    expect(blocked.events).toEqual(['close ETIMEDOUT']);
    network.block('a', 'b');
    const healed = new Recorder();
    atA.connect({ host: 'b', port: 1 }, healed);
    rig.run(500_000);
    network.healAll();
    rig.run();
    expect(healed.events).toEqual(['open']);
    b.crash();
    const dead = new Recorder();
    atA.connect({ host: 'b', port: 1 }, dead);
    rig.run();
    expect(dead.events).toEqual(['close ECONNREFUSED']);
  });

  it('tells the peer of a crashed process at once, in order, or not before it writes', () => {
    const seen = new Map<string, number>();
    for (let run = 0; run < 60; run++) {
      const { rig, b, near, client, server } = new Pair(`crash${run}`);
      b.crash();
      b.restart();
      rig.run(HEADS_DOWN_US);
      const quiet = client.events.slice(1).join();
      seen.set(quiet, (seen.get(quiet) ?? 0) + 1);
      near.write(Uint8Array.of(1));
      rig.run();
      expect(client.events.at(-1)).toBe('close ECONNRESET');
      expect(server.events).toEqual([]);
    }
    expect([...seen.keys()].sort()).toEqual(['', 'close ECONNRESET', 'end']);
    for (const count of seen.values()) expect(count).toBeGreaterThan(5);
  });

  it('closes in order when both sides have ended, and not before', () => {
    const { rig, near, far, client, server, network } = new Pair('close');
    near.write(Uint8Array.of(1));
    near.close();
    near.write(Uint8Array.of(2));
    rig.run(100_000);
    expect(server.events).toEqual(['data', 'end']);
    expect(client.events).toEqual(['open']);
    // Taken and dropped: whoever has closed hears only that it is over.
    far.write(Uint8Array.of(3));
    far.close();
    rig.run(100_000);
    expect(server.events).toEqual(['data', 'end', 'close']);
    expect(client.events).toEqual(['open', 'close']);
    expect(server.bytes).toEqual([1]);
    expect(network.size).toBe(0);
  });

  it('does not wait for ever for the other side to close too', () => {
    const { rig, near, client, server } = new Pair('linger');
    near.close();
    rig.run(2_000_000);
    expect(server.events[0]).toBe('end');
    expect(client.events).toEqual(['open', 'close']);
  });

  it('slows the writer down when the reader pauses, and says when it may go on', () => {
    const { rig, near, far, client, server } = new Pair('pressure', {
      windowBytes: 1000,
      highWaterBytes: 500,
    });
    far.pause();
    let written = 0;
    while (near.write(new Uint8Array(100))) written += 100;
    rig.run();
    expect(written).toBeGreaterThanOrEqual(1000);
    expect(near.bufferedBytes).toBeGreaterThan(500);
    expect(client.events).toEqual(['open']);
    far.resume();
    rig.run();
    expect(client.events).toEqual(['open', 'drain']);
    expect(near.bufferedBytes).toBe(0);
    expect(server.bytes.length).toBe(written + 100);
  });

  it('keeps what arrives for a paused process, and opens connections to it', () => {
    const { rig, atA, b, near, server } = new Pair('paused');
    b.pause();
    near.write(Uint8Array.of(1));
    const second = new Recorder();
    atA.connect({ host: 'b', port: 1 }, second);
    rig.run();
    expect([server.bytes, second.events]).toEqual([[], ['open']]);
    b.resume();
    rig.run();
    expect(server.bytes).toEqual([1]);
  });

  it('cuts and joins pieces at any place', () => {
    const sizes: number[] = [];
    const { rig, near, far } = new Pair('pieces', { fragmentPermille: 500 });
    far.handler = { onData: (bytes) => sizes.push(bytes.length), onClose: () => {} };
    for (let i = 0; i < 300; i++) {
      near.write(new Uint8Array(100));
      if (i % 2 === 0) rig.run(1000);
    }
    rig.run();
    expect(sizes.reduce((sum, size) => sum + size)).toBe(30_000);
    expect(sizes.filter((size) => size < 100).length).toBeGreaterThan(50);
    expect(sizes.filter((size) => size > 100).length).toBeGreaterThan(5);
  });

  it('catches a writer that changes bytes it has written', () => {
    const { rig, near, a } = new Pair('mutation', { checkMutation: true });
    const panics: string[] = [];
    a.onPanic = (error) => panics.push(error.message);
    const bytes = Uint8Array.of(1, 2, 3);
    near.write(bytes);
    rig.run();
    expect(panics).toEqual([]);
    near.write(bytes);
    bytes[0] = 9;
    rig.run();
    expect(panics[0]).toMatch(/nobody changes bytes/);
  });

  it('breaks both sides of the connections between two hosts, and no others', () => {
    const { rig, network, client, server } = new Pair('reset');
    network.resetConnections('a', 'c');
    rig.run();
    expect(client.events).toEqual(['open']);
    network.resetConnections('b', 'a');
    rig.run();
    expect([client.events, server.events]).toEqual([['open', 'close ECONNRESET'], ['close ECONNRESET']]);
    expect(network.size).toBe(0);
  });

  it('does the same from the same seed and other things from another', () => {
    const hash = (seed: string): string => {
      const { rig, near, far, network } = new Pair(seed);
      for (let i = 0; i < 20; i++) {
        near.write(Uint8Array.of(i));
        far.write(new Uint8Array(i));
        rig.run(300);
      }
      network.resetConnections('a', 'b');
      rig.run();
      return rig.trace.hash();
    };
    expect(hash('seed')).toBe(hash('seed'));
    expect(hash('seed')).not.toBe(hash('other'));
  });
});

/** The next `length` bytes of the stream, which `stream` remembers. */
function sequence(stream: number[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    bytes[i] = (stream.length * 7) % 251;
    stream.push(bytes[i]);
  }
  return bytes;
}
