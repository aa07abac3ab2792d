import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { drawOptions, NO_FAULTS, type WorldOptions } from '../../sim/options.ts';
import { optionsProblem } from '../../sim/options_shape.ts';
import { SimRandom } from '../../sim/random.ts';

/** As many as a short campaign runs. */
const SEEDS = 1500;
const drawn = Array.from({ length: SEEDS }, (_none, seed) =>
  drawOptions(new SimRandom(String(seed)).fork('options')),
);

/** Each option with all its values, by its path. */
function valuesByPath(): Map<string, Set<unknown>> {
  const values = new Map<string, Set<unknown>>();
  const visit = (value: unknown, path: string): void => {
    if (typeof value === 'object' && value !== null) {
      for (const [name, part] of Object.entries(value))
        visit(part, `${path}${path === '' ? '' : '.'}${name}`);
      return;
    }
    if (!values.has(path)) values.set(path, new Set());
    values.get(path)?.add(value);
  };
  for (const options of drawn) visit(options, '');
  return values;
}

function share(holds: (options: WorldOptions) => boolean): number {
  return drawn.filter(holds).length / SEEDS;
}

describe('what a seed draws', () => {
  it('varies in every option of every layer', () => {
    const constant = [...valuesByPath()].filter(([, values]) => values.size < 2).map(([path]) => path);
    expect(constant).toEqual([]);
  });

  it('is a cluster of one to seven nodes, most often of three', () => {
    const sizes = new Set(drawn.map(({ nodes }) => nodes));
    expect([...sizes].sort()).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(share(({ nodes }) => nodes === 3)).toBeGreaterThan(0.4);
  });

  it('is what a scenario may hold', () => {
    expect(drawn.map(optionsProblem).filter((problem) => problem !== null)).toEqual([]);
  });

  it('has each class of faults on in some runs and off in others', () => {
    for (const name of Object.keys(NO_FAULTS) as (keyof typeof NO_FAULTS)[]) {
      const on = share(({ faults }) => faults[name] > 0);
      expect(on, name).toBeGreaterThan(0.05);
      expect(on, name).toBeLessThan(0.7);
    }
  });

  it('has each class of requests in some runs and not in others', () => {
    for (const [name, values] of valuesByPath()) {
      if (!/^workload\.\w+Permille$/.test(name) || name === 'workload.setPermille') continue;
      expect([name, values.has(0)]).toEqual([name, true]);
      expect(values.size, name).toBeGreaterThan(2);
    }
  });

  it('widens each rare path that the sources hold in some runs, and names no other', () => {
    const inSources = new Set<string>();
    for (const path of readdirSync('src', { recursive: true, encoding: 'utf8' })) {
      if (!path.endsWith('.ts')) continue;
      for (const [, name] of readFileSync(`src/${path}`, 'utf8').matchAll(/\bmaybe\('([^']+)'\)/g))
        inSources.add(name);
    }
    const widened = new Set(drawn.flatMap(({ maybes }) => Object.keys(maybes)));
    expect([...widened].sort()).toEqual([...inSources].sort());
  });

  it('keeps the drift of clocks within the bound that it declares, and goes beyond where it declares none', () => {
    for (const { tuning, surroundings, faults } of drawn) {
      if (tuning.clockDriftPpmMax === null) continue;
      expect(surroundings.clockDriftPpm).toBeLessThanOrEqual(tuning.clockDriftPpmMax);
      expect(faults.driftEveryMs + faults.freezeEveryMs + faults.frozenLeaderEveryMs).toBe(0);
    }
    expect(share(({ tuning }) => tuning.clockDriftPpmMax !== null)).toBeGreaterThan(0.2);
    expect(share(({ faults }) => faults.driftEveryMs > 0)).toBeGreaterThan(0.1);
  });
});
