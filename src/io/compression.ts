/** The seam behind which blocks of tables are compressed: the core knows no format of compression. */

export interface Compression {
  /** By which tables name it, 1 to 255; what it stands for never changes. */
  readonly id: number;
  /** By which people name it. */
  readonly name: string;
  /** Memory of its own, or a view that is valid until the next call. */
  compress(bytes: Uint8Array): Uint8Array;
  /**
   * Exactly `length` bytes, which is what went in. Never makes more than that, whatever the input says.
   * @throws any error when the input does not give so many.
   */
  decompress(bytes: Uint8Array, length: number): Uint8Array;
}
