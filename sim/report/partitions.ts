/**
 * What is cut between hosts, as few spans: the network tells of every single way, a picture wants what was cut and
 * joined together as one bar.
 */
import type { SpanRecord } from './record.ts';

interface Cut {
  readonly from: string;
  readonly to: string;
  readonly fromUs: number;
  readonly toUs: number;
}

export class PartitionLog {
  readonly #lane: number;
  /** Since when each way is cut, by `from>to`. */
  readonly #open = new Map<string, number>();
  readonly #cuts: Cut[] = [];

  /** @param lane Of the spans. */
  constructor(lane: number) {
    this.#lane = lane;
  }

  onBlock(nowUs: number, from: string, to: string): void {
    const way = `${from}>${to}`;
    if (!this.#open.has(way)) this.#open.set(way, nowUs);
  }

  onUnblock(nowUs: number, from: string, to: string): void {
    const way = `${from}>${to}`;
    const fromUs = this.#open.get(way);
    if (fromUs === undefined) return;
    this.#open.delete(way);
    if (fromUs < nowUs) this.#cuts.push({ from, to, fromUs, toUs: nowUs });
  }

  finish(nowUs: number): SpanRecord[] {
    for (const way of [...this.#open.keys()]) {
      const [from, to] = way.split('>');
      this.onUnblock(nowUs, from, to);
    }
    const together = new Map<string, Cut[]>();
    for (const cut of this.#cuts) {
      const key = `${cut.fromUs} ${cut.toUs}`;
      const cuts = together.get(key);
      if (cuts === undefined) together.set(key, [cut]);
      else cuts.push(cut);
    }
    return [...together.values()].map((cuts) => ({
      lane: this.#lane,
      kind: 'partition',
      fromUs: cuts[0].fromUs,
      toUs: cuts[0].toUs,
      term: 0,
      text: describeCuts(cuts.map(({ from, to }) => [shortName(from), shortName(to)])),
    }));
  }
}

/** `1 2 ╳ 3` where nothing gets through either way, `1 ↛ 2 3` one way; several, with commas. */
export function describeCuts(ways: readonly (readonly [from: string, to: string])[]): string {
  const has = new Set(ways.map(([from, to]) => `${from}>${to}`));
  const both = ways.filter(([from, to]) => has.has(`${to}>${from}`));
  const single = ways.filter(([from, to]) => !has.has(`${to}>${from}`));
  return [...bundle(both, '╳'), ...bundle(single, '↛')].join(', ');
}

/** Joins those of the same origin, then those of the same destinations; what a two-way cut says twice, it says once. */
function bundle(ways: readonly (readonly [from: string, to: string])[], sign: string): string[] {
  const destinations = new Map<string, string[]>();
  for (const [from, to] of ways) destinations.set(from, [...(destinations.get(from) ?? []), to]);
  const origins = new Map<string, string[]>();
  for (const [from, list] of destinations) {
    const to = [...list].sort().join(' ');
    origins.set(to, [...(origins.get(to) ?? []), from]);
  }
  const texts: string[] = [];
  const mirrored = new Set<string>();
  for (const [to, list] of origins) {
    const from = [...list].sort().join(' ');
    if (sign === '╳' && mirrored.has(`${from}|${to}`)) continue;
    mirrored.add(`${to}|${from}`);
    texts.push(`${from} ${sign} ${to}`);
  }
  return texts;
}

/** `node3`: `3`. */
function shortName(host: string): string {
  return host.replace(/^node(?=\d)/, '');
}
