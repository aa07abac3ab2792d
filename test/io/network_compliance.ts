/**
 * What every network must keep of `src/io/network.ts` while nothing breaks. The real and the simulated network run the
 * same tests.
 *
 * Nothing here waits for time to pass. That something does not happen is seen by a round trip over another connection:
 * what was on its way when it started would have come before it ended.
 */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Connection, ConnectionHandler, Listener, Network } from '../../src/io/network.ts';

export interface NetworkHarness {
  /** Where the tests listen. */
  readonly server: Network;
  /** From where they connect; may be the same. */
  readonly client: Network;
  /** The server's host, as both know it. */
  readonly host: string;
  /** Lets callbacks come until `isDone` returns true; rejects when it never does. */
  settle(isDone: () => boolean): Promise<void>;
  cleanup(): void;
}

const MEBIBYTE = 1024 * 1024;

/** One side of a connection: writes down what it is told, and finds callbacks from inside calls and after the end. */
class Side implements ConnectionHandler {
  readonly events: string[] = [];
  /** As they were handed over. */
  readonly pieces: Uint8Array[] = [];
  byteCount = 0;
  closes = 0;
  connection: Connection | null = null;
  #inCall = false;
  /** What was told at the wrong moment. */
  readonly wrong: string[] = [];

  onOpen(): void {
    this.#note('open');
  }

  onData(bytes: Uint8Array): void {
    this.#note('data');
    this.pieces.push(bytes);
    this.byteCount += bytes.length;
  }

  onDrain(): void {
    this.#note('drain');
  }

  onEnd(): void {
    this.#note('end');
  }

  onClose(error: Error | null): void {
    this.#note(error === null ? 'close' : 'close with an error');
    if (error !== null && !(error instanceof Error)) this.wrong.push('an error that is none');
    this.closes++;
  }

  /** Uses the connection, with an eye on callbacks that come before the call has returned. */
  use<T>(call: (connection: Connection) => T): T {
    const { connection } = this;
    if (connection === null) throw new Error('there is no connection yet');
    this.#inCall = true;
    try {
      return call(connection);
    } finally {
      this.#inCall = false;
    }
  }

  /** As `use`, for the call that makes the connection. */
  make(call: () => Connection): void {
    this.#inCall = true;
    this.connection = call();
    this.#inCall = false;
  }

  get isClosed(): boolean {
    return this.closes > 0;
  }

  /** The events, with repeats of data as one. */
  get story(): string {
    return this.events.filter((event, i) => event !== 'data' || this.events[i - 1] !== 'data').join(', ');
  }

  bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }

  #note(event: string): void {
    if (this.#inCall) this.wrong.push(`${event} from inside a call`);
    if (this.closes > 0) this.wrong.push(`${event} after close`);
    this.events.push(event);
  }
}

