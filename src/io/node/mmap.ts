/**
 * Read-only memory maps through `koffi`, where that optional package can be loaded: a zero-copy view of a file.
 *
 * Touching an unmapped view is a segmentation fault, so a mapping is released only when control has returned to the
 * event loop after its `close`: by the seam's contract nobody uses a view beyond that.
 */
import { createRequire } from 'node:module';

export interface Mapping {
  readonly bytes: Uint8Array;
  /** Idempotent. */
  close(): void;
}

type MapFunction = (
  address: null,
  length: number,
  protection: number,
  flags: number,
  fd: number,
  offset: number,
) => unknown;
type UnmapFunction = (address: unknown, length: number) => number;

interface Koffi {
  load(path: string | null): { func(declaration: string): unknown };
  view(pointer: unknown, length: number): ArrayBuffer;
}

interface Calls {
  readonly koffi: Koffi;
  readonly mmap: MapFunction;
  readonly munmap: UnmapFunction;
}

const PROT_READ = 1;
const MAP_SHARED = 1;

let calls: Calls | null | undefined;

/** Null where mapping is not possible: no `koffi`, no `mmap`, or the system refuses. */
export function mapFile(fd: number, bytes: number): Mapping | null {
  calls ??= loadCalls();
  if (calls === null || bytes === 0) return null;
  const { koffi, mmap, munmap } = calls;
  try {
    const pointer = mmap(null, bytes, PROT_READ, MAP_SHARED, fd, 0);
    const view = new Uint8Array(koffi.view(pointer, bytes));
    let isOpen = true;
    return {
      bytes: view,
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        setImmediate(() => munmap(pointer, bytes));
      },
    };
  } catch {
    // MAP_FAILED is no address that can be viewed; the caller falls back to reading.
    return null;
  }
}

function loadCalls(): Calls | null {
  if (process.platform === 'win32') return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    const library = koffi.load(null);
    return {
      koffi,
      mmap: library.func('void* mmap(void*, size_t, int, int, int, int64)') as MapFunction,
      munmap: library.func('int munmap(void*, size_t)') as UnmapFunction,
    };
  } catch {
    return null;
  }
}
