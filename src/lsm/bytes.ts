/** Little-endian integers in byte arrays. */

export function writeUint32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value;
  target[offset + 1] = value >>> 8;
  target[offset + 2] = value >>> 16;
  target[offset + 3] = value >>> 24;
}

export function readUint32(source: Uint8Array, offset: number): number {
  return (
    (source[offset] | (source[offset + 1] << 8) | (source[offset + 2] << 16) | (source[offset + 3] << 24)) >>>
    0
  );
}
