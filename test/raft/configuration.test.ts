import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Configuration,
  configurationOf,
  decodeConfiguration,
  encodeConfiguration,
  foundingConfiguration,
} from '../../src/raft/configuration.ts';
import { changeOf, firstStepTo, lastStepOf } from '../../src/raft/membership_change.ts';

const roles = fc.array(fc.constantFrom('voter', 'outgoing', 'both', 'learner', 'none'), { maxLength: 12 });

const configurations: fc.Arbitrary<Configuration> = fc
  .tuple(roles, fc.nat(2 ** 40), fc.webAuthority({ withPort: true }))
  .map(([list, identity, address]) => {
    const ids = list.map((_role, at) => at + 1);
    const of = (...wanted: string[]) => ids.filter((id) => wanted.includes(list[id - 1] ?? 'none'));
    return configurationOf(
      ids.length + 3,
      ids.map((id) => ({ id, address: `${address}${id}`.slice(0, 250), identity: identity + id })),
      { voters: of('voter', 'both'), outgoing: of('outgoing', 'both'), learners: of('learner') },
    );
  });

const three = foundingConfiguration([1, 2, 3].map((id) => ({ id, address: `n${id}:1`, identity: 0 })));

describe('a configuration', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(configurations, (configuration) => {
        expect(decodeConfiguration(encodeConfiguration(configuration))).toEqual(configuration);
      }),
    );
  });

  it('is refused when it is cut short or lengthened', () => {
    fc.assert(
      fc.property(configurations, fc.nat(), (configuration, at) => {
        const bytes = encodeConfiguration(configuration);
        const cut = bytes.subarray(0, at % bytes.length);
        expect(() => decodeConfiguration(cut)).toThrow('a configuration is malformed');
        expect(() => decodeConfiguration(Uint8Array.of(...bytes, 1))).toThrow('a configuration is malformed');
      }),
    );
  });
});

describe('a change', () => {
  it('gives a new node a number that none ever had', () => {
    const four = changeOf(three, { type: 'add', address: 'n4:1', identity: 7 });
    if (four.type !== 'change') throw new Error(four.type);
    const without = changeOf(four.target, { type: 'remove', id: 4 });
    if (without.type !== 'change') throw new Error(without.type);
    expect(without.target.members).toEqual(three.members);
    expect(changeOf(without.target, { type: 'add', address: 'n4:1', identity: 8 })).toMatchObject({ id: 5 });
  });

  it('takes the same node under the same identity once, and no other under its address', () => {
    const add = { type: 'add', address: 'n4:1', identity: 7 } as const;
    const four = changeOf(three, add);
    if (four.type !== 'change') throw new Error(four.type);
    expect(changeOf(four.target, add)).toEqual({ type: 'none', id: 4 });
    expect(changeOf(four.target, { ...add, identity: 8 })).toEqual({
      type: 'invalid',
      why: 'n4:1 is node 4 already, with another data directory: remove node 4 first',
    });
  });

  it('keeps the last voter', () => {
    const one = foundingConfiguration([{ id: 1, address: 'n1:1', identity: 0 }]);
    expect(changeOf(one, { type: 'remove', id: 1 })).toEqual({
      type: 'invalid',
      why: 'node 1 is the only voter',
    });
  });

  it('of the voters goes through both halves, and keeps the address of who leaves until it has left', () => {
    const change = changeOf(three, { type: 'remove', id: 2 });
    if (change.type !== 'change') throw new Error(change.type);
    const joint = firstStepTo(change.target, three);
    expect(joint).toEqual({
      lastId: 3,
      members: three.members,
      voters: [1, 3],
      outgoing: [1, 2, 3],
      learners: [],
    });
    expect(lastStepOf(joint)).toEqual(change.target);
  });
});
