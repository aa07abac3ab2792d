/**
 * What a replica does that has found itself to be the odd one out (`state_comparison.ts`): from that moment on nothing of
 * its state is shown and nothing applied to it, and it is replaced as a whole by that of a replica which has done what
 * the majority has. It goes on voting and storing entries; one that leads hands over first.
 *
 * That it is odd is written down, in the file `odd`, since a process that starts anew knows nothing of digests: a frame
 * (`codec/frame.ts`) of varints, the number of the agreeing replicas and each of them. Its being there is what counts;
 * where it cannot be read, any member is asked. It goes with the installation of another state.
 *
 * Whoever is found odd over and over has a cause that another copy does not cure. So each rebuild but the first within an
 * hour waits, twice as long as the one before, and of more than three none is begun: the replica goes on without a
 * state to show until it is replaced, or started anew.
 */
import { DiskError } from '../base/errors.ts';
import { rarely, sometimes } from '../base/rare.ts';
import { FRAME_HEADER_BYTES, FrameReader, writeFrame } from '../codec/frame.ts';
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from '../codec/varint.ts';
import type { Clock } from '../io/clock.ts';
import type { Disk } from '../io/disk.ts';
import type { Logger } from '../io/logger.ts';
import type { Index } from '../log/entry.ts';
import type { NodeId } from '../raft/message.ts';
import { hex, type OddOneOut } from './state_comparison.ts';

export interface DivergenceRepairOptions {
  readonly id: NodeId;
  readonly disk: Disk;
  /** Where the file `odd` is. */
  readonly directory: string;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly logger: Logger;
  readonly leads: () => boolean;
  /** Has the state replaced by that of one of these, or, null, of anybody; as soon as `mayBegin` says so. */
  readonly rebuild: (sources: readonly NodeId[] | null) => void;
}

/** For people. */
export type RepairPhase = 'none' | 'rebuilding' | 'waiting' | 'given-up';

const REBUILDS_MAX = 3;
const FIRST_PAUSE_MS = 60_000;
/** What was longer ago does not count. */
const REMEMBERED_MS = 3_600_000;
const SOURCES_MAX = 64;
const BODY_BYTES_MAX = (SOURCES_MAX + 1) * VARINT_BYTES_MAX;

export class DivergenceRepair {
  readonly #options: DivergenceRepairOptions;
  readonly #path: string;
  #isOdd = false;
  /** Null: anybody. */
  #sources: readonly NodeId[] | null = null;
  /** When this replica was found odd, within the last hour. */
  #foundAtMs: number[] = [];
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(options: DivergenceRepairOptions) {
    this.#options = options;
    this.#path = `${options.directory}/odd`;
  }

  /** What the store holds differs from what a majority holds. */
  get isOdd(): boolean {
    return this.#isOdd;
  }

  /** Who has done what the majority has; none: nothing is odd, or it is not known. */
  get sources(): readonly NodeId[] {
    return this.#sources ?? [];
  }

