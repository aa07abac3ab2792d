import { describe, expect, it } from 'vitest';
import { runLength } from '../../sim/run_length.ts';
import { nodeCompressions } from '../../src/io/node/compression.ts';
import { compressionCompliance } from './compression_compliance.ts';

for (const compression of [...nodeCompressions, runLength]) compressionCompliance(compression);

describe('the compressions of Node', () => {
  it('are at least those that every supported version has, each under a number of its own', () => {
    const names = nodeCompressions.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(['deflate', 'brotli']));
    expect(new Set(nodeCompressions.map(({ id }) => id)).size).toBe(names.length);
  });

  it('read what they wrote when they were new', () => {
    const [deflate, brotli] = nodeCompressions;
    const text = 'abcd'.repeat(6);
    const packed: [typeof deflate, string][] = [
      [deflate, '4b4c4a4e49c48201'],
      [brotli, '1b170000a4c3c4c6c8c41801880d'],
    ];
    for (const [compression, hex] of packed) {
      const found = compression?.decompress(Buffer.from(hex, 'hex'), text.length) ?? new Uint8Array(0);
      expect(Buffer.from(found).toString()).toBe(text);
    }
  });
});
