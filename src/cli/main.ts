#!/usr/bin/env node
/** The `envelopedb` command: picks the subcommand and runs it. */
import { readFileSync } from 'node:fs';
import type { LogLevel } from '../io/logger.ts';
import { type CommandSpec, parse } from './args.ts';
import { runBackup, runRestore } from './backup.ts';
import { runCluster } from './cluster.ts';
import { COMPRESSIONS, SCRUB_BYTES_PER_SECOND, TABLE_READS } from './host.ts';
import { runInspect } from './inspect.ts';
import { runMember } from './member.ts';
import { runNode } from './node.ts';
import { runRepair } from './repair.ts';
import { runServer } from './server.ts';
import { runVerify } from './verify.ts';

const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

const LOGGING = {
  'log-level': {
    type: 'string',
    valueName: 'LEVEL',
    default: 'info',
    choices: LEVELS,
    description: 'Least severe events that are written to standard error',
  },
} as const;

const MIB = 1024 * 1024;

/** Of a node that others may lag behind. */
const LOG_BYTES = {
  'log-bytes': {
    type: 'integer',
    valueName: 'BYTES',
    default: 256 * MIB,
    min: MIB,
    max: 1024 * 1024 * MIB,
    description: 'How much of the log is kept on the disk: who lags further than that is sent a snapshot',
  },
} as const;

/** Of a node that others hold copies for. */
const SCRUB = {
  'scrub-bytes-per-second': {
    type: 'integer',
    valueName: 'BYTES',
    default: SCRUB_BYTES_PER_SECOND,
    min: 0,
    max: 1024 * MIB,
    description: 'How fast tables are read through, over and over, to find damage; 0: never',
  },
} as const;

/** Of a node that keeps tables. */
const TABLES = {
  'read-tables': {
    type: 'string',
    valueName: 'HOW',
    default: 'mapped',
    choices: TABLE_READS,
    description:
      'Mapped into memory where that is possible; or in pieces, for a disk that fails to read some',
  },
  compression: {
    type: 'string',
    valueName: 'NAME',
    default: 'none',
    choices: COMPRESSIONS,
    description: 'How the tables that are written from now on are compressed',
  },
} as const;

const SPECS: readonly CommandSpec[] = [
  {
    name: 'cluster',
    summary: 'Run a 3-node cluster on this machine',
    usage: 'envelopedb cluster [options]',
    positionals: [],
    options: {
      clear: { type: 'flag', description: 'Wipe the data of all three nodes first' },
      data: {
        type: 'string',
        valueName: 'DIR',
        default: './data',
        description: 'Where the nodes keep their data',
      },
      ...LOGGING,
    },
  },
  {
    name: 'node',
    summary: 'Run one node of a cluster',
    usage: 'envelopedb node PORT [options]',
    positionals: [{ name: 'PORT', description: 'The port of this node, one of those in --peers' }],
    options: {
      peers: {
        type: 'string',
        valueName: 'LIST',
        default: '127.0.0.1:9001,127.0.0.1:9002,127.0.0.1:9003',
        description: 'host:port of every node, this one among them; the same list in the same order on all',
      },
      host: {
        type: 'string',
        valueName: 'HOST',
        default: '127.0.0.1',
        description: 'The host of this node in --peers; also where it listens',
      },
      data: {
        type: 'string',
        valueName: 'DIR',
        default: './data',
        description: 'Data is kept in DIR/node-PORT',
      },
      join: {
        type: 'string',
        valueName: 'HOST:PORT',
        default: '',
        description:
          'Join the running group that this node belongs to, as a new member with an empty data directory; --peers is not needed then',
      },
      clear: { type: 'flag', description: "Wipe this node's data first" },
      ...LOG_BYTES,
      ...SCRUB,
      ...TABLES,
      ...LOGGING,
    },
  },
  {
    name: 'member',
    summary: 'Tell who belongs to a running cluster, and change that',
    usage: 'envelopedb member list|add HOST:PORT|remove ID|promote ID|transfer ID [options]',
    positionals: [
      {
        name: 'ACTION',
        description: 'list, add, remove, promote (a learner, at once), transfer (leadership)',
      },
      { name: 'WHICH', description: 'The address of a new node, or the number of a member', optional: true },
    ],
    options: {
      node: {
        type: 'string',
        valueName: 'HOST:PORT',
        default: '127.0.0.1:9001',
        description: 'Any node of the cluster',
      },
    },
  },
  {
    name: 'verify',
    summary: 'Check every byte of a store that is not running',
    usage: 'envelopedb verify DIR',
    positionals: [
      {
        name: 'DIR',
        description: 'A data directory: ./data/node-9001, ./db_data, or that of an embedded store',
      },
    ],
    options: {},
  },
  {
    name: 'backup',
    summary: 'Copy a store that is not running, and check every byte of the copy',
    usage: 'envelopedb backup DIR TO',
    positionals: [
      { name: 'DIR', description: 'A data directory: ./db_data, or that of an embedded store' },
      { name: 'TO', description: 'The directory to make: it does not exist, or is empty' },
    ],
    options: {},
  },
  {
    name: 'restore',
    summary: 'Make a store of a backup, and check every byte of it',
    usage: 'envelopedb restore FROM DIR',
    positionals: [
      { name: 'FROM', description: 'A backup, a checkpoint, or any copy of a data directory' },
      { name: 'DIR', description: 'The data directory to make: it does not exist, or is empty' },
    ],
    options: {},
  },
  {
    name: 'repair',
    summary: 'Make a new store of what can be read of a damaged one, and say what is lost',
    usage: 'envelopedb repair DIR [options]',
    positionals: [
      { name: 'DIR', description: 'The data directory of a store that is not running; it is only read' },
    ],
    options: {
      to: {
        type: 'string',
        valueName: 'NEWDIR',
        default: '',
        description: 'The directory to make: it does not exist, or is empty (default DIR.repaired)',
      },
      as: {
        type: 'string',
        valueName: 'KIND',
        default: '',
        choices: ['store', 'server'],
        description:
          "Of a node's directory, what to make of its data: an embedded store, or a standalone server's",
      },
      log: {
        type: 'string',
        valueName: 'RULE',
        default: 'around',
        choices: ['around', 'until'],
        description: 'Writes behind a lost one are carried out all the same, or left out',
      },
    },
  },
  {
    name: 'inspect',
    summary: 'Print what is in a file of a store: a table, a log segment, a manifest, term and vote',
    usage: 'envelopedb inspect FILE [options]',
    positionals: [
      {
        name: 'FILE',
        description:
          'tables/table-N, tables/manifest-N, tables/CURRENT, log/N.log, vote-a, vote-b or snapshot',
      },
    ],
    options: {
      json: { type: 'flag', description: 'One JSON object a line, with bytes in hexadecimal as well' },
      values: { type: 'flag', description: 'Values too, not only how long they are' },
      limit: {
        type: 'integer',
        valueName: 'N',
        default: 0,
        min: 0,
        max: Number.MAX_SAFE_INTEGER,
        description: 'Stop after so many records; 0: go through all',
      },
    },
  },
  {
    name: 'server',
    summary: 'Run a standalone node: no peers, no replication',
    usage: 'envelopedb server [options]',
    positionals: [],
    options: {
      port: {
        type: 'integer',
        valueName: 'PORT',
        default: 8888,
        min: 0,
        max: 65_535,
        description: 'Port to listen on',
      },
      host: { type: 'string', valueName: 'HOST', default: '127.0.0.1', description: 'Address to listen on' },
      data: { type: 'string', valueName: 'DIR', default: './db_data', description: 'Where data is kept' },
      clear: { type: 'flag', description: 'Wipe the data first' },
      ...LOG_BYTES,
      ...SCRUB,
      ...TABLES,
      ...LOGGING,
    },
  },
];

