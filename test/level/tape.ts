/**
 * Runs tests that are written for tape as tests of vitest: each is one of them, and fails with all of its assertions that do
 * not hold.
 */
import tape from 'tape';
import { it } from 'vitest';

type TapeBody = (t: unknown) => unknown;

/** A row of tape's stream of objects; only those of the type `assert` have `ok`. */
interface Row {
  readonly type: string;
  readonly ok?: boolean;
  readonly name?: string;
  readonly operator?: string;
  readonly expected?: unknown;
  readonly actual?: unknown;
  readonly error?: unknown;
}

/** Counts what its tests have asserted. */
export class TapeTests {
  count = 0;
  assertions = 0;

  /** What a suite for tape is given in place of `test`. */
  readonly test = Object.assign(
    (name: string, ...rest: unknown[]): void => {
      const body = rest.pop() as TapeBody;
      it(name, async () => {
        const failed = await this.#run(name, rest, body);
        if (failed.length > 0) throw new Error(failed.join('\n'));
      });
    },
    { skip: (name: string): void => it.skip(name) },
  );

  async #run(name: string, options: unknown[], body: TapeBody): Promise<string[]> {
    const harness = tape.createHarness();
    const rows: Row[] = [];
    const stream = harness.createStream({ objectMode: true });
    const ended = new Promise((resolve, reject) => stream.on('end', resolve).on('error', reject));
    stream.on('data', (row: Row) => rows.push(row));
    (harness as unknown as (...args: unknown[]) => void)(name, ...options, body);
    await ended;
    const asserted = rows.filter(({ type }) => type === 'assert');
    this.count++;
    this.assertions += asserted.length;
    return asserted.filter(({ ok }) => ok !== true).map(describeFailure);
  }
}

function describeFailure({ name, operator, expected, actual, error }: Row): string {
  const why = error instanceof Error ? `: ${error.stack}` : '';
  return `${name} (${operator}): expected ${String(expected)}, got ${String(actual)}${why}`;
}
