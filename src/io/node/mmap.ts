/**
 * Read-only memory maps of whole files through `koffi`, where that optional package can be loaded: reading without
 * copying and without a system call.
 *
 * Two things end the process rather than throw, so nobody may come near them:
 * - touching a mapping that is gone (SIGSEGV). A mapping is therefore given back only when control has returned to the
 *   event loop after its `close`; by the seam's contract nobody uses a view beyond that. Each opened file has a mapping
 *   of its own, so no close can take the memory from under another reader;
 * - touching mapped bytes that the file has no more (SIGBUS). Only files that no longer change are mapped.
 */
import { createRequire } from 'node:module';
import { getSystemErrorName } from 'node:util';
import { Queue } from '../../base/queue.ts';

export type MapOutcome =
  | { readonly ok: true; readonly mapping: Mapping }
  | { readonly ok: false; readonly errno: string; readonly message: string };

interface Koffi {
  load(path: string | null): { func(declaration: string): unknown };
  view(pointer: unknown, length: number): ArrayBuffer;
  address(pointer: unknown): bigint;
  errno(): number;
}

interface Calls {
  readonly koffi: Koffi;
  mmap(address: null, length: number, protection: number, flags: number, fd: number, offset: number): unknown;
  readonly munmap: Munmap;
}

interface Munmap {
  (address: bigint, length: number): number;
  /** The same on Node's thread pool. */
  async(address: bigint, length: number, done: () => void): void;
}

/**
 * Given back at a time. The system takes half a microsecond and more for each page that was read, in which no other thread
 * of the process can map anything.
 */
const UNMAPPED_BYTES_MAX = 1024 * 1024;
const PROT_READ = 1;
const MAP_SHARED = 1;
/** `(void *) -1`. It is no null pointer: a view of it could be made, and would end the process when touched. */
const MAP_FAILED = 2n ** 64n - 1n;
/**
 * Longer files are not mapped. Node 20 ends the process when asked for an ArrayBuffer of more than 4 GiB over foreign
 * memory, and what is near that limit is nothing that this project writes.
 */
export const MAPPED_BYTES_MAX = 2 ** 31;

let calls: Calls | null | undefined;

/** Whether files can be mapped here at all: a 64-bit POSIX system, and `koffi` installed. */
export function canMap(): boolean {
  calls ??= loadCalls();
  return calls !== null;
}

/** Maps the `length` bytes that the file has. The descriptor may be closed afterwards. */
export function mapFile(fd: number, length: number): MapOutcome {
  if (length > MAPPED_BYTES_MAX) {
    return refuse('EFBIG', `files of more than ${MAPPED_BYTES_MAX} bytes are not mapped; this has ${length}`);
  }
  if (length === 0) return refuse('EINVAL', 'an empty file cannot be mapped');
  calls ??= loadCalls();
  if (calls === null) return refuse('ENOTSUP', 'the package koffi cannot be loaded here');
  const pointer = calls.mmap(null, length, PROT_READ, MAP_SHARED, fd, 0);
  if (calls.koffi.address(pointer) === MAP_FAILED) {
    return refuse(getSystemErrorName(-calls.koffi.errno()), 'the system refuses to map the file');
  }
  return { ok: true, mapping: new Mapping(calls, pointer, length) };
}

export class Mapping {
  readonly bytes: Uint8Array;
  readonly #calls: Calls;
  #pointer: unknown;

  constructor(mapCalls: Calls, pointer: unknown, length: number) {
    this.#calls = mapCalls;
    this.#pointer = pointer;
    this.bytes = new Uint8Array(mapCalls.koffi.view(pointer, length));
  }

  /** Gives the memory back, from when this turn of the event loop is over. Idempotent. */
  close(): void {
    if (this.#pointer === null) return;
    setImmediate(giveBack, this.#calls.munmap, this.#calls.koffi.address(this.#pointer), this.bytes.length);
    this.#pointer = null;
  }
}

interface Range {
  readonly munmap: Munmap;
  readonly address: bigint;
  readonly length: number;
}

/**
 * What waits to be given back by the thread pool, one part at a time: the last part of a removed file takes the file's
 * pages along, which is milliseconds more.
 */
const ranges = new Queue<Range>();
let isGivingBack = false;

function giveBack(munmap: Munmap, address: bigint, length: number): void {
  ranges.push({ munmap, address, length });
  if (!isGivingBack) giveBackNext(0);
}

/** @param from How much of the first range is gone. */
function giveBackNext(from: number): void {
  const range = ranges.first;
  isGivingBack = range !== null;
  if (range === null) return;
  const { munmap, address, length } = range;
  const part = Math.min(length - from, UNMAPPED_BYTES_MAX);
  const isLast = from + part === length;
  if (isLast) ranges.shift();
  const next = (): void => giveBackNext(isLast ? 0 : from + part);
  const at = address + BigInt(from);
  try {
    munmap.async(at, part, next);
  } catch {
    // The program has as many other calls under way as `koffi` takes.
    munmap(at, part);
    setImmediate(next);
  }
}

function refuse(errno: string, message: string): MapOutcome {
  return { ok: false, errno, message };
}

function loadCalls(): Calls | null {
  // Elsewhere there is no mmap, or its offset has another width than the one declared below.
  if (process.platform === 'win32' || process.arch === 'ia32' || process.arch === 'arm') return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    const library = koffi.load(null);
    return {
      koffi,
      mmap: library.func('void* mmap(void*, size_t, int, int, int, int64)') as Calls['mmap'],
      munmap: library.func('int munmap(uint64, size_t)') as Munmap,
    };
  } catch {
    return null;
  }
}
