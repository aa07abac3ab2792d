/** What the simulator's commands make of what they are given: clear errors before any work, and files that can be used. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Campaign, type CampaignOptions } from '../../sim/campaign.ts';
import { checkCommand } from '../../sim/check/command.ts';
import { UsageError } from '../../sim/commands/arguments.ts';
import { mutantsCommand } from '../../sim/commands/mutants.ts';
import { replayCommand } from '../../sim/commands/replay.ts';
import { runCommand } from '../../sim/commands/run.ts';
import { shrinkCommand } from '../../sim/commands/shrink.ts';
import { FailureStore } from '../../sim/failure_store.ts';

let directory = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'envelopedb-sim-commands-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** The message with which a command refuses its arguments, as wrong usage and nothing else. */
async function refusal(run: () => unknown): Promise<string> {
  try {
    await run();
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as UsageError).message;
  }
  throw new Error('it was not refused');
}

function sim(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const command = ['--import', './scripts/typescript.mjs', 'sim/main.ts', ...args];
  return spawnSync(process.execPath, command, { encoding: 'utf8' });
}

describe('a run', () => {
  it('refuses options that it would pass over', async () => {
    const seeds = await refusal(() => runCommand(['--seed', '7', '--seeds', '3']));
    expect(seeds).toBe('--seeds is for many seeds, not for the one of --seed');
    const report = await refusal(() => runCommand(['--seeds', '3', '--report', 'x.html']));
    expect(report).toBe('--report is for one run: name its seed with --seed');
    const twice = await refusal(() => runCommand(['--seed', '7', '--twice', '--trace']));
    expect(twice).toBe('--trace does not go with --twice');
    const store = await refusal(() => runCommand(['--no-trials', '--failures', join(directory, 'f.json')]));
    expect(store).toBe('--failures needs the trials, which --no-trials leaves out');
    const mutant = await refusal(() => runCommand(['--mutant', 'second-vote']));
    expect(mutant).toBe('--mutant is for one run: name its seed with --seed');
  });

  it.each(['--seeds', '--minutes', '--seconds', '--jobs'])('refuses %s 0', async (option) => {
    const message = await refusal(() => runCommand([option, '0']));
    expect(message).toBe(`${option} takes a whole number from 1 to 999999999, not '0'`);
  });

  it('refuses a seed without a text', async () => {
    expect(await refusal(() => runCommand(['--seed', '']))).toBe('--seed takes a text that is not empty');
    expect(await refusal(() => shrinkCommand(['']))).toBe('a seed is a text that is not empty');
  });

  it.each([
    '--report',
    '--transcript',
    '--history',
  ])('names the file of %s that cannot be written', async (option) => {
    const message = await refusal(() => runCommand(['--seed', '7', option, directory]));
    expect(message).toMatch(`cannot write ${directory}: EISDIR`);
    const missing = join(directory, 'none', 'file');
    expect(await refusal(() => runCommand(['--seed', '7', option, missing]))).toMatch(
      `cannot write ${missing}: ENOENT`,
    );
  });

  it('leaves no file behind when one of several cannot be written', async () => {
    const report = join(directory, 'run.html');
    await refusal(() => runCommand(['--seed', '7', '--report', report, '--history', directory]));
    expect(existsSync(report)).toBe(false);
  });
});

describe('one seed on the command line', () => {
  it('runs twice with the same hash', () => {
    const once = sim('--seed', '7', '--storm-ms', '1000');
    const twice = sim('--seed', '7', '--storm-ms', '1000', '--twice');
    const hash = /^hash [0-9a-f]{16}$/m.exec(once.stdout)?.[0];
    expect(hash).toBeDefined();
    expect(twice.stdout).toContain(`${hash}\nthe second run has the same hash\n`);
    expect([once.status, twice.status]).toEqual([0, 0]);
  }, 120_000);

  it('leaves a history that can be checked by itself, also when it is wrong', () => {
    const history = join(directory, 'history.jsonl');
    const right = sim('--seed', '7', '--storm-ms', '2000', '--history', history);
    expect(right.status).toBe(0);
    const checked = sim('check', history, '--order', 'program');
    expect(checked.stdout).toContain('linearizable');
    expect(checked.status).toBe(0);
    const planted = ['--mutant', 'reads-of-a-follower-unasked'];
    expect(sim('--seed', '1', '--storm-ms', '2000', ...planted, '--history', history).status).toBe(1);
    expect(sim('check', history, '--order', 'program').status).toBe(1);
  }, 240_000);
});

describe('files that a command reads', () => {
  it('are named when they cannot be read', async () => {
    const missing = join(directory, 'none.json');
    expect(await refusal(() => checkCommand([directory]))).toMatch(`cannot read ${directory}: EISDIR`);
    expect(await refusal(() => replayCommand([missing]))).toMatch(`cannot read ${missing}: ENOENT`);
    expect(await refusal(() => shrinkCommand([missing]))).toMatch(`cannot read ${missing}: ENOENT`);
  });

  it('are named when they are no scenario', () => {
    const file = join(directory, 'odd.json');
    writeFileSync(file, '{"format":2}');
    expect(() => replayCommand([file])).toThrow(
      `${file} is not a scenario: its format is 2, this version reads 1`,
    );
  });
});

