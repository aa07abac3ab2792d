/** What a client says of commands that get no answer. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Client } from '../../src/client/client.ts';

let server: Server | null = null;

afterEach(() => {
  server?.close();
  server = null;
});

/** A client, and the server's end of its connection. */
async function connected(): Promise<{ client: Client; socket: Socket }> {
  const listening = createServer({ allowHalfOpen: true });
  server = listening;
  const accepted = new Promise<Socket>((resolve) => listening.on('connection', resolve));
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const client = await Client.connect({ host: '127.0.0.1', port: address.port });
  return { client, socket: await accepted };
}

describe('a command without an answer', () => {
  it('is of unknown outcome when it was sent before the connection ended', async () => {
    const { client, socket } = await connected();
    const answer = client.command('SET', 'k', '1');
    socket.once('data', () => socket.resetAndDestroy());
    await expect(answer).rejects.toMatchObject({
      code: 'CONNECTION',
      message: 'the connection was lost before an answer came',
    });
    await expect(client.command('GET', 'k')).rejects.toMatchObject({
      code: 'CLOSED',
      message: 'not sent: the connection was lost',
    });
  });

  it('is not sent once the server has said that it answers nothing more', async () => {
    const { client, socket } = await connected();
    const first = client.command('GET', 'k');
    socket.once('data', () => socket.end('+OK\r\n'));
    expect(await first).toEqual({ type: 'simple', text: 'OK' });
    // The client has heard it, and ends its own side.
    await once(socket, 'close');
    await expect(client.command('SET', 'k', '2')).rejects.toMatchObject({
      code: 'CLOSED',
      message: 'not sent: the server has ended the connection',
    });
  });

  it('is of unknown outcome when the server ends the connection without taking it', async () => {
    const { client, socket } = await connected();
    // More than the sockets hold.
    const answer = client.command('SET', 'k', new Uint8Array(64 * 1024 * 1024));
    socket.end();
    await expect(answer).rejects.toMatchObject({
      code: 'CONNECTION',
      message: 'the server has ended the connection before an answer came',
    });
    socket.destroy();
  });

  it('is not sent by a client that was closed', async () => {
    const { client } = await connected();
    client.close();
    await expect(client.command('GET', 'k')).rejects.toMatchObject({
      code: 'CLOSED',
      message: 'not sent: the client was closed',
    });
  });

  it('is of unknown outcome when the client is closed meanwhile', async () => {
    const { client } = await connected();
    const answer = client.command('SET', 'k', '1');
    client.close();
    await expect(answer).rejects.toMatchObject({
      code: 'CONNECTION',
      message: 'the client was closed before an answer came',
    });
  });

  it('is not sent behind an answer that makes no sense', async () => {
    const { client, socket } = await connected();
    const answer = client.command('GET', 'k');
    socket.once('data', () => socket.write('?\r\n'));
    await expect(answer).rejects.toMatchObject({ code: 'CONNECTION' });
    await expect(client.command('GET', 'k')).rejects.toMatchObject({ code: 'CLOSED' });
  });
});
