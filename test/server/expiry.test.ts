/** Expiry where the nodes' clocks disagree by seconds and leadership moves between them. */
import { describe, expect, it } from 'vitest';
import { SimRandom } from '../../sim/random.ts';
import { ServerRig } from './rig.ts';

const KEYS = 60;
/** One key after the other. */
const APART_MS = 60;
const NAMES = Array.from({ length: KEYS }, (_none, n) => `key${n}`);

/** Which of the keys an MGET has found. */
/** An error, or a line for each key and one more for each that is there: the network cuts answers anywhere. */
function isWhole(answer: string): boolean {
  if (!answer.endsWith('\r\n')) return false;
  const lines = answer.split('\r\n');
  return answer.startsWith('-') || lines.filter((line) => line.startsWith('$')).length === KEYS;
}

function found(answer: string): boolean[] {
  const lines = answer.split('\r\n');
  const there: boolean[] = [];
  for (let line = 1; there.length < KEYS; line += there.at(-1) === true ? 2 : 1) {
    if (!lines[line]?.startsWith('$')) throw new Error(`the answer is cut short: ${JSON.stringify(answer)}`);
    there.push(lines[line] !== '$-1');
  }
  return there;
}

describe('a key that expires', () => {
  for (const [at, offsets] of [
    [0, 1000, -1000],
    [-500, 500, 0],
  ].entries()) {
    it(`is gone for good once it was seen gone, on clocks that are off by ${offsets.join(', ')} ms`, () => {
      const random = new SimRandom(`expiry ${at}`);
      const rig = new ServerRig(3, {}, offsets);
      rig.leader();
      rig.run(200);
      const setter = rig.connect(1);
      for (const [n, name] of NAMES.entries()) setter.send(`PSETEX ${name} ${500 + APART_MS * n} v\n`);
      rig.run(300);
      expect(setter.take()).toBe('+OK\r\n'.repeat(KEYS));
      const gone = new Set<number>();
      let crashes = 0;
      for (let asked = 0; asked < 3000 && gone.size < KEYS; asked++) {
        const leader = rig.leader();
        const client = rig.connect(leader);
        let answer = client.ask(`MGET ${NAMES.join(' ')}\n`, 1);
        for (let waited = 0; waited < 500 && !isWhole(answer); waited++) answer += client.ask('', 0.5);
        client.end();
        if (!answer.startsWith(`*${KEYS}\r\n`) || !isWhole(answer)) continue;
        const before = gone.size;
        for (const [n, isThere] of found(answer).entries()) {
          expect([n, isThere && gone.has(n)]).toEqual([n, false]);
          if (!isThere) gone.add(n);
        }
        // At once: what the answer rests on must be known to a majority already.
        if (gone.size > before && random.below(4) === 0) {
          rig.crash(leader);
          rig.leader();
          rig.boot(leader);
          crashes++;
        }
        rig.run(random.below(20));
      }
      expect(crashes).toBeGreaterThan(1);
      expect(gone.size).toBe(KEYS);
    });
  }
});