export function describeNetwork(name: string, makeNetwork: () => NetworkHarness): void {
  describe(`${name} as a network`, () => {
    let harness: NetworkHarness;
    let sides: Side[];
    let listeners: Listener[];

    beforeEach(() => {
      harness = makeNetwork();
      sides = [];
      listeners = [];
    });

    afterEach(async () => {
      for (const listener of listeners) listener.close();
      for (const side of sides) side.connection?.destroy();
      await harness.settle(() => sides.every((side) => side.connection === null || side.isClosed));
      const told = sides.map((side) => [side.wrong, side.closes]);
      harness.cleanup();
      expect(told, 'each side is told of its close once, last, and of nothing from inside a call').toEqual(
        sides.map((side) => [[], side.connection === null ? 0 : 1]),
      );
    });

    function newSide(): Side {
      const side = new Side();
      sides.push(side);
      return side;
    }

    /** Listens on a free port; `accept` gives the side of each connection that comes. */
    async function listen(accept: () => Side): Promise<Listener> {
      const errors: Error[] = [];
      const listener = harness.server.listen(
        { host: harness.host, port: 0 },
        (connection) => {
          const side = accept();
          side.connection = connection;
          connection.handler = side;
        },
        (error) => errors.push(error),
      );
      listeners.push(listener);
      expect(listener.port, 'the port is not known before the call has returned').toBe(0);
      await harness.settle(() => listener.port !== 0 || errors.length > 0);
      expect(errors).toEqual([]);
      return listener;
    }

    function connect(port: number): Side {
      const side = newSide();
      side.make(() => harness.client.connect({ host: harness.host, port }, side));
      return side;
    }

    /** A connection that is open on both sides. */
    async function pair(): Promise<{ near: Side; far: Side; listener: Listener }> {
      const far = newSide();
      const listener = await listen(() => far);
      const near = connect(listener.port);
      await harness.settle(() => near.events.length > 0 && far.connection !== null);
      expect(near.events).toEqual(['open']);
      return { near, far, listener };
    }

    /** Lets everything arrive that is on its way. */
    async function roundTrip(): Promise<void> {
      for (let i = 0; i < 3; i++) {
        const { near, far } = await pair();
        near.use((connection) => connection.write(Uint8Array.of(1)));
        await harness.settle(() => far.byteCount === 1);
        far.use((connection) => connection.write(Uint8Array.of(2)));
        await harness.settle(() => near.byteCount === 1);
        near.use((connection) => connection.close());
        far.use((connection) => connection.close());
        await harness.settle(() => near.isClosed && far.isClosed);
      }
    }

    describe('listening', () => {
      it('picks a free port for port 0, another one each time', async () => {
        const first = await listen(newSide);
        const second = await listen(newSide);
        expect(first.port).toBeGreaterThan(0);
        expect(second.port).toBeGreaterThan(0);
        expect(first.port).not.toBe(second.port);
      });

      it('tells of a port that is taken, later and by name', async () => {
        const { port } = await listen(newSide);
        const errors: Error[] = [];
        const second = harness.server.listen(
          { host: harness.host, port },
          () => expect.fail('nobody connects'),
          (error) => errors.push(error),
        );
        expect(errors).toEqual([]);
        await harness.settle(() => errors.length > 0);
        await roundTrip();
        expect(errors).toHaveLength(1);
        expect(errors[0]?.message).toContain('EADDRINUSE');
        expect(errors[0]?.message).toContain(String(port));
        second.close();
      });

      it('stops accepting when closed, and leaves the connections that it has accepted', async () => {
        const { near, far, listener } = await pair();
        const { port } = listener;
        listener.close();
        listener.close();
        const late = connect(port);
        await harness.settle(() => late.isClosed);
        expect(late.story).toBe('close with an error');
        near.use((connection) => connection.write(Uint8Array.of(1)));
        far.use((connection) => connection.write(Uint8Array.of(2)));
        await harness.settle(() => near.byteCount === 1 && far.byteCount === 1);
      });

      it('frees the port when closed, even at once', async () => {
        const { port } = await closedListener();
        const refuse = (): void => expect.fail('a closed listener accepts nothing');
        const address = { host: harness.host, port };
        const errors: Error[] = [];
        harness.server.listen(address, refuse, (error) => errors.push(error)).close();
        await roundTrip();
        const accepted = newSide();
        const listener = harness.server.listen(
          address,
          (connection) => {
            accepted.connection = connection;
            connection.handler = accepted;
          },
          (error) => errors.push(error),
        );
        listeners.push(listener);
        await harness.settle(() => listener.port === port || errors.length > 0);
        expect(errors).toEqual([]);
        connect(port);
        await harness.settle(() => accepted.connection !== null);
      });

      it('tells each connection from the others', async () => {
        const accepted: Side[] = [];
        const { port } = await listen(() => {
          const side = newSide();
          accepted.push(side);
          return side;
        });
        const clients = Array.from({ length: 10 }, () => connect(port));
        for (const [i, client] of clients.entries())
          client.use((connection) => connection.write(Uint8Array.of(i)));
        await harness.settle(() => accepted.length === 10 && accepted.every((side) => side.byteCount === 1));
        for (const side of accepted) side.use((connection) => connection.write(side.bytes()));
        await harness.settle(() => clients.every((side) => side.byteCount === 1));
        expect(clients.map((client) => client.bytes()[0])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      });
    });

    /** A port that was listened on and is no more. */
    async function closedListener(): Promise<{ port: number }> {
      const listener = await listen(newSide);
      const { port } = listener;
      listener.close();
      return { port };
    }

    describe('connecting', () => {
      it('says when it is open, and names the other side', async () => {
        const { near, far, listener } = await pair();
        expect(near.connection?.remote).toBe(`${harness.host}:${listener.port}`);
        expect(far.connection?.remote).toMatch(/^.+:\d+$/);
      });

      it('closes with an error, and never opens, where nobody listens', async () => {
        const { port } = await closedListener();
        const side = connect(port);
        side.use((connection) => connection.write(Uint8Array.of(1)));
        await harness.settle(() => side.isClosed);
        expect(side.story).toBe('close with an error');
      });

      it('keeps what is written before it is open', async () => {
        const far = newSide();
        const { port } = await listen(() => far);
        const near = connect(port);
        for (const n of [1, 2, 3]) near.use((connection) => connection.write(Uint8Array.of(n)));
        await harness.settle(() => far.byteCount === 3);
        expect([...far.bytes()]).toEqual([1, 2, 3]);
      });

      it('sends what is written before it is open even when it is closed at once', async () => {
        const far = newSide();
        const { port } = await listen(() => far);
        const near = connect(port);
        near.use((connection) => connection.write(Uint8Array.of(1, 2)));
        near.use((connection) => connection.close());
        await harness.settle(() => far.events.includes('end'));
        expect([...far.bytes()]).toEqual([1, 2]);
        far.use((connection) => connection.close());
        await harness.settle(() => near.isClosed && far.isClosed);
        expect(near.events.at(-1)).toBe('close');
      });

      it('never opens when it is destroyed before', async () => {
        const { port } = await listen(newSide);
        const side = connect(port);
        side.use((connection) => connection.destroy());
        side.use((connection) => connection.destroy());
        await harness.settle(() => side.isClosed);
        await roundTrip();
        expect(side.story).toBe('close');
      });
    });

    describe('bytes', () => {
      it('arrive in order, without gaps or repeats, however they are cut, both ways at once', async () => {
        const far: Side[] = [];
        const { port } = await listen(() => {
          const side = newSide();
          far.push(side);
          return side;
        });
        const sizes = fc.array(fc.oneof(fc.nat(20), fc.nat(5000), fc.nat(200_000)), { maxLength: 20 });
        await fc.assert(
          fc.asyncProperty(sizes, sizes, async (there, back) => {
            const near = connect(port);
            await harness.settle(() => near.events.length > 0);
            await harness.settle(() => far.length > 0 && far.at(-1)?.connection !== null);
            const other = far.at(-1) ?? near;
            const sent = writeAll(near, there, 1);
            const answered = writeAll(other, back, 2);
            await harness.settle(() => other.byteCount >= sent.length && near.byteCount >= answered.length);
            near.use((connection) => connection.close());
            other.use((connection) => connection.close());
            await harness.settle(() => near.isClosed && other.isClosed);
            // The pieces are looked at only now: had their memory been used again, they would differ.
            expect(other.bytes().equals(sent)).toBe(true);
            expect(near.bytes().equals(answered)).toBe(true);
          }),
          { numRuns: 20 },
        );
      });

      it('are not lost when the connection is closed right behind them', async () => {
        const { near, far } = await pair();
        const sent = writeAll(near, new Array(8).fill(MEBIBYTE / 2), 3);
        near.use((connection) => connection.close());
        await harness.settle(() => far.events.includes('end'));
        expect(far.bytes().equals(sent)).toBe(true);
        expect(far.story).toBe('data, end');
        far.use((connection) => connection.close());
        await harness.settle(() => near.isClosed && far.isClosed);
        expect([near.events.at(-1), far.events.at(-1)]).toEqual(['close', 'close']);
      });

      it('go to whoever handles the connection when they arrive', async () => {
        const { near, far } = await pair();
        near.use((connection) => connection.write(Uint8Array.of(1)));
        await harness.settle(() => far.byteCount === 1);
        const second = newSide();
        second.connection = far.connection;
        far.use((connection) => {
          connection.handler = second;
        });
        near.use((connection) => connection.write(Uint8Array.of(2)));
        near.use((connection) => connection.close());
        await harness.settle(() => second.events.includes('end'));
        second.use((connection) => connection.close());
        await harness.settle(() => second.isClosed);
        expect([far.story, second.story]).toEqual(['data', 'data, end, close']);
        expect([...second.bytes()]).toEqual([2]);
        far.connection = null;
      });

      it('of no length are nothing', async () => {
        const { near, far } = await pair();
        expect(near.use((connection) => connection.write(new Uint8Array(0)))).toBe(true);
        near.use((connection) => connection.write(Uint8Array.of(1)));
        near.use((connection) => connection.write(new Uint8Array(0)));
        near.use((connection) => connection.close());
        await harness.settle(() => far.events.includes('end'));
        expect(far.pieces.every((piece) => piece.length > 0)).toBe(true);
        expect([...far.bytes()]).toEqual([1]);
      });
    });

    describe('back-pressure', () => {
      it('is felt in write, counted, and over when onDrain comes', async () => {
        const { near, far } = await pair();
        const isTaken = near.use((connection) => connection.write(pattern(8 * MEBIBYTE, 0)));
        expect(isTaken).toBe(false);
        expect(near.connection?.bufferedBytes).toBeGreaterThan(0);
        await harness.settle(() => near.events.includes('drain'));
        await harness.settle(() => far.byteCount === 8 * MEBIBYTE);
        expect(near.connection?.bufferedBytes).toBe(0);
        expect(near.story).toBe('open, drain');
      });

      it('does not bother who writes little', async () => {
        const { near, far } = await pair();
        for (let i = 0; i < 20; i++) {
          expect(near.use((connection) => connection.write(Uint8Array.of(i)))).toBe(true);
          await harness.settle(() => far.byteCount === i + 1);
        }
        await roundTrip();
        expect(near.story).toBe('open');
        expect(near.connection?.bufferedBytes).toBe(0);
      });

      it('reaches the sender when the receiver pauses, and all arrives when it goes on', async () => {
        const { near, far } = await pair();
        far.use((connection) => connection.pause());
        far.use((connection) => connection.pause());
        const sent = writeAll(near, new Array(24).fill(MEBIBYTE), 4);
        await roundTrip();
        expect(far.story).toBe('');
        expect(near.story).toBe('open');
        expect(near.connection?.bufferedBytes).toBeGreaterThan(0);
        far.use((connection) => connection.resume());
        await harness.settle(() => far.byteCount >= sent.length);
        expect(far.bytes().equals(sent)).toBe(true);
        await harness.settle(() => near.events.includes('drain'));
        expect(near.story).toBe('open, drain');
      });

      it('stops the delivery from inside onData, at once', async () => {
        const { near, far } = await pair();
        const sent = writeAll(near, new Array(10).fill(30_000), 5);
        let pauses = 0;
        far.onData = (bytes) => {
          Side.prototype.onData.call(far, bytes);
          far.connection?.pause();
          pauses++;
        };
        while (far.byteCount < sent.length) {
          const before = pauses;
          await harness.settle(() => pauses > before);
          await roundTrip();
          expect(pauses).toBe(before + 1);
          far.use((connection) => connection.resume());
        }
        expect(far.bytes().equals(sent)).toBe(true);
      });

      it('does not hide the end from a receiver that goes on', async () => {
        const { near, far } = await pair();
        far.use((connection) => connection.pause());
        near.use((connection) => connection.write(Uint8Array.of(1)));
        near.use((connection) => connection.close());
        await roundTrip();
        expect(far.story).toBe('');
        far.use((connection) => connection.resume());
        await harness.settle(() => far.events.includes('end'));
        expect(far.story).toBe('data, end');
      });
    });

    describe('the end', () => {
      it('of one direction leaves the other one open', async () => {
        const { near, far } = await pair();
        near.use((connection) => connection.close());
        await harness.settle(() => far.events.includes('end'));
        await roundTrip();
        expect([near.isClosed, far.isClosed]).toEqual([false, false]);
        far.use((connection) => connection.write(Uint8Array.of(1)));
        far.use((connection) => connection.close());
        await harness.settle(() => near.isClosed && far.isClosed);
        expect(far.story).toBe('end, close');
        expect(near.events.at(-1)).toBe('close');
      });

      it('comes in order when both sides close at once, and may be asked for again', async () => {
        const { near, far } = await pair();
        for (const side of [near, far, near, far]) side.use((connection) => connection.close());
        await harness.settle(() => near.isClosed && far.isClosed);
        for (const side of [near, far]) {
          side.use((connection) => connection.close());
          side.use((connection) => connection.destroy());
        }
        await roundTrip();
        expect([near.events.at(-1), far.events.at(-1)]).toEqual(['close', 'close']);
      });

      it('makes writes and what else is called do nothing', async () => {
        const { near, far } = await pair();
        near.use((connection) => connection.close());
        near.use((connection) => connection.write(Uint8Array.of(1)));
        near.use((connection) => connection.pause());
        near.use((connection) => connection.resume());
        await harness.settle(() => far.events.includes('end'));
        far.use((connection) => connection.close());
        await harness.settle(() => near.isClosed && far.isClosed);
        for (const side of [near, far]) {
          side.use((connection) => connection.write(Uint8Array.of(2)));
          side.use((connection) => connection.pause());
          side.use((connection) => connection.resume());
        }
        await roundTrip();
        expect([near.byteCount, far.byteCount]).toEqual([0, 0]);
      });

      it('comes at once, without an error, to who destroys, and somehow to the other side', async () => {
        const { near, far } = await pair();
        near.use((connection) => connection.destroy());
        near.use((connection) => connection.destroy());
        await harness.settle(() => near.isClosed);
        expect(near.story).toBe('open, close');
        await harness.settle(() => far.events.length > 0);
        expect(far.story).toMatch(/^(end|close with an error)$/);
      });

      it('may be made from inside any callback', async () => {
        const accepted: Side[] = [];
        const { port } = await listen(() => {
          const side = newSide();
          side.onData = (bytes) => {
            Side.prototype.onData.call(side, bytes);
            side.connection?.destroy();
          };
          accepted.push(side);
          return side;
        });
        const writers = Array.from({ length: 5 }, () => connect(port));
        for (const writer of writers) writer.use((connection) => connection.write(Uint8Array.of(1, 2, 3)));
        const opener = newSide();
        opener.onOpen = () => {
          Side.prototype.onOpen.call(opener);
          opener.connection?.destroy();
        };
        opener.make(() => harness.client.connect({ host: harness.host, port }, opener));
        await harness.settle(() => opener.isClosed && accepted.filter((side) => side.isClosed).length >= 5);
        expect(opener.story).toBe('open, close');
        for (const side of accepted.filter((one) => one.byteCount > 0))
          expect(side.story).toBe('data, close');
      });
    });
  });
}

/** Writes pieces of the given sizes; returns all of their bytes. */
function writeAll(side: Side, sizes: readonly number[], salt: number): Buffer {
  const all = pattern(
    sizes.reduce((sum, size) => sum + size, 0),
    salt,
  );
  let at = 0;
  for (const size of sizes) {
    const piece = all.slice(at, at + size);
    at += size;
    side.use((connection) => connection.write(piece));
  }
  return Buffer.from(all.buffer, all.byteOffset, all.length);
}

/** Bytes that tell their place: no shift of them looks the same. */
function pattern(length: number, salt: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = salt + 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
