/**
 * Which data directory each member of the group had when this node met it first: for the nodes that the group was founded
 * with, of which no configuration says it. With its directory such a node has lost its vote and what it has acknowledged;
 * coming back empty under its old number it would undo both. So whoever has met it once refuses any other directory.
 *
 * A file for each, `identity-N`, written under another name, synced and renamed before the node is let in: a frame (see
 * `codec/frame.ts`) of the two numbers as varints.
 */
import { CorruptionError, toError } from '../base/errors.ts';
import { rarely } from '../base/rare.ts';
import { FRAME_HEADER_BYTES, FrameReader, writeFrame } from '../codec/frame.ts';
import { VARINT_BYTES_MAX, VarintReader, writeVarint } from '../codec/varint.ts';
import type { Disk } from '../io/disk.ts';
import type { NodeId } from '../raft/message.ts';

const BODY_BYTES_MAX = 2 * VARINT_BYTES_MAX;
const NAME = /^identity-(\d+)$/;

export class IdentityRegistry {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #known = new Map<NodeId, number>();
  /** Being written. */
  readonly #pending = new Set<NodeId>();
  readonly #onFailure: (error: Error) => void;

  /** @throws CorruptionError when a file is damaged; DiskError. */
  constructor(disk: Disk, directory: string, onFailure: (error: Error) => void) {
    this.#disk = disk;
    this.#directory = directory;
    this.#onFailure = onFailure;
    for (const name of disk.list(directory)) {
      const id = Number(NAME.exec(name)?.[1] ?? 0);
      if (id > 0) this.#known.set(id, readIdentityOf(disk, `${directory}/${name}`, id));
    }
  }

  /** Null: this node has not met it, or is still writing down that it has. */
  identityOf(id: NodeId): number | null {
    return this.#known.get(id) ?? null;
  }

  /** Writes it down, unless that is under way: `identityOf` tells it once it is durable. Only for a node that is not known. */
  note(id: NodeId, identity: number): void {
    if (this.#pending.has(id) || this.#known.has(id)) return;
    this.#pending.add(id);
    const path = `${this.#directory}/identity-${id}`;
    try {
      if (this.#disk.exists(`${path}.new`)) this.#disk.remove(`${path}.new`);
      const file = this.#disk.create(`${path}.new`);
      const body = new Uint8Array(BODY_BYTES_MAX);
      file.append(writeFrame(body.subarray(0, writeVarint(body, writeVarint(body, 0, id), identity))));
      file.sync((error) => {
        file.close();
        if (error === null) this.#rename(path, id, identity);
        else this.#onFailure(error);
      });
    } catch (error) {
      this.#onFailure(toError(error));
    }
  }

  #rename(path: string, id: NodeId, identity: number): void {
    try {
      this.#disk.rename(`${path}.new`, path);
      this.#disk.syncDirectory(this.#directory, (error) => {
        if (error !== null) {
          this.#onFailure(error);
          return;
        }
        rarely('the identity of a member is written down');
        this.#pending.delete(id);
        this.#known.set(id, identity);
      });
    } catch (error) {
      this.#onFailure(toError(error));
    }
  }
}

function readIdentityOf(disk: Disk, path: string, id: NodeId): number {
  const file = disk.open(path);
  try {
    const frames = new FrameReader(BODY_BYTES_MAX);
    frames.push(file.view(0, Math.min(file.size, FRAME_HEADER_BYTES + BODY_BYTES_MAX)).slice());
    const body = frames.next();
    const reader = new VarintReader(body ?? new Uint8Array(0));
    const [found, identity] = [reader.read(), reader.read()];
    if (body !== null && found === id && identity >= 0) return identity;
  } catch (error) {
    if (!(error instanceof Error) || (error as { code?: string }).code !== 'FRAME') throw error;
  } finally {
    file.close();
  }
  throw new CorruptionError(path, 0, 'the identity of a member is not intact');
}
