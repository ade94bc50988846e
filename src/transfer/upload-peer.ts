/**
 * One requesting peer: its contents and its requests, served in order. Memory holds at most the piece being sent, the next one, and the
 * stream's queue.
 */
import { isShoalError, ShoalError } from "../lib/index.ts";
import type { FrameStream } from "../network/index.ts";
import {
  exceeds,
  HASH_BYTES,
  pieceCount,
  hasBit,
  type Content,
  type Root,
} from "../store/index.ts";
import { DEFAULTS } from "./defaults.ts";
import type { UploadShared } from "./upload-shared.ts";
import type { SlotHolder } from "./upload-slots.ts";
import {
  AnswerType,
  type Ask,
  AskType,
  BITS_PER_FRAME,
  decodeAsk,
  encodeHave,
  encodeReject,
  encodeSlot,
  HASHES_PER_FRAME,
  HAVES_PER_FRAME,
  listHead,
  malformed,
  pieceHead,
  Reason,
  WHOLE,
} from "./wire.ts";

interface Channel {
  root: Root;
  /** What the peer was told; undefined while the content is missing. */
  told: { sizeBytes: number; have: Uint8Array } | undefined;
}

interface Request {
  channel: number;
  piece: number;
  cancelled: boolean;
  /** Started early, while the previous piece is being sent. Never rejects. */
  read: Promise<Uint8Array | Reason> | undefined;
}

export class UploadPeer implements SlotHolder {
  readonly peer: string;
  readonly #stream: FrameStream;
  readonly #shared: UploadShared;
  readonly #channels = new Map<number, Channel>();
  #nextChannel = 0;
  #queue: Request[] = [];
  #current: Request | undefined;
  #serving = false;
  readonly #gone = new AbortController();
  #cancelLinger: () => void = () => {};

  constructor(stream: FrameStream, shared: UploadShared) {
    this.peer = stream.peer;
    this.#stream = stream;
    this.#shared = shared;
    stream.onClose((error) => this.#onClose(error));
    stream.onFrame((frame) => this.#onAsk(decodeAsk(frame)));
  }

  get queuedRequests(): number {
    return this.#queue.length;
  }

  abort(error: ShoalError): void {
    this.#stream.abort(error);
  }

  // what is here

  /** Tells the peer what was added, grew or was removed since the last time. */
  update(): void {
    for (const [number, channel] of this.#channels) {
      this.#tell(number, channel)?.catch(() => {});
    }
  }

  /** The piece is being downloaded here. */
  expect(root: Root, pieces: readonly number[]): void {
    for (const [number, channel] of this.#channels) {
      if (channel.root !== root || channel.told === undefined) continue;
      for (let at = 0; at < pieces.length; at += HAVES_PER_FRAME) {
        const some = pieces.slice(at, at + HAVES_PER_FRAME);
        void this.#stream.send(encodeHave(number, false, some));
      }
    }
  }

  #content(root: Root): Content | undefined {
    return this.#shared.allow(this.peer, root)
      ? this.#shared.store.get(root)
      : undefined;
  }

  #tell(number: number, channel: Channel): Promise<void> | undefined {
    const content = this.#content(channel.root);
    if (content === undefined) {
      if (channel.told === undefined) return undefined;
      channel.told = undefined;
      return this.#stream.send(encodeReject(number, WHOLE, Reason.Changed));
    }
    const { told } = channel;
    if (
      told === undefined ||
      told.have.length !== content.have.length ||
      exceeds(told.have, content.have)
    ) {
      return this.#sendMap(number, channel, content);
    }
    const gained: number[] = [];
    for (const [at, byte] of content.have.entries()) {
      if (byte === told.have[at]) continue;
      for (let bit = 0; bit < 8; bit++) {
        const piece = at * 8 + bit;
        if (hasBit(content.have, piece) && !hasBit(told.have, piece))
          gained.push(piece);
      }
    }
    told.have.set(content.have);
    let sent: Promise<void> | undefined;
    for (let at = 0; at < gained.length; at += HAVES_PER_FRAME) {
      const some = gained.slice(at, at + HAVES_PER_FRAME);
      sent = this.#stream.send(encodeHave(number, true, some));
    }
    return sent;
  }

