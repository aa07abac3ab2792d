/**
 * A counter service of one machine, as somebody might write it who wants to try it in a lab: `+` on a connection adds
 * one, `?` asks; both are answered with a line that holds the count. Each addition is a byte in a file.
 *
 * It has a bug, if `acknowledge` is 'when-written': it answers before the byte is durable.
 */
import type { AppendFile, Connection, Disk } from '../../../sim/index.ts';
import {
  type ClientEnvironment,
  type LabOptions,
  type LabResult,
  type MachineEnvironment,
  runLab,
} from '../../../sim/index.ts';

type Acknowledge = 'when-durable' | 'when-written';

const PORT = 7000;
const ADDRESS = { host: 'machine1', port: PORT };
const PLUS = 0x2b;

class CounterService {
  readonly #file: AppendFile;
  readonly #acknowledge: Acknowledge;
  #durable: number;

  constructor(file: AppendFile, acknowledge: Acknowledge) {
    this.#file = file;
    this.#acknowledge = acknowledge;
    this.#durable = file.position;
  }

  onByte(connection: Connection, byte: number): void {
    if (byte !== PLUS) {
      answer(connection, this.#acknowledge === 'when-written' ? this.#file.position : this.#durable);
      return;
    }
    this.#file.append(new Uint8Array([PLUS]));
    const count = this.#file.position;
    if (this.#acknowledge === 'when-written') answer(connection, count);
    this.#file.sync((error) => {
      if (error !== null) throw error;
      this.#durable = Math.max(this.#durable, count);
      if (this.#acknowledge === 'when-durable') answer(connection, count);
    });
  }
}

function answer(connection: Connection, count: number): void {
  connection.write(new TextEncoder().encode(`${count}\n`));
}

function startCounter({ disk, network }: MachineEnvironment, acknowledge: Acknowledge): void {
  openFile(disk, (file) => {
    const service = new CounterService(file, acknowledge);
    network.listen(
      { host: 'machine1', port: PORT },
      (connection) => {
        connection.handler = {
          onData: (bytes) => {
            for (const byte of bytes) service.onByte(connection, byte);
          },
          onClose: () => {},
        };
      },
      (error) => {
        throw error;
      },
    );
  });
}

/** What is found after a crash may be in the system's memory only, name and bytes: it is synced before it is counted. */
function openFile(disk: Disk, done: (file: AppendFile) => void): void {
  disk.makeDirectory('/counter');
  const path = '/counter/additions';
  const file = disk.exists(path) ? disk.openAppend(path, disk.open(path).size) : disk.create(path);
  file.sync(() => disk.syncDirectory('/counter', () => done(file)));
}

/** A client that adds, one at a time, and notes what was acknowledged; at the end it asks. */
class Adder {
  readonly #environment: ClientEnvironment;
  acknowledged = 0;
  /** The last answer to `?`, after the storm. */
  final: number | null = null;

  constructor(environment: ClientEnvironment) {
    this.#environment = environment;
  }

  start(): void {
    const { network, clock, isOver } = this.#environment;
    let line = '';
    const ask = (): boolean => connection.write(new TextEncoder().encode(isOver() ? '?' : '+'));
    const connection = network.connect(ADDRESS, {
      onOpen: ask,
      onData: (bytes) => {
        // A stream has no borders: a line may come in pieces.
        line += new TextDecoder().decode(bytes);
        if (!line.endsWith('\n')) return;
        if (isOver()) this.final = Number(line);
        else this.acknowledged++;
        line = '';
        clock.after(5, ask);
      },
      onEnd: () => connection.destroy(),
      onClose: () => clock.after(50, () => this.start()),
    });
    // A machine that lost its power does not say goodbye.
    clock.after(1000, () => connection.destroy());
  }
}

/** Runs the service under crashes; every acknowledged addition must be counted at the end. */
export function runCounter(seed: string, acknowledge: Acknowledge): LabResult {
  const adders: Adder[] = [];
  const options: LabOptions = {
    seed,
    machines: 1,
    clients: 2,
    startMachine: (environment) => startCounter(environment, acknowledge),
    startClient: (environment) => {
      const adder = new Adder(environment);
      adders.push(adder);
      adder.start();
    },
    faults: { crashEveryMs: 500, pauseEveryMs: 2000 },
    stormMs: 5000,
    calmMs: 5000,
    check: () => {
      const acknowledged = adders.reduce((sum, adder) => sum + adder.acknowledged, 0);
      const counted = Math.max(...adders.map(({ final }) => final ?? -1));
      if (counted < 0) return 'the service does not answer after the storm';
      return counted < acknowledged
        ? `${acknowledged} additions were acknowledged, ${counted} are counted`
        : null;
    },
  };
  return runLab(options);
}
