/** Where a value lies: a lookup that makes no view of it leaves the making, or the copying, to who needs one. */
export class ValuePlace {
  bytes: Uint8Array = new Uint8Array(0);
  start = 0;
  end = 0;

  set(bytes: Uint8Array, start: number, end: number): void {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
  }

  get view(): Uint8Array {
    return this.bytes.subarray(this.start, this.end);
  }
}
