import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { EnvelopeError } from '../../src/base/errors.ts';
import type { Connection, ConnectionHandler } from '../../src/io/network.ts';
import { LINGER_MS, STALL_MS } from '../../src/io/node/connection.ts';
import { NodeNetwork } from '../../src/io/node/network.ts';
import { describeNetwork } from './network_compliance.ts';
import { settle } from './node_harness.ts';

const HOST = '127.0.0.1';

describeNetwork('TCP', () => {
  const network = new NodeNetwork();
  return { server: network, client: network, host: HOST, settle, cleanup: () => {} };
});

/** Counts what it is told. */
class Told implements ConnectionHandler {
  opens = 0;
  bytes = 0;
  readonly pieces: Uint8Array[] = [];
  readonly closes: (Error | null)[] = [];

  onOpen(): void {
    this.opens++;
  }

  onData(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    this.pieces.push(bytes);
  }

  onClose(error: Error | null): void {
    this.closes.push(error);
  }
}

describe('a TCP connection with a peer that is not ours', () => {
  const network = new NodeNetwork();
  let server: Server | null = null;
  let peer: Socket | null = null;

  afterEach(() => {
    vi.useRealTimers();
    peer?.destroy();
    server?.close();
    peer = null;
  });

  /** A connection to a plain socket, whose reading the test controls. */
  async function connectToPlain(): Promise<{ connection: Connection; told: Told; peer: Socket }> {
    server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
      peer = socket.on('error', () => {});
    });
    const plain = server;
    plain.listen(0, HOST);
    await settle(() => plain.address() !== null);
    const address = plain.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const told = new Told();
    const connection = network.connect({ host: HOST, port }, told);
    await settle(() => told.opens === 1 && peer !== null);
    return { connection, told, peer: peer ?? expect.fail('nobody was accepted') };
  }

  it('hands over plain bytes, each piece in memory of its own', async () => {
    const { connection, told, peer } = await connectToPlain();
    for (let i = 1; i <= 3; i++) {
      peer.write(Buffer.alloc(1000, i));
      await settle(() => told.bytes === i * 1000);
    }
    for (const piece of told.pieces) expect(piece.constructor).toBe(Uint8Array);
    expect(new Set(told.pieces.map((piece) => piece.buffer)).size).toBe(told.pieces.length);
    connection.destroy();
  });

  it('tells a reset once, as an error with its code and the address', async () => {
    const { connection, told, peer } = await connectToPlain();
    peer.resetAndDestroy();
    await settle(() => told.closes.length > 0);
    connection.write(Uint8Array.of(1));
    connection.destroy();
    const [error] = told.closes as EnvelopeError[];
    expect([told.closes.length, error?.code]).toEqual([1, 'ECONNRESET']);
    expect(error?.message).toContain(connection.remote);
  });

  it('sends everything before it closes, however slowly the peer reads', async () => {
    const { connection, told, peer } = await connectToPlain();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const bytes = 24 * 1024 * 1024;
    connection.write(new Uint8Array(bytes / 2));
    connection.write(new Uint8Array(bytes / 2));
    connection.close();
    vi.advanceTimersByTime(STALL_MS - 1);
    expect(connection.bufferedBytes).toBeGreaterThan(0);
    let received = 0;
    let ended = false;
    peer.on('data', (piece) => {
      received += piece.length;
    });
    peer.on('end', () => {
      ended = true;
      peer.end();
    });
    peer.resume();
    await settle(() => ended && told.closes.length > 0);
    expect(received).toBe(bytes);
    expect(told.closes).toEqual([null]);
  });

  it('gives up closing with a peer that takes nothing', async () => {
    const { connection, told } = await connectToPlain();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    connection.write(new Uint8Array(24 * 1024 * 1024));
    connection.close();
    vi.advanceTimersByTime(STALL_MS);
    vi.advanceTimersByTime(STALL_MS);
    await settle(() => told.closes.length > 0);
    expect(told.closes).toEqual([null]);
  });

  it('gives up closing with a peer that takes everything and never closes', async () => {
    const { connection, told, peer } = await connectToPlain();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let ended = false;
    peer.on('end', () => {
      ended = true;
    });
    peer.resume();
    connection.write(Uint8Array.of(1));
    connection.close();
    await settle(() => ended);
    expect(told.closes).toEqual([]);
    vi.advanceTimersByTime(LINGER_MS);
    await settle(() => told.closes.length > 0);
    expect(told.closes).toEqual([null]);
  });

  it('takes and drops what arrives while it closes, so that the peer is not reset', async () => {
    const { connection, told, peer } = await connectToPlain();
    // Closing comes from the peer's end, not from patience.
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let failure: Error | null = null;
    peer.on('error', (error) => {
      failure = error;
    });
    let received = 0;
    peer.on('data', (piece) => {
      received += piece.length;
    });
    connection.pause();
    peer.write(new Uint8Array(100_000));
    connection.write(new Uint8Array(300_000));
    connection.close();
    peer.on('end', () => peer.end());
    peer.resume();
    await settle(() => told.closes.length > 0);
    await settle(() => peer.closed);
    expect([received, failure, told.bytes]).toEqual([300_000, null, 0]);
  });
});

describe('addresses', () => {
  const network = new NodeNetwork();

  it('that nobody listens on are named', async () => {
    const told = new Told();
    // Port 1 is nobody's on a machine that runs tests.
    network.connect({ host: HOST, port: 1 }, told);
    await settle(() => told.closes.length > 0);
    const [error] = told.closes as EnvelopeError[];
    expect([told.opens, error?.code]).toEqual([0, 'ECONNREFUSED']);
    expect(error?.message).toContain(`${HOST}:1`);
  });

  it('that are none are told as failures, later', async () => {
    const told = new Told();
    network.connect({ host: HOST, port: 70_000 }, told).write(Uint8Array.of(1));
    const errors: Error[] = [];
    const listener = network.listen(
      { host: HOST, port: 70_000 },
      () => {},
      (error) => errors.push(error),
    );
    expect([told.closes, errors]).toEqual([[], []]);
    await settle(() => told.closes.length > 0 && errors.length > 0);
    expect(told.closes[0]).toBeInstanceOf(Error);
    expect(errors[0]?.message).toContain(`cannot listen on ${HOST}:70000`);
    listener.close();
  });

  it('that are taken are told with what to do', async () => {
    const errors: EnvelopeError[] = [];
    const onError = (error: Error): number => errors.push(error as EnvelopeError);
    const first = network.listen({ host: HOST, port: 0 }, () => {}, onError);
    await settle(() => first.port !== 0);
    const second = network.listen({ host: HOST, port: first.port }, () => {}, onError);
    await settle(() => errors.length > 0);
    expect(errors[0]?.code).toBe('EADDRINUSE');
    expect(errors[0]?.message).toBe(
      `cannot listen on ${HOST}:${first.port}: EADDRINUSE: the port is in use: ` +
        'stop the process that holds it, or choose another port',
    );
    first.close();
    second.close();
  });
});
