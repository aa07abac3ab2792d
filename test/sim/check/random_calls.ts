/** Small random histories of all kinds of operations, and the plainest judgement of them. */
import fc from 'fast-check';
import {
  agrees,
  type Call,
  compareKeys,
  type KeyOp,
  type Op,
  perform,
  type Result,
} from '../../../sim/check/model.ts';
import { partition } from '../../../sim/check/partition.ts';

const KEYS = ['a', 'b'];
const VALUES = ['1', '2', '12', 'x'];

const key = fc.constantFrom(...KEYS);
const value = fc.constantFrom(...VALUES);
const expected = fc.option(value, { nil: null });

const keyOp: fc.Arbitrary<KeyOp> = fc.oneof(
  fc.record({ type: fc.constant('read' as const), key }),
  fc.record({ type: fc.constant('write' as const), key, value }),
  fc.record({ type: fc.constant('cas' as const), key, expected, value }),
  fc.record({ type: fc.constant('append' as const), key, value }),
  fc.record({ type: fc.constant('delete' as const), key }),
  fc.record({ type: fc.constant('exists' as const), key }),
  fc.record({ type: fc.constant('increment' as const), key, by: fc.constantFrom(1, -1, 10) }),
  fc.record({ type: fc.constant('getset' as const), key, value }),
  fc.record({
    type: fc.constant('set-if' as const),
    key,
    value,
    when: fc.constantFrom('absent' as const, 'present' as const),
  }),
);

const joiningOp: fc.Arbitrary<Op> = fc.oneof(
  fc.record({ type: fc.constant('mget' as const), keys: fc.array(key, { maxLength: 2 }) }),
  fc.record({
    type: fc.constant('scan' as const),
    prefix: fc.constantFrom('', 'a', 'z'),
    from: fc.constantFrom(null, 'b'),
    to: fc.constantFrom(null, 'b'),
    limit: fc.constantFrom(null, 1, 2),
  }),
  fc.record({
    type: fc.constant('transaction' as const),
    guards: fc.array(fc.record({ key, expected }), { maxLength: 1 }),
    steps: fc.array(keyOp, { maxLength: 3 }),
  }),
);

type Fate = 'answered' | 'mute' | 'unknown' | 'never' | 'unanswered';

const USUAL: readonly Fate[] = [
  ...(['answered', 'answered', 'answered', 'answered', 'answered'] as const),
  ...(['mute', 'unknown', 'never', 'unanswered'] as const),
];
/** Most outcomes are unknown. */
export const DOUBTFUL: readonly Fate[] = ['answered', 'answered', 'unknown', 'unknown', 'unknown', 'never'];

/** Draws of one operation: when it is called, how long it takes, when it takes effect, and what becomes of its answer. */
function drawn(fates: readonly Fate[]) {
  return fc.record({
    op: fc.oneof({ weight: 3, arbitrary: keyOp }, { weight: 1, arbitrary: joiningOp }),
    process: fc.integer({ min: 0, max: 2 }),
    call: fc.nat(24),
    takes: fc.nat(7),
    effect: fc.nat(8),
    fate: fc.constantFrom(...fates),
  });
}

/** Histories whose answers come from one store, but for one answer in some of them. */
export function smallHistories(lengthMax: number, fates: readonly Fate[] = USUAL): fc.Arbitrary<Call[]> {
  const place = fc.nat(lengthMax - 1);
  const victim = fc.option(fc.record({ at: place, by: place }), { freq: 4, nil: null });
  return fc.tuple(fc.array(drawn(fates), { maxLength: lengthMax }), victim).map(([draws, falsified]) => {
    const store = new MapStore();
    const order = draws.map((draw, id) => ({
      ...draw,
      id,
      at: draw.call + effectOf(draw),
    }));
    const answers: Result[] = [];
    for (const { op, id, fate } of order.sort((a, b) => a.at - b.at)) {
      answers[id] = fate === 'never' ? { type: 'unknown' } : perform(op, store);
    }
    const victim = falsified === null ? undefined : draws[falsified.at % draws.length];
    if (falsified !== null && victim !== undefined) {
      const at = draws.indexOf(victim);
      answers[at] = falsify(victim.op, answers[at], falsified.by);
    }
    return draws.map(({ op, process, call, takes, fate }, id): Call => {
      const base = { id, process, op, call };
      if (fate === 'unknown' || fate === 'never')
        return { ...base, return: null, result: { type: 'unknown' } };
      if (fate === 'unanswered') return { ...base, return: call + takes, result: { type: 'unknown' } };
      const result: Result = fate === 'mute' && op.type === 'delete' ? { type: 'ok' } : answers[id];
      return { ...base, return: call + takes, result };
    });
  });
}

/** Unknown operations may take effect long after. */
function effectOf({ fate, effect, takes }: { fate: Fate; effect: number; takes: number }): number {
  return fate === 'unknown' ? effect * 3 : Math.min(effect, takes);
}

/** Gives one operation another answer than it had. */
function falsify(op: Op, answer: Result, by: number): Result {
  if (op.type === 'cas' || op.type === 'set-if') return { type: answer.type === 'ok' ? 'fail' : 'ok' };
  if (answer.type !== 'ok') return answer;
  const { value: was } = answer;
  if (typeof was === 'boolean') return { type: 'ok', value: !was };
  if (typeof was === 'number') return { type: 'ok', value: was + 1 };
  if (op.type === 'read' || op.type === 'getset') return { type: 'ok', value: VALUES[by % VALUES.length] };
  if (op.type === 'mget')
    return { type: 'ok', value: op.keys.map((_key, at) => VALUES[(by + at) % VALUES.length]) };
  if (op.type === 'scan') return { type: 'ok', value: [['a', VALUES[by % VALUES.length]]] };
  return op.type === 'transaction' ? { type: 'fail' } : answer;
}

export class MapStore {
  readonly #map: Map<string, string>;

  constructor(map: ReadonlyMap<string, string> = new Map()) {
    this.#map = new Map(map);
  }

  get(one: string): string | null {
    return this.#map.get(one) ?? null;
  }

  set(one: string, to: string | null): void {
    if (to === null) this.#map.delete(one);
    else this.#map.set(one, to);
  }

  keys(): Iterable<string> {
    return [...this.#map.keys()].sort(compareKeys);
  }

  copy(): MapStore {
    return new MapStore(this.#map);
  }
}

/** Tries every order that real time allows, with every subset of the operations of unknown outcome. */
export function someOrderExplains(calls: readonly Call[], order: 'real-time' | 'program'): boolean {
  if (order === 'real-time') return explains(calls, new MapStore(), order);
  // The order of a program is promised part by part.
  return partition(calls).every((part) => explains(part.calls, new MapStore(), order));
}

function explains(open: readonly Call[], store: MapStore, order: 'real-time' | 'program'): boolean {
  if (open.every((call) => call.return === null)) return true;
  for (const next of open) {
    if (open.some((other) => other !== next && mustPrecede(other, next, order))) continue;
    const after = store.copy();
    if (!agrees(perform(next.op, after), next.result)) continue;
    if (
      explains(
        open.filter((other) => other !== next),
        after,
        order,
      )
    ) {
      return true;
    }
  }
  return false;
}

function mustPrecede(one: Call, other: Call, order: 'real-time' | 'program'): boolean {
  if (one.return === null) return false;
  if (one.return < other.call) return true;
  if (order === 'real-time' || one.process !== other.process || other.return === null) return false;
  return one.call < other.call || (one.call === other.call && one.id < other.id);
}
