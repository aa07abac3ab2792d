/**
 * `npm test`: everything that checks the project, one step after the other, with a count at the end that adds up all
 * of them: lint, types, unit and process tests, simulated seeds. `npm run test:long` (`--long`) does the same with
 * more of each, within about half an hour on two idle cores: see `long.ts`.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface Count {
  passed: number;
  failed: number;
}

interface Step {
  readonly name: string;
  readonly args: readonly string[];
  /** Counts what the step did, from its exit code and what it printed. */
  readonly count: (code: number, output: string) => Count;
}

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const isLong = process.argv.includes('--long');
// For all that is started from here.
if (isLong) process.env.ENVELOPEDB_LONG_TESTS = '1';
/** About one second of a core each. */
const SEEDS = isLong ? 1000 : 200;
const OTHER_NODE_SEEDS = 20;
const scratch = mkdtempSync(join(tmpdir(), 'envelopedb-test-'));
const report = join(scratch, 'vitest.json');

const steps: readonly Step[] = [
  { name: 'lint', args: ['node_modules/@biomejs/biome/bin/biome', 'check', '.'], count: one },
  { name: 'types', args: ['node_modules/typescript/bin/tsc', '--noEmit'], count: one },
  {
    name: 'tests',
    args: [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ],
    count: vitestCount,
  },
  {
    name: `simulation, ${SEEDS} seeds`,
    args: [...process.execArgv, 'sim/main.ts', '--seeds', String(SEEDS), '--require-marks'],
    count: seedCount,
  },
];

/** Another Node's executable: the same seeds must run the same way there, event by event. */
const otherNode = process.env.ENVELOPEDB_OTHER_NODE;

const total: Count = { passed: 0, failed: 0 };
const startedAt = performance.now();
for (const step of steps) {
  process.stdout.write(`\n== ${step.name}\n`);
  const stepStartedAt = performance.now();
  const { code, output } = await run(step.args);
  const count = step.count(code, output);
  // A step that ends badly without naming a failure has failed all the same.
  if (code !== 0 && count.failed === 0) count.failed = 1;
  total.passed += count.passed;
  total.failed += count.failed;
  const seconds = ((performance.now() - stepStartedAt) / 1000).toFixed(1);
  process.stdout.write(`== ${step.name}: ${count.passed} passed, ${count.failed} failed in ${seconds} s\n`);
}
if (otherNode !== undefined) {
  process.stdout.write(`\n== simulation on ${otherNode}\n`);
  const args = [...process.execArgv, 'sim/main.ts', '--seeds', String(OTHER_NODE_SEEDS)];
  const [here, there] = [await run(args), await run(args, otherNode)].map(({ output }) => hashOf(output));
  const same = here !== null && here === there;
  process.stdout.write(`== ${here} here, ${there} there\n`);
  if (same) total.passed++;
  else total.failed++;
}
rmSync(scratch, { recursive: true, force: true });
process.stdout.write(`\nall steps took ${((performance.now() - startedAt) / 1000).toFixed(0)} s\n`);
process.stdout.write(`${total.passed} passed, ${total.failed} failed\n`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;

function run(
  args: readonly string[],
  node: string = process.execPath,
): Promise<{ code: number; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(node, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (bytes: Buffer) => {
      process.stdout.write(bytes);
      output += bytes.toString();
    });
    child.on('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

function hashOf(output: string): string | null {
  return /^hash ([0-9a-f]+)$/m.exec(output)?.[1] ?? null;
}

function one(code: number): Count {
  return code === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

function vitestCount(): Count {
  try {
    const { numPassedTests, numFailedTests, numFailedTestSuites } = JSON.parse(
      readFileSync(report, 'utf8'),
    ) as {
      numPassedTests: number;
      numFailedTests: number;
      numFailedTestSuites: number;
    };
    // A file that could not even be loaded has no failed tests, but it has failed.
    return { passed: numPassedTests, failed: numFailedTests > 0 ? numFailedTests : numFailedTestSuites };
  } catch {
    return { passed: 0, failed: 1 };
  }
}

function seedCount(_code: number, output: string): Count {
  const match = /^(\d+) seeds: (\d+) held, (\d+) failed$/m.exec(output);
  return match === null ? { passed: 0, failed: 1 } : { passed: Number(match[2]), failed: Number(match[3]) };
}
