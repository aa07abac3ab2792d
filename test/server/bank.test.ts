/** Transfers between accounts, by WATCH and MULTI and by TXN, while nodes crash: no money is made or lost, ever. */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../sim/random.ts';
import { ServerRig, type TestClient } from './rig.ts';

const NODES = 3;
const ACCOUNTS = ['account:0', 'account:1', 'account:2', 'account:3'];
const START = 100;
const STEP_MS = 0.25;
const PATIENCE_MS = 1500;

type State = 'idle' | 'watched' | 'asked' | 'reading';

/** Transfers on and on; every now and then it reads all accounts at once. */
class Banker {
  transfers = 0;
  lost = 0;
  readonly sums: number[] = [];
  readonly #rig: ServerRig;
  readonly #random: SimRandom;
  #client: TestClient | null = null;
  #received = '';
  #state: State = 'idle';
  #askedAtMs = 0;
  #from = '';
  #to = '';

  constructor(rig: ServerRig, random: SimRandom) {
    this.#rig = rig;
    this.#random = random;
  }

  step(nowMs: number): void {
    this.#received += this.#client?.take() ?? '';
    if (this.#client === null || this.#client.isClosed || nowMs - this.#askedAtMs > PATIENCE_MS) {
      this.#client?.end();
      this.#client = this.#rig.connect(1 + this.#random.below(NODES));
      this.#begin(nowMs);
      return;
    }
    const lines = this.#received.split('\r\n');
    if (lines.length < 2) return;
    if (lines.some((line) => /^-ERR (no leader|unknown outcome)/.test(line))) {
      // What became of it nobody knows; a new connection begins with no watches and no queue.
      this.#client.end();
      this.#client = null;
      return;
    }
    this.#onLines(lines, nowMs);
  }

  #onLines(lines: readonly string[], nowMs: number): void {
    const done = lines.length - 1;
    switch (this.#state) {
      case 'reading':
        if (done < 1 + 2 * ACCOUNTS.length) return;
        this.sums.push([2, 4, 6, 8].reduce((sum, at) => sum + Number(lines[at]), 0));
        this.#begin(nowMs);
        return;
      case 'watched': {
        // +OK, then two values.
        if (done < 6) return;
        const [, , , from, , to] = lines;
        const amount = 1 + this.#random.below(20);
        this.#ask(
          'asked',
          nowMs,
          `MULTI\nSET ${this.#from} ${Number(from) - amount}\nSET ${this.#to} ${Number(to) + amount}\nEXEC\n`,
        );
        return;
      }
      case 'asked':
        if (lines[0] === '*2') {
          if (done >= (lines[1] === ':1' ? 5 : 3)) this.#count(lines[1] === ':1', nowMs);
        } else if (lines[3] === '*-1' && done >= 4) this.#count(false, nowMs);
        else if (done >= 6) this.#count(lines[3] === '*2', nowMs);
        return;
      case 'idle':
        throw new Error(`an answer to nothing: ${lines.join(' ')}`);
    }
  }

  #count(isDone: boolean, nowMs: number): void {
    if (isDone) this.transfers++;
    else this.lost++;
    this.#begin(nowMs);
  }

  #begin(nowMs: number): void {
    const from = this.#random.below(ACCOUNTS.length);
    this.#from = ACCOUNTS[from] ?? '';
    this.#to = ACCOUNTS[(from + 1 + this.#random.below(ACCOUNTS.length - 1)) % ACCOUNTS.length] ?? '';
    const kind = this.#random.below(3);
    if (kind === 0) this.#ask('reading', nowMs, `MGET ${ACCOUNTS.join(' ')}\n`);
    else if (kind === 1) {
      this.#ask('watched', nowMs, `WATCH ${this.#from} ${this.#to}\nMGET ${this.#from} ${this.#to}\n`);
    } else {
      const amount = 1 + this.#random.below(20);
      this.#ask(
        'asked',
        nowMs,
        `TXN IF EXISTS ${this.#from} AND EXISTS ${this.#to} THEN 3 DECRBY ${this.#from} ${amount} 3 INCRBY ${this.#to} ${amount}\n`,
      );
    }
  }

  #ask(state: State, nowMs: number, text: string): void {
    this.#state = state;
    this.#received = '';
    this.#askedAtMs = nowMs;
    this.#client?.send(text);
  }
}

describe('transfers', () => {
  for (const seed of ['a']) {
    it(`make and lose no money while nodes crash (${seed})`, () => {
      const random = new SimRandom(`bank ${seed}`);
      const rig = new ServerRig(NODES);
      rig.leader();
      rig.connect(1).ask(`MSET ${ACCOUNTS.map((account) => `${account} ${START}`).join(' ')}\n`);
      const bankers = [1, 2, 3, 4].map((n) => new Banker(rig, random.fork(`banker ${n}`)));
      let down: number | null = null;
      let crashes = 0;
      for (let step = 0; step < 15_000 && (crashes < 4 || step < 4000); step++) {
        for (const banker of bankers) banker.step(step * STEP_MS);
        if (down === null && random.below(300) === 0) {
          const leader = rig.machines.find(({ node }) => node?.replica.isLeader === true)?.id;
          down = leader !== undefined && random.below(4) > 0 ? leader : 1 + random.below(NODES);
          rig.crash(down);
          crashes++;
        } else if (down !== null && random.below(1500) === 0) {
          rig.boot(down);
          down = null;
        }
        rig.run(STEP_MS);
      }
      const sums = bankers.flatMap((banker) => banker.sums);
      expect(sums.filter((sum) => sum !== START * ACCOUNTS.length)).toEqual([]);
      expect(sums.length).toBeGreaterThan(30);
      expect(bankers.reduce((sum, { transfers }) => sum + transfers, 0)).toBeGreaterThan(30);
      // Watches have been in each other's way.
      expect(bankers.reduce((sum, { lost }) => sum + lost, 0)).toBeGreaterThan(3);
    });
  }
});
