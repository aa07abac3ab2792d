/** Numbered writes under crashes: repeated until they are answered, each counts once. */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../sim/random.ts';
import { ServerRig, type TestClient } from './rig.ts';

const NODES = 3;
/** Short of what a write takes, so that crashes come in the middle of one. */
const STEP_MS = 0.25;
/** Without an answer for so long a client turns to another node. */
const PATIENCE_MS = 1500;
const WRITES = 60;

class Incrementer {
  readonly answers: number[] = [];
  readonly #rig: ServerRig;
  readonly #random: SimRandom;
  #client: TestClient | null = null;
  #session: string | null = null;
  #received = '';
  #askedAtMs = 0;
  repetitions = 0;

  constructor(rig: ServerRig, random: SimRandom) {
    this.#rig = rig;
    this.#random = random;
  }

  get isDone(): boolean {
    return this.answers.length === WRITES;
  }

  step(nowMs: number): void {
    if (this.isDone) return;
    this.#received += this.#client?.take() ?? '';
    const [line, rest] = this.#received.split('\r\n', 2);
    if (rest !== undefined && line !== undefined) this.#onAnswer(line, nowMs);
    else if (this.#client === null || this.#client.isClosed || nowMs - this.#askedAtMs > PATIENCE_MS) {
      this.#turnElsewhere(nowMs);
    }
  }

  #onAnswer(line: string, nowMs: number): void {
    this.#received = '';
    if (line.startsWith(':')) {
      if (this.#session === null) this.#session = line.slice(1);
      else this.answers.push(Number(line.slice(1)));
      if (!this.isDone) this.#ask(nowMs);
      return;
    }
    // No leader, or an unknown outcome: the same number again will tell.
    expect(line).toMatch(/^-ERR (no leader|unknown outcome|the node is stopping)/);
    this.#turnElsewhere(nowMs);
  }

  #turnElsewhere(nowMs: number): void {
    if (this.#client !== null) this.repetitions++;
    this.#client?.end();
    this.#client = this.#rig.connect(1 + this.#random.below(NODES));
    this.#received = '';
    this.#ask(nowMs);
  }

  #ask(nowMs: number): void {
    this.#askedAtMs = nowMs;
    this.#client?.send(
      this.#session === null
        ? 'SESSION OPEN\n'
        : `SESSION DO ${this.#session} ${this.answers.length + 1} INCR count\n`,
    );
  }
}

describe('numbered writes', () => {
  for (const seed of ['a']) {
    it(`count once each, although nodes crash while they are under way (${seed})`, () => {
      const random = new SimRandom(`exactly once ${seed}`);
      const rig = new ServerRig(NODES);
      rig.leader();
      const clients = [1, 2, 3, 4].map((n) => new Incrementer(rig, random.fork(`client ${n}`)));
      let nowMs = 0;
      let down: number | null = null;
      for (let steps = 0; steps < 200_000 && clients.some((client) => !client.isDone); steps++) {
        for (const client of clients) client.step(nowMs);
        if (down === null && random.below(100) === 0) {
          // The leader, more often than not: that is where writes are under way.
          const leader = rig.machines.find(({ node }) => node?.replica.isLeader === true)?.id;
          down = leader !== undefined && random.below(4) > 0 ? leader : 1 + random.below(NODES);
          rig.crash(down);
        } else if (down !== null && random.below(1500) === 0) {
          rig.boot(down);
          down = null;
        }
        rig.run(STEP_MS);
        nowMs += STEP_MS;
      }
      const answers = clients.flatMap((client) => client.answers);
      expect(clients.reduce((sum, client) => sum + client.repetitions, 0)).toBeGreaterThan(0);
      expect([...answers].sort((x, y) => x - y)).toEqual(
        Array.from({ length: answers.length }, (_none, at) => at + 1),
      );
      expect(answers).toHaveLength(clients.length * WRITES);
    });
  }
});
