/**
 * The floor: what a replicated write costs without consensus, engine, or parsing beyond a frame. The primary appends what
 * clients send, copies it to two followers, and answers a write when it is durable here and at one of them: two copies,
 * as a majority of three. One write and one sync per batch on each node, one frame per follower and turn, replies of a
 * turn together.
 *
 * `main.ts follower PORT FILE` or `main.ts primary PORT FILE FOLLOWER_PORT FOLLOWER_PORT`
 */
import { connect, createServer, type Socket } from 'node:net';
import { FrameCutter, frame } from './frames.ts';
import { Journal } from './journal.ts';

const HOST = '127.0.0.1';
const OK = Buffer.from('+OK\r\n');
const [role, port, file, ...followerPorts] = process.argv.slice(2);

if (role === 'follower') follower(Number(port), String(file));
else primary(Number(port), String(file), followerPorts.map(Number));

function follower(listenPort: number, path: string): void {
  let received = 0;
  let upstream: Socket | null = null;
  const journal = new Journal(path, (upTo) => {
    const acknowledgement = Buffer.alloc(4);
    acknowledgement.writeUInt32LE(upTo);
    upstream?.write(acknowledgement);
  });
  createServer({ noDelay: true }, (socket) => {
    upstream = socket;
    const cutter = new FrameCutter();
    socket.on('data', (bytes) => {
      cutter.push(bytes, (batch) => journal.append(batch, ++received));
      journal.flush();
    });
    socket.on('error', () => {});
  }).listen(listenPort, HOST, () => process.stdout.write('ready\n'));
}

function primary(listenPort: number, path: string, followers: number[]): void {
  /** Clients that wait for a batch, oldest first, from batch `firstWaiting` on. */
  let waiting: Socket[][] = [];
  let firstWaiting = 1;
  let batches = 0;
  let synced = 0;
  const copied = followers.map(() => 0);
  let gathered: Buffer[] = [];
  let askers: Socket[] = [];
  let turnIsPlanned = false;

  const answer = (): void => {
    const done = Math.min(synced, Math.max(...copied));
    let answered = 0;
    for (; firstWaiting + answered <= done; answered++)
      for (const socket of waiting[answered] ?? []) socket.write(OK);
    if (answered > 0) {
      waiting = waiting.slice(answered);
      firstWaiting += answered;
    }
  };
  const journal = new Journal(path, (upTo) => {
    synced = upTo;
    answer();
  });
  const links = followers.map((followerPort, at) => {
    const link = connect({ host: HOST, port: followerPort, noDelay: true });
    link.on('data', (bytes) => {
      // Whole acknowledgements: they are far smaller than a segment, and only the last counts.
      copied[at] = bytes.readUInt32LE(bytes.length - 4);
      answer();
    });
    return link;
  });
  const turn = (): void => {
    turnIsPlanned = false;
    const batch = frame(Buffer.concat(gathered));
    gathered = [];
    waiting.push(askers);
    askers = [];
    batches++;
    for (const link of links) link.write(batch);
    journal.append(batch, batches);
    journal.flush();
  };
  createServer({ noDelay: true }, (socket) => {
    const cutter = new FrameCutter();
    socket.on('data', (bytes) => {
      cutter.push(bytes, (request) => {
        gathered.push(request);
        askers.push(socket);
        if (!turnIsPlanned) setImmediate(turn);
        turnIsPlanned = true;
      });
    });
    socket.on('error', () => {});
  }).listen(listenPort, HOST, () => process.stdout.write('ready\n'));
}