  async #sendMap(
    number: number,
    channel: Channel,
    { metadata: { sizeBytes }, have }: Content,
  ): Promise<void> {
    const bits = have.slice();
    channel.told = { sizeBytes, have: bits };
    const pieces = pieceCount(sizeBytes);
    for (let first = 0; first < pieces; first += BITS_PER_FRAME) {
      const head = listHead(AnswerType.HaveMap, number, sizeBytes, first);
      const end = Math.min(first + BITS_PER_FRAME, pieces);
      const page = bits.slice(first / 8, Math.ceil(end / 8));
      await this.#stream.send(head, page);
    }
  }

  // requests; a promise holds further frames back

  #onAsk(ask: Ask): Promise<void> | undefined {
    if (ask.type === AskType.Interest) return this.#interest(ask);
    const channel = this.#channels.get(ask.channel);
    if (channel === undefined) {
      throw malformed(`channel ${ask.channel} is not open`);
    }
    switch (ask.type) {
      case AskType.AskHashes:
        return this.#sendHashes(ask.channel, channel, ask.first);
      case AskType.Request:
        return this.#request(ask.channel, channel, ask.piece);
      case AskType.Cancel:
        return this.#cancel(ask.channel, ask.piece);
      case AskType.Leave:
        this.#channels.delete(ask.channel);
        return this.#cancel(ask.channel, undefined);
      default:
        return undefined;
    }
  }

  #interest(
    ask: Extract<Ask, { type: typeof AskType.Interest }>,
  ): Promise<void> | undefined {
    if (
      ask.channel !== this.#nextChannel ||
      this.#channels.size >= DEFAULTS.channelsPerPeer
    ) {
      throw malformed(
        `channel ${ask.channel}, ${this.#channels.size} are open`,
      );
    }
    this.#nextChannel++;
    const channel: Channel = { root: ask.root, told: undefined };
    this.#channels.set(ask.channel, channel);
    const told = this.#tell(ask.channel, channel);
    if (channel.told !== undefined) return told;
    return this.#stream.send(encodeReject(ask.channel, WHOLE, Reason.NotHere));
  }

  #sendHashes(
    number: number,
    channel: Channel,
    first: number,
  ): Promise<void> | undefined {
    const metadata = this.#content(channel.root)?.metadata;
    if (metadata === undefined) {
      return this.#stream.send(encodeReject(number, WHOLE, Reason.NotHere));
    }
    const { sizeBytes, pieceHashes } = metadata;
    if (first >= pieceCount(sizeBytes)) throw malformed(`no piece ${first}`);
    return this.#stream.send(
      listHead(AnswerType.Hashes, number, sizeBytes, first),
      // The stream keeps it, so it must not be a view of memory that the store may drop.
      pieceHashes.slice(
        first * HASH_BYTES,
        (first + HASHES_PER_FRAME) * HASH_BYTES,
      ),
    );
  }

  #request(
    number: number,
    channel: Channel,
    piece: number,
  ): Promise<void> | undefined {
    const same = (r: Request): boolean =>
      r.channel === number && r.piece === piece;
    if (
      this.#queue.some(same) ||
      (this.#current !== undefined && same(this.#current))
    ) {
      throw malformed(`piece ${piece} is requested twice`);
    }
    const content = this.#content(channel.root);
    const reason =
      content === undefined || !hasBit(content.have, piece)
        ? Reason.NotHere
        : this.#queue.length >= DEFAULTS.queuedRequests
          ? Reason.TooMany
          : undefined;
    if (reason !== undefined) {
      return this.#stream.send(encodeReject(number, piece, reason));
    }
    this.#queue.push({
      channel: number,
      piece,
      cancelled: false,
      read: undefined,
    });
    this.#cancelLinger();
    if (this.#shared.slots.ask(this)) this.#serve();
    return undefined;
  }

  #cancel(
    channel: number,
    piece: number | undefined,
  ): Promise<void> | undefined {
    const matches = (r: Request): boolean =>
      r.channel === channel && (piece === undefined || r.piece === piece);
    const cancelled = this.#queue.filter(matches);
    this.#queue = this.#queue.filter((r) => !matches(r));
    if (this.#current !== undefined && matches(this.#current)) {
      this.#current.cancelled = true;
    }
    let sent: Promise<void> | undefined;
    for (const request of cancelled) {
      sent = this.#reject(request, Reason.Cancelled);
    }
    this.#linger();
    return sent;
  }

  // serving

  onServed(): void {
    if (this.#gone.signal.aborted) return;
    void this.#stream.send(encodeSlot(true, 0));
    this.#serve();
  }

  onWaiting(ahead: number): void {
    void this.#stream.send(encodeSlot(false, ahead));
  }

  #serve(): void {
    if (this.#serving) return;
    this.#serving = true;
    this.#serveQueue()
      .catch((error: unknown) => {
        // The stream is gone, or this is our own fault; either way the peer must not wait for an answer.
        this.#stream.abort(ShoalError.from(error));
      })
      .finally(() => {
        this.#serving = false;
        this.#current = undefined;
        // What arrived between the last check and now.
        if (this.#queue.length === 0) this.#linger();
        else if (this.#shared.slots.ask(this)) this.#serve();
      });
  }

  async #serveQueue(): Promise<void> {
    while (!this.#gone.signal.aborted) {
      const request = this.#queue.shift();
      if (request === undefined) return;
      this.#current = request;
      const bytes = await this.#read(request);
      const next = this.#queue[0];
      if (next !== undefined) void this.#read(next);
      if (typeof bytes === "number") await this.#reject(request, bytes);
      else await this.#sendPiece(request, bytes);
      this.#current = undefined;
      if (this.#queue.length > 0 && this.#shared.slots.yieldTurn(this)) return;
    }
  }

  #read(request: Request): Promise<Uint8Array | Reason> {
    const root = this.#channels.get(request.channel)?.root ?? "";
    request.read ??= this.#shared.store
      .readPiece(root, request.piece)
      .catch((error: unknown) => {
        if (isShoalError(error, "CONTENT_CHANGED")) return Reason.Changed;
        if (isShoalError(error, "PIECE_MISSING", "CONTENT_UNKNOWN"))
          return Reason.NotHere;
        this.#shared.events.warn(
          "TORRENT",
          `cannot read piece ${request.piece} of ${root.slice(0, 12)}: ${ShoalError.from(error).message}`,
          { root, piece: request.piece },
        );
        return Reason.Unreadable;
      });
    return request.read;
  }

  async #sendPiece(request: Request, bytes: Uint8Array): Promise<void> {
    const { limit, sent, onSent } = this.#shared;
    const { channel, piece } = request;
    for (let offset = 0; offset < bytes.length;) {
      const data = bytes.subarray(offset, offset + this.#dataBytes());
      await limit.acquire(data.length, this.#gone.signal);
      if (request.cancelled) break;
      await this.#stream.send(pieceHead(channel, piece, offset), data);
      sent.add(data.length);
      offset += data.length;
    }
    const root = this.#channels.get(channel)?.root;
    if (request.cancelled) await this.#reject(request, Reason.Cancelled);
    else if (root !== undefined) onSent(root);
  }

  /** Smaller frames under a low limit, so that bytes flow at least four times a second. */
  #dataBytes(): number {
    const quarter = this.#shared.limit.bytesPerSecond / 4;
    return Math.max(16 * 1024, Math.min(DEFAULTS.dataBytes, quarter));
  }

  #reject(request: Request, reason: Reason): Promise<void> | undefined {
    return this.#stream.send(
      encodeReject(request.channel, request.piece, reason),
    );
  }

  /** Without requests the slot is kept for a moment. */
  #linger(): void {
    const { clock, slots, slotLingerMs } = this.#shared;
    if (this.#serving || this.#queue.length > 0) return;
    this.#cancelLinger();
    if (!slots.isServed(this)) {
      slots.release(this);
      return;
    }
    this.#cancelLinger = clock.after(slotLingerMs, () => slots.release(this));
  }

  #onClose(error: ShoalError | undefined): void {
    this.#gone.abort(error);
    this.#queue = [];
    this.#channels.clear();
    this.#cancelLinger();
    this.#shared.slots.release(this);
    if (isShoalError(error, "FRAME_MALFORMED", "FRAME_TOO_LARGE")) {
      this.#shared.onMalformed(this.peer, error);
    }
  }
}
