/** A campaign of an hour runs thousands of worlds in one thread: none may be kept alive by what came after it. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { World } from '../../sim/world.ts';

const STORM_MS = 500;
const SEEDS = ['1', '2'];

function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

function runAndForget(seed: string): WeakRef<World> {
  const world = new World(seed, null, null);
  world.run(STORM_MS);
  return new WeakRef(world);
}

describe('memory', () => {
  it('holds no world that has been run, with its disks and its history', async () => {
    const collect = collector();
    const worlds = SEEDS.map(runAndForget);
    // What a WeakRef was made of stays until the turn is over.
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    expect(worlds.filter((world) => world.deref() !== undefined)).toHaveLength(0);
  }, 120_000);
});
