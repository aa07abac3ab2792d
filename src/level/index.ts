/** The package's door for the Level ecosystem: `envelopedb/level`. */
export { EnvelopeLevel } from './envelope_level.ts';
export { LevelError } from './errors.ts';
export type {
  BatchOperation,
  BatchOptions,
  ClearOptions,
  DatabaseOptions,
  DelOptions,
  PutOptions,
  StartEndOptions,
} from './options.ts';
export type { TimedOptions, WriteOptions } from './write_options.ts';