async function main(): Promise<void> {
  const parsed = parse(process.argv.slice(2), SPECS, { name: 'envelopedb', version: version() });
  if (parsed.kind === 'print') {
    (parsed.exitCode === 0 ? process.stdout : process.stderr).write(parsed.text);
    process.exitCode = parsed.exitCode;
    return;
  }
  const { values } = parsed;
  const common = {
    data: String(values.data),
    clear: values.clear === true,
    logLevel: String(values['log-level']) as LogLevel | 'silent',
  };
  switch (parsed.command) {
    case 'cluster':
      await runCluster(common);
      return;
    case 'node':
      await runNode({
        ...common,
        port: String(parsed.positionals[0]),
        host: String(values.host),
        peers: String(values.peers),
        join: String(values.join),
        logBytes: Number(values['log-bytes']),
        scrubBytesPerSecond: Number(values['scrub-bytes-per-second']),
        compression: String(values.compression),
        readTables: String(values['read-tables']),
      });
      return;
    case 'member': {
      const [action, which] = parsed.positionals;
      const text = await runMember({
        action: String(action),
        which: which ?? null,
        node: String(values.node),
      });
      process.stdout.write(text);
      return;
    }
    case 'verify':
      if (!runVerify(String(parsed.positionals[0]))) process.exitCode = 1;
      return;
    case 'backup':
    case 'restore': {
      const [from, to] = parsed.positionals.map(String);
      const run = parsed.command === 'backup' ? runBackup : runRestore;
      process.stdout.write(await run(from, to));
      return;
    }
    case 'repair': {
      const [directory] = parsed.positionals.map(String);
      const as = values.as as '' | 'store' | 'server';
      const log = values.log as 'around' | 'until';
      const { text, isLossless } = await runRepair({ directory, to: String(values.to), as, log });
      process.stdout.write(text);
      if (!isLossless) process.exitCode = 1;
      return;
    }
    case 'inspect': {
      const { json, values: shown, limit } = values;
      const file = String(parsed.positionals[0]);
      const command = { file, json: json === true, values: shown === true, limit: Number(limit) };
      if (!(await runInspect(command))) process.exitCode = 1;
      return;
    }
    default:
      await runServer({
        ...common,
        port: Number(values.port),
        host: String(values.host),
        logBytes: Number(values['log-bytes']),
        scrubBytesPerSecond: Number(values['scrub-bytes-per-second']),
        compression: String(values.compression),
        readTables: String(values['read-tables']),
      });
  }
}

function version(): string {
  // From the sources and from `dist/src/cli` alike, the nearest package.json above is the project's.
  for (const up of ['../../', '../../../']) {
    try {
      const text = readFileSync(new URL(`${up}package.json`, import.meta.url), 'utf8');
      return (JSON.parse(text) as { version: string }).version;
    } catch {
      // Not here: one level up.
    }
  }
  return 'unknown';
}

main().catch((error: unknown) => {
  process.stderr.write(`envelopedb: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
