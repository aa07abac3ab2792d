/** Rows of a bench that take turns, and the table of their medians. */
import type { LoadResult } from './load.ts';
import { formatTable } from './table.ts';

export interface Row {
  readonly name: string;
  readonly run: () => Promise<LoadResult>;
}

export interface RowTable {
  /** Above the names of the rows. */
  readonly title: string;
  /** Above the ratios of the rows' rates to that of the first row. */
  readonly ratioTitle: string;
  readonly rounds: number;
}

/** Runs all rows once a round, so that a noisy machine disturbs all of them alike; says on stderr what is run. */
export async function measureInTurns(rows: readonly Row[], table: RowTable): Promise<string> {
  const results = rows.map((): LoadResult[] => []);
  for (let round = 1; round <= table.rounds; round++) {
    for (const [index, row] of rows.entries()) {
      process.stderr.write(`round ${round}/${table.rounds}: ${row.name}\n`);
      results[index]?.push(await row.run());
    }
  }
  const base = median(ratesOf(results[0] ?? []));
  return formatTable([
    [table.title, 'ops/s (median)', 'min', 'max', 'p50 us', 'p99 us', table.ratioTitle, 'errors'],
    ...rows.map(({ name }, index) => {
      const rounds = results[index] ?? [];
      const rates = ratesOf(rounds);
      return [
        name,
        median(rates).toFixed(0),
        Math.min(...rates).toFixed(0),
        Math.max(...rates).toFixed(0),
        median(rounds.map((round) => round.latencyUs.p50)).toFixed(0),
        median(rounds.map((round) => round.latencyUs.p99)).toFixed(0),
        `${(median(rates) / base).toFixed(2)}x`,
        String(rounds.reduce((sum, round) => sum + round.errors, 0)),
      ];
    }),
  ]);
}

function ratesOf(rounds: readonly LoadResult[]): number[] {
  return rounds.map((round) => round.operationsPerSecond);
}

/** The upper one of the two in the middle, where their number is even. */
function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