  get phase(): RepairPhase {
    if (!this.#isOdd) return 'none';
    if (this.#foundAtMs.length > REBUILDS_MAX) return 'given-up';
    return this.#options.clock.monotonicMs() < this.#notBeforeMs ? 'waiting' : 'rebuilding';
  }

  /** Whether another state may be fetched now. */
  get mayBegin(): boolean {
    if (!this.#isOdd) return true;
    return this.phase === 'rebuilding' && !this.#options.leads();
  }

  /** For the start: an earlier process may have found it. `isAlone`: nobody else is left to tell. */
  resume(isAlone: boolean): void {
    const { disk, logger, id } = this.#options;
    if (!disk.exists(this.#path)) return;
    if (isAlone) {
      logger.log('error', 'state-rebuild-impossible', { node: id, why: 'no other member is left' });
      this.#forget();
      return;
    }
    rarely('a node starts that was the odd one out');
    this.#sources = readSources(disk, this.#path);
    const from = this.#sources?.join(' ') ?? 'any';
    logger.log('warn', 'state-rebuild-resumed', { node: id, from });
    this.#begin();
  }

  onOdd({ index, digest, majorityDigest, agreeing }: OddOneOut): void {
    if (this.#isOdd) return;
    const { logger, id } = this.#options;
    sometimes('a replica is the odd one out');
    if (this.#options.leads()) rarely('the leader is the odd one out');
    this.#sources = agreeing;
    logger.log('error', 'state-odd-one-out', {
      node: id,
      index,
      digest: hex(digest),
      majority_digest: hex(majorityDigest),
      agreeing: agreeing.join(' '),
    });
    this.#begin();
    this.#writeDown(agreeing);
    if (this.phase === 'given-up') {
      const why = `found ${this.#foundAtMs.length} times within an hour: this node must be replaced`;
      logger.log('error', 'state-rebuild-given-up', { node: id, why });
    } else if (this.phase === 'waiting') {
      const waitMs = this.#notBeforeMs - this.#options.clock.monotonicMs();
      logger.log('warn', 'state-rebuild-waits', { node: id, wait_ms: Math.ceil(waitMs) });
    }
  }

  /** Another state was installed, as of the entry at `index`. */
  onInstalled(index: Index): void {
    if (!this.#isOdd) return;
    sometimes('a replica that was the odd one out is rebuilt');
    this.#isOdd = false;
    this.#sources = null;
    this.#options.logger.log('info', 'state-rebuilt', { node: this.#options.id, index });
    this.#forget();
  }

  #begin(): void {
    const { clock, rebuild } = this.#options;
    const nowMs = clock.monotonicMs();
    this.#isOdd = true;
    this.#foundAtMs = this.#foundAtMs.filter((atMs) => nowMs - atMs < REMEMBERED_MS);
    this.#foundAtMs.push(nowMs);
    const repeated = this.#foundAtMs.length - 1;
    this.#notBeforeMs = repeated === 0 ? nowMs : nowMs + FIRST_PAUSE_MS * 2 ** (repeated - 1);
    rebuild(this.#sources);
  }

  /** A crash before that is durable makes this node find it anew. What it must not do is to stop: it would forget. */
  #writeDown(sources: readonly NodeId[]): void {
    const { disk, directory } = this.#options;
    try {
      if (disk.exists(this.#path)) disk.remove(this.#path);
      const file = disk.create(this.#path);
      file.append(writeFrame(encodeSources(sources)));
      file.sync((error) => {
        file.close();
        if (error !== null) this.#warn(error);
      });
      disk.syncDirectory(directory, (error) => {
        if (error !== null) this.#warn(error);
      });
    } catch (error) {
      this.#warn(error);
    }
  }

  /** Where that fails the next start rebuilds once more. */
  #forget(): void {
    const { disk, directory } = this.#options;
    try {
      if (!disk.exists(this.#path)) return;
      disk.remove(this.#path);
      disk.syncDirectory(directory, (error) => {
        if (error !== null) this.#warn(error);
      });
    } catch (error) {
      this.#warn(error);
    }
  }

  /** @throws what is no error of the disk. */
  #warn(error: unknown): void {
    if (!(error instanceof DiskError)) throw error;
    this.#options.logger.log('warn', 'state-odd-not-noted', { path: this.#path, why: error.message });
  }
}

function encodeSources(sources: readonly NodeId[]): Uint8Array {
  const body = new Uint8Array(BODY_BYTES_MAX);
  const count = Math.min(sources.length, SOURCES_MAX);
  let at = writeVarint(body, 0, count);
  for (const id of sources.slice(0, count)) at = writeVarint(body, at, id);
  return body.subarray(0, at);
}

/** Null: the file is not whole, or cannot be read. */
function readSources(disk: Disk, path: string): readonly NodeId[] | null {
  try {
    const file = disk.open(path);
    try {
      const frames = new FrameReader(BODY_BYTES_MAX);
      frames.push(file.view(0, Math.min(file.size, FRAME_HEADER_BYTES + BODY_BYTES_MAX)).slice());
      const reader = new VarintReader(frames.next() ?? new Uint8Array(0));
      const count = reader.read();
      if (count <= 0 || count > SOURCES_MAX) return null;
      const sources = Array.from({ length: count }, () => reader.read());
      return sources.every((id) => id > 0) ? sources : null;
    } finally {
      file.close();
    }
  } catch (error) {
    const isOfTheFile = error instanceof DiskError || (error as { code?: string }).code === 'FRAME';
    if (!isOfTheFile) throw error;
    return null;
  }
}
