/** Which answers a client whose writes take effect once does not take for the last word. */
import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { OnceClient } from '../../src/client/once_client.ts';
import type { Result } from '../../src/kv/request.ts';
import { LEADER_REBUILDS, MENDING } from '../../src/replica/proposals.ts';
import { BEING_REBUILT, ODD_ONE_OUT } from '../../src/replica/refusal.ts';

const HOST = '127.0.0.1';

describe('a client whose writes take effect once', () => {
  let server: Server | null = null;

  afterEach(() => {
    server?.close();
  });

  /** Answers each command with the next of these; a client that asks one thing at a time sends each as one piece. */
  async function nodeThatAnswers(replies: string[]): Promise<number> {
    const node = createServer((socket) => {
      socket.on('data', () => socket.write(`${replies.shift() ?? '-ERR nothing more was expected'}\r\n`));
    });
    server = node;
    await new Promise<void>((resolve) => node.listen(0, HOST, resolve));
    const address = node.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  function textOf(result: Result): string {
    return result.type === 'error' ? `-ERR ${result.message}` : '';
  }

  it.each([
    ['can apply nothing', LEADER_REBUILDS],
    ['waits for damaged entries', MENDING],
    ['is being rebuilt', BEING_REBUILT],
    ['differs from what a majority', ODD_ONE_OUT],
  ])('asks again when a node %s', async (words, refusal) => {
    expect(textOf(refusal)).toContain(words);
    const replies = [':7', textOf(refusal), '+OK', '+OK'];
    const client = new OnceClient({ addresses: [{ host: HOST, port: await nodeThatAnswers(replies) }] });
    expect(await client.write('SET', 'k', '1')).toEqual({ type: 'simple', text: 'OK' });
    await client.close();
    expect(replies.length).toBeLessThan(2);
  });

  it('asks again when a node takes no more connections', async () => {
    const replies = ['-ERR too many connections: this node takes 10000 at a time', ':7', '+OK', '+OK'];
    const client = new OnceClient({ addresses: [{ host: HOST, port: await nodeThatAnswers(replies) }] });
    expect(await client.write('SET', 'k', '1')).toEqual({ type: 'simple', text: 'OK' });
    await client.close();
  });

  it('hands on an error that asking again would not cure', async () => {
    const port = await nodeThatAnswers([':7', '-ERR not an integer', '+OK']);
    const client = new OnceClient({ addresses: [{ host: HOST, port }] });
    expect(await client.write('INCR', 'k')).toEqual({ type: 'error', text: 'ERR not an integer' });
    await client.close();
  });
});
