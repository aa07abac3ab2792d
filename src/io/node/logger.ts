/** Structured lines on standard error: time, level, event, then `name=value` pairs. */
import type { LogFields, Logger, LogLevel } from '../logger.ts';

export interface NodeLoggerOptions {
  /** Less severe events are left out; `silent` leaves out all. */
  readonly level: LogLevel | 'silent';
  readonly write?: (line: string) => void;
}

const SEVERITY: Readonly<Record<LogLevel | 'silent', number>> = {
  debug: 0,
  info: 1,
  warn: 2,
  error: 3,
  silent: 4,
};

export class NodeLogger implements Logger {
  readonly #least: number;
  readonly #write: (line: string) => void;

  constructor(options: NodeLoggerOptions) {
    this.#least = SEVERITY[options.level];
    this.#write = options.write ?? ((line) => process.stderr.write(line));
  }

  log(level: LogLevel, event: string, fields: LogFields = {}): void {
    if (SEVERITY[level] < this.#least) return;
    let line = `${new Date().toISOString()} ${level} ${event}`;
    for (const [name, value] of Object.entries(fields)) line += ` ${name}=${quote(String(value))}`;
    this.#write(`${line}\n`);
  }
}

/** Values with spaces, quotes or control characters are quoted as JSON strings are. */
function quote(value: string): string {
  return /^[^\s"=\p{Cc}]+$/u.test(value) ? value : JSON.stringify(value);
}
