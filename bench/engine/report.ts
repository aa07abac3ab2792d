/** What was measured of the stores, as tables. */
import { availableParallelism } from 'node:os';
import { formatTable } from '../table.ts';
import type { Memory } from './child.ts';
import type { ContenderName, Statistics } from './contender.ts';
import { KEY_BYTES, VALUE_BYTES } from './data.ts';
import type { Outcome, WorkloadName } from './workloads.ts';

const RIVALS: readonly ContenderName[] = ['classic-level', 'lmdb'];
const MIB = 1024 * 1024;

/** When a store has been overwritten many times and rests. */
export interface Filled {
  readonly statistics: Statistics | null;
  readonly diskBytes: number;
}

/** At the end. */
export interface Seen extends Filled {
  readonly memory: Memory;
  readonly reopenMs: number;
}

/** What was measured of a store, a list entry for each round. */
export interface Measured {
  readonly outcomes: Map<WorkloadName, Outcome[]>;
  readonly filled: Filled[];
  readonly seen: Seen[];
  /** Of a large store of its own, once. */
  reopenMs: number | null;
}

export interface Report {
  readonly measured: ReadonlyMap<ContenderName, Measured>;
  readonly workloads: readonly WorkloadName[];
  readonly keys: number;
  readonly rounds: number;
  readonly reopenMib: number;
  /** What all keys in a `Map` would take. */
  readonly fullIndexBytes: number;
  /** How it was run, if that is to be told. */
  readonly command: string | null;
}

export function formatReport(report: Report): string {
  const { command } = report;
  const head = command === null ? [] : [`\`${command}\` ${placeOf()}\n`];
  return [
    ...head,
    formatRates(report),
    formatProcessorTimes(report),
    formatLatencies(report),
    formatSizes(report),
  ].join('\n');
}

function placeOf(): string {
  const { node } = process.versions;
  return `(Node ${node}, ${process.platform} ${process.arch}, ${availableParallelism()} cores):`;
}

function formatRates({ measured, workloads, keys, rounds }: Report): string {
  const stores = [...measured.keys()];
  const rivals = RIVALS.filter((name) => stores.includes(name));
  const rate = (name: ContenderName, workload: WorkloadName): number | null =>
    median((measured.get(name)?.outcomes.get(workload) ?? []).map(perSecond));
  const title = `${keys} keys, ${KEY_BYTES} + ${VALUE_BYTES} bytes, ${rounds} rounds; operations/s`;
  const rows = workloads.map((workload) => [
    workload,
    ...stores.map((name) => number(rate(name, workload), 0)),
    ...rivals.map((rival) => ratio(rate('envelopedb', workload), rate(rival, workload))),
  ]);
  return formatTable([[title, ...stores, ...rivals.map((rival) => `of ${rival}`)], ...rows]);
}

/** What other work on the machine changes less than rates. Background work that outlasts a workload counts in part. */
function formatProcessorTimes({ measured, workloads }: Report): string {
  const stores = [...measured.keys()];
  const rows = workloads.map((workload) => [
    workload,
    ...stores.map((name) => {
      const times = (measured.get(name)?.outcomes.get(workload) ?? []).flatMap(({ operations, cpuUs }) =>
        cpuUs === undefined ? [] : cpuUs / operations,
      );
      return number(median(times), 2);
    }),
  ]);
  return formatTable([['processor time of all threads, us an operation', ...stores], ...rows]);
}

/** Of workloads that time each read; with how they compare with those beside which the store did nothing else. */
function formatLatencies({ measured, workloads }: Report): string {
  const rows = workloads.flatMap((workload) =>
    [...measured].flatMap(([name, { outcomes }]) => {
      const of = (which: WorkloadName, field: keyof NonNullable<Outcome['latencies']>): number | null =>
        median((outcomes.get(which) ?? []).flatMap(({ latencies }) => latencies?.[field] ?? []));
      const p99 = of(workload, 'p99Us');
      if (p99 === null) return [];
      return [
        [
          `${workload}, ${name}`,
          number(of(workload, 'p50Us'), 1),
          number(p99, 1),
          ratio(p99, of('readidle', 'p99Us')),
          number(of(workload, 'awayP99Ms'), 1),
          number(of(workload, 'awayMaxMs'), 1),
          number(of(workload, 'awayOwnMaxMs'), 1),
        ],
      ];
    }),
  );
  return formatTable([
    ['single reads', 'p50 us', 'p99 us', 'p99 of idle', 'turn p99 ms', 'turn max ms', 'of its own'],
    ...rows,
  ]);
}

function formatSizes({ measured, keys, reopenMib, fullIndexBytes }: Report): string {
  const liveBytes = keys * (KEY_BYTES + VALUE_BYTES);
  const rows = [...measured].map(([name, { filled, seen, reopenMs }]) => {
    const of = (field: (one: Seen) => number | undefined, digits: number): string =>
      number(median(seen.flatMap((one) => field(one) ?? [])), digits);
    const then = (field: (one: Filled) => number | undefined): string =>
      number(median(filled.flatMap((one) => field(one) ?? [])), 2);
    const inMemory = ({ statistics }: Filled): number | undefined =>
      statistics === null ? undefined : statistics.indexBytes + statistics.filterBytes;
    return [
      name,
      of(({ memory }) => memory.ownBytes / MIB, 0),
      of(({ memory }) => memory.mappedBytes / MIB, 0),
      of(({ statistics }) => statistics?.indexBytes && statistics.indexBytes / MIB, 2),
      of(({ statistics }) => statistics?.filterBytes && statistics.filterBytes / MIB, 2),
      percent(median(seen.flatMap((one) => inMemory(one) ?? [])), fullIndexBytes),
      then(({ statistics }) => statistics?.writeAmplification),
      then(({ diskBytes }) => diskBytes / liveBytes),
      of(({ diskBytes }) => diskBytes / liveBytes, 2),
      of(({ reopenMs: ms }) => ms, 0),
      ...(reopenMib > 0 ? [number(reopenMs, 0)] : []),
    ];
  });
  return formatTable([
    [
      'sizes',
      'own MiB',
      'mapped MiB',
      'index MiB',
      'filters MiB',
      'of a full index',
      'write amp.',
      'space amp.',
      'at the end',
      'reopen ms',
      ...(reopenMib > 0 ? [`of ${reopenMib} MiB`] : []),
    ],
    ...rows,
  ]);
}

export function perSecond({ operations, ms }: Outcome): number {
  return (1000 * operations) / ms;
}

function ratio(own: number | null, other: number | null): string {
  return own === null || other === null ? '' : `${(own / other).toFixed(2)}x`;
}

function percent(part: number | null, whole: number): string {
  return part === null ? '' : `${((100 * part) / whole).toFixed(1)} %`;
}

function number(value: number | null, digits: number): string {
  return value === null ? '' : value.toFixed(digits);
}

/** Null: of nothing. */
function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}
