/** `npm run sim -- replay FILE`: plays a saved scenario. */
import { parseArgs } from 'node:util';
import { REPORT_OPTIONS, runWithReport } from '../report/command.ts';
import { describeScenario, parseScenario } from '../scenario.ts';
import { readInput, UsageError } from './arguments.ts';
import { describeRun } from './run.ts';

const HELP = `Usage: npm run sim -- replay FILE [options]

Plays a scenario that \`shrink\` has saved.

  --show           print its schedule first
  --trace          print one line per event to standard output
  --report FILE    draw the run, as one HTML page
  --transcript FILE  write one line for each thing that happened
  --history FILE   write what the clients saw, for \`sim check --order program\`
  --mutant NAME    with a known bug planted; npm run mutants -- --list names them

Exit code: 0 when every check held, 1 when one did not, 2 for wrong usage.
`;

export function replayCommand(args: readonly string[]): number {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      show: { type: 'boolean' },
      trace: { type: 'boolean' },
      mutant: { type: 'string' },
      ...REPORT_OPTIONS,
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  const [file, ...rest] = positionals;
  if (file === undefined || rest.length > 0) throw new UsageError('replay takes one file');
  const scenario = parseScenario(readInput(file), file);
  if (values.show === true) process.stdout.write(`${describeScenario(scenario)}\n\n`);
  const startedAt = performance.now();
  const onLine = values.trace === true ? (line: string) => process.stdout.write(`${line}\n`) : null;
  const { report, transcript, history } = values;
  const { stormMs } = scenario;
  const replay = `replay ${file}${values.mutant === undefined ? '' : ` --mutant ${values.mutant}`}`;
  const result = runWithReport(scenario, { stormMs, replay, report, transcript, history, onLine });
  process.stdout.write(describeRun(result, (performance.now() - startedAt) / 1000, replay));
  return result.failure === null ? 0 : 1;
}
