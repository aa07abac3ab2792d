/**
 * Marks for the simulator inside the production code.
 *
 * `sometimes(name)` says: a good test reaches this place. A campaign counts which marks its runs reached; one that goes
 * dark is a hole in the tests, however green they are. `maybe(name)` says: here the code may take the rarer of two
 * ways that are both right; a run may widen a race by taking it often. (The idea is FoundationDB's BUGGIFY and TEST;
 * Zhou et al., SIGMOD 2021, section 4.)
 *
 * Without a simulator both do nothing, and `npm run build` removes each statement that starts with one of them.
 */
export interface RareProbe {
  sometimes(name: string): void;
  maybe(name: string): boolean;
}

let probe: RareProbe | null = null;

/** For the simulator: from now on marks go there; null: nowhere. */
export function setRareProbe(next: RareProbe | null): void {
  probe = next;
}

export function sometimes(name: string): void {
  if (probe !== null) probe.sometimes(name);
}

/** As `sometimes`, of a place that only long campaigns can be expected to reach. */
export function rarely(name: string): void {
  if (probe !== null) probe.sometimes(name);
}

/** False without a simulator. */
export function maybe(name: string): boolean {
  return probe?.maybe(name) ?? false;
}
