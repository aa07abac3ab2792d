/** The floor's only parsing: `u32 length | body`, little-endian. */

export class FrameCutter {
  #rest: Buffer = Buffer.alloc(0);

  /** Calls `take` with each whole frame, its length included. */
  push(bytes: Buffer, take: (frame: Buffer) => void): void {
    let chunk = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (chunk.length >= 4) {
      const total = 4 + chunk.readUInt32LE(0);
      if (chunk.length < total) break;
      take(chunk.subarray(0, total));
      chunk = chunk.subarray(total);
    }
    this.#rest = chunk;
  }
}

export function frame(body: Buffer): Buffer {
  const framed = Buffer.allocUnsafe(4 + body.length);
  framed.writeUInt32LE(body.length, 0);
  body.copy(framed, 4);
  return framed;
}