describe('planted bugs', () => {
  it('are hunted for one seed at least', async () => {
    expect(await refusal(() => mutantsCommand(['--seeds', '0']))).toMatch('from 1');
    expect(await refusal(() => mutantsCommand(['none']))).toBe(
      "no planted bug 'none'; npm run mutants -- --list names them",
    );
  });

  it('can be looked at in one run, and shrunk there', () => {
    const planted = ['--mutant', 'reads-of-a-follower-unasked', '--storm-ms', '2000'];
    const { status, stdout } = sim('--seed', '1', ...planted);
    expect(stdout).toContain('seed 1: FAILED: linearizability');
    expect(stdout).toContain('npm run sim -- --seed 1 --storm-ms 2000 --mutant reads-of-a-follower-unasked');
    expect(status).toBe(1);
    const out = join(directory, 'small.json');
    const shrunk = sim('shrink', '1', ...planted, '--seconds', '1', '--out', out);
    expect(shrunk.stdout).toContain(
      `replay: npm run sim -- replay ${out} --mutant reads-of-a-follower-unasked`,
    );
    expect(sim('replay', out, '--mutant', 'reads-of-a-follower-unasked').status).toBe(1);
    expect(sim('replay', out).status).toBe(0);
  }, 120_000);
});

describe('a trial that fails', () => {
  it('is told apart from the cluster beside it, and has no schedule to shrink', () => {
    const planted = ['--storm-ms', '200', '--mutant', 'memtable-used-under-iterator'];
    const transcript = join(directory, 'run.txt');
    expect(sim('--seed', '1', ...planted, '--transcript', transcript).status).toBe(1);
    expect(readFileSync(transcript, 'utf8')).toContain('The cluster that is shown here held all its checks.');
    const { status, stdout } = sim('shrink', '1', ...planted);
    expect(stdout).toContain(
      'again with its seed alone: npm run sim -- --seed 1 --storm-ms 200 --mutant memtable-used-under-iterator',
    );
    expect(status).toBe(1);
  }, 120_000);
});

describe('the command line', () => {
  it('tells wrong usage in one line, with exit code 2', () => {
    for (const args of [
      ['--frob'],
      ['--seed', '7', '--report', directory],
      ['check', directory],
      ['toString'],
    ]) {
      const { status, stderr } = sim(...args);
      expect(status).toBe(2);
      expect(stderr).toMatch(/^sim: /);
      expect(stderr).not.toMatch(/^ +at /m);
    }
  }, 60_000);
});

describe('the store of failing seeds', () => {
  const CAMPAIGN: CampaignOptions = {
    first: 1,
    seeds: 1,
    seconds: null,
    stormMs: 200,
    trials: 'all',
    jobs: 1,
    untilFailure: false,
    failures: null,
    requireMarks: false,
  };

  it.each([
    ['{', 'is not a list of failed seeds: '],
    ['{"a":1}', 'is not a list of failed seeds'],
    ['[null]', ': [0].seed is not a text'],
    ['[{"seed":5,"stormMs":1}]', ': [0].seed is not a text'],
    ['[{"seed":"5"}]', ': [0].stormMs is not a whole number'],
  ])('refuses %s', async (text, message) => {
    const file = join(directory, 'failures.json');
    writeFileSync(file, text);
    expect(await refusal(() => new FailureStore(file))).toContain(
      `${file}${message.startsWith(':') ? '' : ' '}${message}`,
    );
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  it('is refused before the first seed when it cannot be written', async () => {
    mkdirSync(join(directory, 'sub'));
    expect(await refusal(() => new FailureStore(join(directory, 'sub')))).toContain('cannot read');
    expect(await refusal(() => new FailureStore(join(directory, 'none', 'x')))).toContain('cannot write');
  });

  it('keeps a seed for each length of its storm, and lets go of the one that held', () => {
    const file = join(directory, 'failures.json');
    const store = new FailureStore(file);
    store.failed({ seed: '1', stormMs: 200, check: 'liveness' });
    store.failed({ seed: '1', stormMs: 300, check: 'liveness' });
    store.held({ seed: '1', stormMs: 200 });
    const left = [{ seed: '1', stormMs: 300, check: 'liveness' }];
    expect(new FailureStore(file).failures).toEqual(left);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(left);
  });

  it('has its seeds run first, each in the storm that it failed in, and none twice', async () => {
    const file = join(directory, 'failures.json');
    const store = new FailureStore(file);
    store.failed({ seed: '1', stormMs: 200, check: 'liveness' });
    store.failed({ seed: '1', stormMs: 300, check: 'liveness' });
    const summary = await new Campaign({ ...CAMPAIGN, failures: file }).run();
    // Seed 1 with either storm; neither fails.
    expect(summary).toMatchObject({ ok: true, seeds: 2 });
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual([]);
  }, 60_000);
});
