import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface LockedPackage {
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
  readonly integrity?: string;
}

/** Whether Node finds `name` from the package at `from`: in it, or in a folder above. */
function isFound(packages: Record<string, LockedPackage>, from: string, name: string): boolean {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('node_modules/') - 1))) {
    if (packages[`${folder && `${folder}/`}node_modules/${name}`] !== undefined) return true;
    if (folder === '') return false;
  }
}

describe('the lock file', () => {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockedPackage>;
  };

  it('names every package, those of other platforms too, or npm ci refuses to install any', () => {
    const missing: string[] = [];
    for (const [from, locked] of Object.entries(packages)) {
      const needed = { ...locked.dependencies, ...locked.devDependencies, ...locked.optionalDependencies };
      for (const name of Object.keys(needed)) {
        if (!isFound(packages, from, name)) missing.push(`${name}, which ${from || 'the project'} names`);
      }
    }
    expect(Object.keys(packages).length).toBeGreaterThan(50);
    expect(missing).toEqual([]);
  });

  it('has a checksum of each', () => {
    const unchecked = Object.entries(packages).filter(([path, { integrity }]) => path !== '' && !integrity);
    expect(unchecked.map(([path]) => path)).toEqual([]);
  });

  it('has no address of a registry', () => {
    expect(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')).not.toMatch(
      /"resolved"|https?:\/\/registry/,
    );
  });
});
