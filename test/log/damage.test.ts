import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CorruptionError } from '../../src/base/errors.ts';
import { equalBytes } from '../../src/codec/bytes.ts';
import type { CrashDisk } from './crash_disk.ts';
import { DIRECTORY, drawsOf, Machine } from './harness.ts';
import { expectEqual, Model, type Step, stepsWithReopens } from './steps.ts';

const SEGMENT_HEADER_BYTES = 32;
const RECORD_HEADER_BYTES = 40;
const LENGTH_AT = 12;

/** Where the parts of a log are that damage must not pass unnoticed in, by the format's description alone. */
interface Part {
  readonly path: string;
  /** Where the damage is to be reported. */
  readonly offset: number;
  readonly bytes: number;
  /** Bytes at the end that carry nothing. */
  readonly paddingBytes: number;
}

/** The records of each segment, up to the last marker of the last one: nothing attests that itself. */
function durableParts(disk: CrashDisk): Part[] {
  const parts: Part[] = [];
  for (const name of disk.list(DIRECTORY)) {
    if (!name.endsWith('.log')) continue;
    const path = `${DIRECTORY}/${name}`;
    const bytes = disk.contents(path);
    const view = new DataView(bytes.buffer);
    parts.push({ path, offset: 0, bytes: SEGMENT_HEADER_BYTES, paddingBytes: 0 });
    let offset = SEGMENT_HEADER_BYTES;
    while (offset + RECORD_HEADER_BYTES <= bytes.length && bytes[offset] !== 0) {
      const payloadBytes = view.getUint32(offset + LENGTH_AT, true);
      const paddingBytes = (8 - (payloadBytes % 8)) % 8;
      const size = RECORD_HEADER_BYTES + payloadBytes + paddingBytes;
      parts.push({ path, offset, bytes: size, paddingBytes });
      offset += size;
    }
  }
  return parts.slice(0, -1);
}

/** A log after some life, at rest, its last marker written. */
function build(steps: readonly Step[], segmentBytes: number): { machine: Machine; model: Model } {
  const machine = new Machine({ segmentBytes, cacheBytes: 0 });
  const model = new Model();
  let log = machine.open();
  for (const step of steps) {
    if (step.do === 'append') {
      const appended = model.next(step);
      model.apply(appended);
      log.group(appended.group).append(appended.entry);
    } else if (step.do === 'flush') log.flush();
    else if (step.do === 'complete') machine.finish();
    else if (step.do === 'timer') machine.settle();
    else if (step.do === 'reopen') {
      machine.close(log);
      log = machine.open();
    }
  }
  log.flush();
  machine.settle();
  machine.restart(machine.disk.kill());
  return { machine, model };
}

function expectReported(machine: Machine, part: Part, at: number, bit: number): void {
  const intact = machine.disk.contents(part.path);
  const damaged = intact.slice();
  damaged[part.offset + at] ^= 1 << bit;
  machine.disk.overwrite(part.path, damaged);
  const outcome = machine.tryOpen();
  const found = outcome.ok ? 'opened' : outcome.error;
  expect(found, `byte ${at} of the part at ${part.path}:${part.offset}`).toBeInstanceOf(CorruptionError);
  expect(found).toMatchObject({ path: part.path, offset: part.offset });
  expect(equalBytes(machine.disk.contents(part.path), damaged), 'nothing is cut').toBe(true);
  machine.disk.overwrite(part.path, intact);
}

describe('a flipped bit in what was durable', () => {
  it('is reported with the file and the record, wherever it is', () => {
    fc.assert(
      fc.property(
        stepsWithReopens,
        fc.constantFrom(256, 1024, 8192),
        fc.integer(),
        (steps, segmentBytes, seed) => {
          const { machine, model } = build(steps, segmentBytes);
          const draw = drawsOf(seed);
          const parts = durableParts(machine.disk);
          for (let i = 0; i < 12 && parts.length > 0; i++) {
            const part = parts[draw(parts.length)];
            const inHeader = draw(2) === 0;
            const size = inHeader
              ? Math.min(part.bytes, RECORD_HEADER_BYTES)
              : part.bytes - part.paddingBytes;
            expectReported(machine, part, draw(size), draw(8));
          }
          expectEqual(machine.open(), model);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('is reported for every byte of a small log', () => {
    const append = { do: 'append', group: 1, bytes: 13, back: 0 } as const;
    const flush = [{ do: 'flush' }, { do: 'complete', count: 1 }] as const;
    const batch = [append, append, ...flush];
    const { machine } = build([...batch, ...batch, ...batch, append, ...flush], 192);
    const parts = durableParts(machine.disk);
    expect(machine.disk.list(DIRECTORY)).toContain('000002.log');
    expect(parts.length).toBeGreaterThan(8);
    for (const part of parts) {
      for (let at = 0; at < part.bytes - part.paddingBytes; at++) expectReported(machine, part, at, at % 8);
    }
  });

  it('changes nothing where it hits padding', () => {
    const { machine, model } = build([{ do: 'append', group: 1, bytes: 13, back: 0 }], 1024);
    const [part] = durableParts(machine.disk).filter(({ paddingBytes }) => paddingBytes > 0);
    const bytes = machine.disk.contents(part.path);
    bytes[part.offset + part.bytes - 1] ^= 0x80;
    machine.disk.overwrite(part.path, bytes);
    expectEqual(machine.open(), model);
  });
});
