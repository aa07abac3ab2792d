/** `envelopedb/sim`: the simulator for code of one's own. */

export type { Clock, Timer } from '../src/io/clock.ts';
export type { AppendFile, Disk, ReadFile } from '../src/io/disk.ts';
export type { Address, Connection, ConnectionHandler, Listener, Network } from '../src/io/network.ts';
export type { Random } from '../src/io/random.ts';
export {
  CHECK_DEFAULTS,
  type CheckOptions,
  checkCalls,
  type Verdict as CallsVerdict,
} from './check/check_calls.ts';
export { explain } from './check/explain.ts';
export { History, type Operation } from './check/history.ts';
export { formatHistory, HistoryFileError, parseHistory } from './check/history_file.ts';
export { checkLinearizability, formatOperations, type Verdict } from './check/linearizability.ts';
export type { Call, Op, Result } from './check/model.ts';
export type { Order } from './check/problem.ts';
export { HistoryStream, type StreamVerdict } from './check/stream.ts';
export type { PartOptions as StreamOptions } from './check/stream_part.ts';
export { SimClock } from './clock.ts';
export { SimDisk, type SimDiskOptions } from './disk.ts';
export {
  type ClientEnvironment,
  type LabEnvironment,
  type LabFaults,
  type LabOptions,
  type LabResult,
  type MachineEnvironment,
  runLab,
} from './lab.ts';
export { SimNetwork, type SimNetworkOptions } from './network.ts';
export { SimProcess } from './process.ts';
export { SimRandom } from './random.ts';
export type { RunResult } from './result.ts';
export { Scheduler } from './scheduler.ts';
export { Trace } from './trace.ts';
export { runScenario, runSeed } from './world.ts';
