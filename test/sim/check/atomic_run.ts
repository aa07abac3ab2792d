/** Histories of many processes at one store: each operation takes effect at a moment between its call and its return. */
import { type Call, type KeyOp, perform, type Result } from '../../../sim/check/model.ts';
import { SimRandom } from '../../../sim/random.ts';
import { MapStore } from './random_calls.ts';

export interface Mix {
  readonly operations: number;
  readonly processes: number;
  readonly keys: number;
  /** Of a thousand operations, how many are of the kind; the rest are reads. */
  readonly permille: {
    readonly write: number;
    readonly cas: number;
    readonly append: number;
    readonly delete: number;
  };
  /** Of a thousand operations, how many are never answered; half of those take effect. */
  readonly unknownPermille: number;
}

const REGISTERS = { write: 250, cas: 150, append: 0, delete: 30 };
const LISTS = { write: 20, cas: 30, append: 450, delete: 20 };
const MIXED = { write: 150, cas: 150, append: 150, delete: 30 };

export const MIXES = { registers: REGISTERS, lists: LISTS, mixed: MIXED };

/** A latency in microseconds: some milliseconds, with a long tail. */
function latency(random: SimRandom): number {
  return random.chance(30) ? random.between(20_000, 200_000) : random.between(500, 8000);
}

interface Planned {
  readonly process: number;
  readonly call: number;
  readonly at: number;
  readonly return: number;
}

/** By time of effect. */
function plan({ operations, processes }: Mix, random: SimRandom): Planned[] {
  const planned: Planned[] = [];
  const freeAt = Array.from({ length: processes }, () => random.between(0, 5000));
  for (let n = 0; n < operations; n++) {
    const process = freeAt.indexOf(Math.min(...freeAt));
    const call = freeAt[process] + random.between(0, 2000);
    const takes = latency(random);
    planned.push({ process, call, at: call + random.between(0, takes), return: call + takes });
    freeAt[process] = call + takes + 1;
  }
  return planned.sort((a, b) => a.at - b.at);
}

export function atomicRun(mix: Mix, seed: string): Call[] {
  const random = new SimRandom(seed);
  const store = new MapStore();
  return plan(mix, random).map(({ process, call, return: returned }, id): Call => {
    const op = drawOp(mix, random, store, id);
    const isUnknown = random.chance(mix.unknownPermille);
    const result: Result = isUnknown && random.chance(500) ? { type: 'unknown' } : perform(op, store);
    if (isUnknown) return { id, process, call, return: null, op, result: { type: 'unknown' } };
    return { id, process, call, return: returned, op, result };
  });
}

function drawOp({ keys, permille }: Mix, random: SimRandom, store: MapStore, id: number): KeyOp {
  const key = `k${random.between(0, keys - 1)}`;
  const value = `v${id}.`;
  let draw = random.between(0, 999);
  if (draw < permille.write) return { type: 'write', key, value };
  draw -= permille.write;
  // Most compare with what is there, some with what is not.
  if (draw < permille.cas) {
    return { type: 'cas', key, expected: random.chance(700) ? store.get(key) : 'v1.', value };
  }
  draw -= permille.cas;
  if (draw < permille.append) return { type: 'append', key, value };
  draw -= permille.append;
  return draw < permille.delete ? { type: 'delete', key } : { type: 'read', key };
}

/** Gives a read of the middle of a history, or of its end, the answer that the same key gave long before. */
export function falsified(calls: readonly Call[], where: 'middle' | 'end'): Call[] {
  const reads = calls.filter(
    (call) => call.op.type === 'read' && call.return !== null && isText(call.result),
  );
  const victim = reads[where === 'middle' ? reads.length >> 1 : reads.length - 1];
  const key = keyOf(victim);
  const old = reads.find((call) => keyOf(call) === key && !sameAnswer(call, victim));
  if (old === undefined) throw new Error('the key was read twice, with different answers');
  return calls.map((call) => (call === victim ? { ...call, result: old.result } : call));
}

function isText(result: Result): boolean {
  return result.type === 'ok' && typeof result.value === 'string';
}

function keyOf({ op }: Call): string {
  return op.type === 'read' ? op.key : '';
}

function sameAnswer(one: Call, other: Call): boolean {
  return JSON.stringify(one.result) === JSON.stringify(other.result);
}
