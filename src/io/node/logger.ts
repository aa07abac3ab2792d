/**
 * Structured lines on standard error, in one of two formats:
 *
 *     2026-11-23T06:30:00.123Z info leader-elected node=1 term=3 reason="no heartbeat"
 *     {"time":"2026-11-23T06:30:00.123Z","level":"info","event":"leader-elected","node":1,"term":3}
 *
 * The first is for people and for tools that read logfmt: a value with a space, a quote, an equals sign or a control
 * character is quoted as a JSON string, so that an event is one line whatever its fields hold.
 */
import type { LogFields, Logger, LogLevel } from '../logger.ts';

export type LogFormat = 'logfmt' | 'json';

export interface NodeLoggerOptions {
  /** Less severe events are left out; `silent` leaves out all. */
  readonly level: LogLevel | 'silent';
  /** Default: `logfmt`. */
  readonly format?: LogFormat;
  /** Takes each line with its line feed. Default: standard error. */
  readonly write?: (line: string) => void;
  /** Milliseconds since the Unix epoch. Default: the system's clock. */
  readonly wallMs?: () => number;
}

const SEVERITY: Readonly<Record<LogLevel | 'silent', number>> = {
  debug: 0,
  info: 1,
  warn: 2,
  error: 3,
  silent: 4,
};

const RESERVED = new Set(['time', 'level', 'event']);
/** Names and values that logfmt takes as they are. */
const PLAIN = /^[^\s"=\p{Cc}\p{Cf}\p{Cs}]+$/u;
const NAME_BREAKERS = /[\s"=\p{Cc}\p{Cf}]/gu;
/** What JSON leaves as it is although a terminal or a reader of lines may not. */
const UNPRINTABLE = /[\u007f-\u009f\u2028\u2029\p{Cf}]/gu;

export class NodeLogger implements Logger {
  readonly #least: number;
  readonly #format: LogFormat;
  readonly #write: (line: string) => void;
  readonly #wallMs: () => number;

  constructor(options: NodeLoggerOptions) {
    this.#least = SEVERITY[options.level];
    this.#format = options.format ?? 'logfmt';
    this.#write = options.write ?? writeToStandardError;
    this.#wallMs = options.wallMs ?? Date.now;
  }

  log(level: LogLevel, event: string, fields: LogFields = {}): void {
    if (SEVERITY[level] < this.#least) return;
    const time = new Date(this.#wallMs()).toISOString();
    const line =
      this.#format === 'json' ? jsonLine(time, level, event, fields) : logfmtLine(time, level, event, fields);
    this.#write(`${line}\n`);
  }
}

function logfmtLine(time: string, level: LogLevel, event: string, fields: LogFields): string {
  let line = `${time} ${level} ${quote(event)}`;
  for (const [name, value] of Object.entries(fields)) {
    line += ` ${name.replace(NAME_BREAKERS, '_')}=${quote(String(value))}`;
  }
  return line;
}

function jsonLine(time: string, level: LogLevel, event: string, fields: LogFields): string {
  const entries = Object.entries(fields).map(([name, value]) => [
    RESERVED.has(name) ? `${name}_` : name,
    value,
  ]);
  return JSON.stringify({ time, level, event, ...Object.fromEntries(entries) });
}

function quote(value: string): string {
  return PLAIN.test(value) ? value : JSON.stringify(value).replace(UNPRINTABLE, escapeCharacter);
}

function escapeCharacter(character: string): string {
  // By code unit: a character beyond the basic plane has two.
  let escaped = '';
  for (let i = 0; i < character.length; i++) {
    escaped += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
  }
  return escaped;
}

let isGuarded = false;

function writeToStandardError(line: string): void {
  if (!isGuarded) {
    // Whoever read the log is gone. That must not end a node that serves.
    process.stderr.on('error', ignore);
    isGuarded = true;
  }
  process.stderr.write(line);
}

function ignore(): void {}
