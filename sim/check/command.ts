/** `npm run sim -- check FILE`: is the history in a file linearizable? */
import { parseArgs } from 'node:util';
import { readBytes, UsageError } from '../commands/arguments.ts';
import { checkCalls } from './check_calls.ts';
import { explain } from './explain.ts';
import { HistoryFileError, parseHistory } from './history_file.ts';
import type { Call } from './model.ts';

const HELP = `Usage: npm run sim -- check FILE [options]

Checks whether the history in a file is linearizable: JSON lines, one operation a line, as docs/histories.md says.
With - for a file it reads standard input.

  --timeout SECONDS  stop after so long      (default: none)
  --order ORDER      real-time, or program: operations of one process on what transactions and scans join take
                     effect in the order of their calls also where they overlap  (default real-time)

Exit code: 0 linearizable, 1 not, 2 bad input or wrong usage, 3 not decided in time.
`;

/** Where the command reads and writes, and what tells it the time. */
export interface CheckSurroundings {
  readonly read: (file: string) => string | Uint8Array;
  readonly write: (text: string) => void;
  readonly writeError: (text: string) => void;
  /** Wall time, only for the limit. */
  readonly nowMs: () => number;
}

/** Of one part: of either about what fits into a gigabyte. */
const STATES_MAX = 20_000_000;
const CELLS_MAX = 50_000_000;

const SURROUNDINGS: CheckSurroundings = {
  read: readBytes,
  write: (text) => process.stdout.write(text),
  writeError: (text) => process.stderr.write(text),
  nowMs: () => performance.now(),
};

export function checkCommand(args: readonly string[]): number {
  return checkWith(args, SURROUNDINGS);
}

/** @throws UsageError and those of reading the file */
export function checkWith(
  args: readonly string[],
  { read, write, writeError, nowMs }: CheckSurroundings,
): number {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { timeout: { type: 'string' }, order: { type: 'string' }, help: { type: 'boolean' } },
  });
  if (values.help === true) {
    write(HELP);
    return 0;
  }
  const [file, ...rest] = positionals;
  if (file === undefined || rest.length > 0) throw new UsageError('check takes one file');
  const order = values.order ?? 'real-time';
  if (order !== 'real-time' && order !== 'program')
    throw new UsageError('--order takes real-time or program');
  const until = nowMs() + seconds(values.timeout) * 1000;
  let calls: readonly Call[];
  try {
    calls = parseHistory(read(file));
  } catch (error) {
    if (!(error instanceof HistoryFileError)) throw error;
    writeError(`${file}: ${error.message}\n`);
    return 2;
  }
  const isOver = (): boolean => nowMs() > until;
  const verdict = checkCalls(calls, { order, statesMax: STATES_MAX, cellsMax: CELLS_MAX, isOver });
  switch (verdict.type) {
    case 'linearizable':
      write(`linearizable: ${calls.length} operations, ${verdict.statesVisited} states\n`);
      return 0;
    case 'not linearizable': {
      const { reason, table } = explain(verdict, order);
      write(`not linearizable\n${reason}\n\n${table}\n`);
      return 1;
    }
    case 'gave up':
      write(`not decided: gave up on ${verdict.keys.join(', ')} after ${verdict.statesVisited} states\n`);
      return 3;
  }
}

/** @throws UsageError */
function seconds(text: string | undefined): number {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  if (!/^\d{1,9}(\.\d+)?$/.test(text)) throw new UsageError(`--timeout takes seconds, not '${text}'`);
  return Number(text);
}
