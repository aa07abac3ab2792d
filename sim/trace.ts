/**
 * The fingerprint of a run: a rolling hash over every event and its virtual time. Two runs of a seed are the same run
 * exactly when their hashes agree after every number of events; the first that differs is where to look.
 *
 * Two lanes of 32 bits are mixed as MurmurHash3 does. An event costs a few multiplications and no string; only when
 * somebody listens with `onLine` is text made. The hash finds accidents, it does not withstand intent.
 */
import { crc32 } from '../src/codec/crc32.ts';
import type { TraceProbe } from './report/probe.ts';

export class Trace {
  /** Receives a line per event: milliseconds, label, numbers, checksum of the bytes. */
  onLine: ((line: string) => void) | null = null;
  probe: TraceProbe | null = null;
  #count = 0;
  #high = 0x9e3779b9 | 0;
  #low = 0x85ebca6b | 0;
  #timeUs = 0;
  /** Hashes of the labels seen. Labels come from code and host names, so that they are few. */
  readonly #labels = new Map<string, number>();

  /** Events so far. */
  get count(): number {
    return this.#count;
  }

  /** The virtual time that the events from here on carry. */
  setTime(us: number): void {
    this.#timeUs = us;
  }

  /** @param a Any integer, as `b`; only the lowest 32 bits count. */
  event(label: string, a = 0, b = 0, bytes?: Uint8Array): void {
    let labelHash = this.#labels.get(label);
    if (labelHash === undefined) {
      labelHash = hashText(label);
      this.#labels.set(label, labelHash);
    }
    const checksum = bytes === undefined ? 0 : crc32(bytes);
    this.#fold(labelHash, a, b, checksum);
    this.probe?.onEvent(label, null, a, b);
    if (this.onLine !== null) {
      const tail = bytes === undefined ? '' : ` ${checksum.toString(16).padStart(8, '0')}`;
      this.onLine(`${(this.#timeUs / 1000).toFixed(3)} ${label} ${a} ${b}${tail}`);
    }
  }

  /** As `event`, about something with a name that is not one of few: a path, say. */
  named(label: string, name: string, a = 0, b = 0): void {
    this.#fold(hashText(label), a, b, hashText(name));
    this.probe?.onEvent(label, name, a, b);
    if (this.onLine !== null) this.onLine(`${(this.#timeUs / 1000).toFixed(3)} ${label} ${name} ${a} ${b}`);
  }

  /** 16 hexadecimal digits over all events so far. */
  hash(): string {
    const high = finish(this.#high ^ this.#count);
    const low = finish(this.#low ^ high);
    return hex(high) + hex(low);
  }

  #fold(label: number, a: number, b: number, checksum: number): void {
    this.#count++;
    const time = this.#timeUs;
    let high = mix(this.#high, label);
    high = mix(high, time | 0);
    high = mix(high, a | 0);
    let low = mix(this.#low, checksum | 0);
    low = mix(low, (time / 0x1_0000_0000) | 0);
    low = mix(low, b | 0);
    // Each lane feeds the other, so that the pair is one state of 64 bits.
    this.#high = (high + low) | 0;
    this.#low = (low ^ Math.imul(high, 0x27d4eb2f)) | 0;
  }
}

function mix(lane: number, value: number): number {
  let k = Math.imul(value, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = lane ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function finish(lane: number): number {
  let h = lane;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** FNV-1a over the UTF-16 code units. */
function hashText(text: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}
