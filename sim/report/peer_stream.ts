/**
 * One direction of a connection as the report sees it: bytes in, and of each message where in the stream it ends and
 * what it says. Peer connections carry frames, behind the preamble of the side that dialled; everything else is a client
 * dialect and is shown as the text that it is, a message for what is sent at one time.
 *
 * The bytes are those that were sent. Where bits have flipped on the way the rest of the stream has no meaning any more,
 * to the receiver as little as here.
 */
import { assert } from '../../src/base/assert.ts';
import { EnvelopeError } from '../../src/base/errors.ts';
import { fromUtf8 } from '../../src/codec/bytes.ts';
import { FrameReader } from '../../src/codec/frame.ts';
import { decodePeerFrame, frameBytesMax, PREAMBLE } from '../../src/server/peer_protocol.ts';
import { labelClientBytes, labelPeerFrame, type MessageLabel } from './message_label.ts';

/**
 * `end`: position behind the last byte, counted from the start of the stream. `raw`: the whole text of what a client or
 * a node says in a dialect; empty for others.
 */
export type LabelledMessage = MessageLabel & { readonly end: number; readonly raw: string };

/** The largest value that a store takes by default is far smaller. */
const FRAME_BYTES_MAX = frameBytesMax(64 * 1024 * 1024);
const FRAME_HEADER_BYTES = 8;

export type StreamKind =
  /** The side that dialled, of a peer connection: the preamble comes first. */
  | 'peer-dialled'
  /** The side that answers on a peer connection. */
  | 'peer-answering'
  | 'request'
  | 'answer';

export class PeerStream {
  readonly #kind: StreamKind;
  readonly #reader = new FrameReader(FRAME_BYTES_MAX);
  /** Bytes of the preamble still to come. */
  #preambleLeft: number;
  /** Position behind the last message cut off. */
  #end = 0;
  #pushed = 0;
  #isDamaged = false;

  constructor(kind: StreamKind) {
    this.#kind = kind;
    this.#preambleLeft = kind === 'peer-dialled' ? PREAMBLE.length : 0;
  }

  /** The two as one: the second follows the first. */
  join(first: LabelledMessage, second: LabelledMessage): LabelledMessage {
    assert(this.#kind === 'request' || this.#kind === 'answer', 'frames are whole messages');
    return this.#textMessage(first.raw + second.raw, this.#kind);
  }

  /** The messages that these bytes complete, oldest first. */
  push(bytes: Uint8Array): LabelledMessage[] {
    this.#pushed += bytes.length;
    if (this.#kind === 'request' || this.#kind === 'answer') {
      return [this.#textMessage(fromUtf8(bytes), this.#kind)];
    }
    if (this.#isDamaged) return [this.#damaged('follows damaged bytes')];
    const skipped = Math.min(this.#preambleLeft, bytes.length);
    this.#preambleLeft -= skipped;
    this.#end += skipped;
    // The reader keeps what it was given; these bytes are only lent.
    this.#reader.push(bytes.slice(skipped));
    const messages: LabelledMessage[] = [];
    try {
      for (let body = this.#reader.next(); body !== null; body = this.#reader.next()) {
        this.#end += FRAME_HEADER_BYTES + body.length;
        messages.push({ ...labelPeerFrame(decodePeerFrame(body)), end: this.#end, raw: '' });
      }
    } catch (error) {
      if (!(error instanceof EnvelopeError)) throw error;
      this.#isDamaged = true;
      messages.push(this.#damaged(error.message));
    }
    return messages;
  }

  #textMessage(raw: string, kind: 'request' | 'answer'): LabelledMessage {
    return { ...labelClientBytes(raw, kind), end: this.#pushed, raw };
  }

  #damaged(text: string): LabelledMessage {
    return { kind: 'damaged', isReply: false, term: 0, name: 'damaged', text, end: this.#pushed, raw: '' };
  }
}
