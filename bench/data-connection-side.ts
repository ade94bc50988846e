/** One end of bench/data-connection.ts: a loop on a poller, as an engine's, that works and answers each frame; or one that asks. */
import {
  DataConnection,
  DataListener,
  Poller,
  ringKeys,
  type FrameCodec,
  type RingKeys,
} from "../src/ring/index.ts";
import { FRAME_OVERHEAD, GcmCodec, LENGTH_BYTES } from "../src/ring/gcm.ts";
import type { Memory } from "../src/ring/libc.ts";

export interface Hop {
  bytes: number;
  encrypts: boolean;
  spinUs: number;
  workUs: number;
  /** Bytes of memory that the work reads again and again, as a decode reads its weights. */
  touchBytes: number;
  rounds: number;
}

/** Half a round trip without the work, in µs, median and 10th percentile; and where it goes, medians. */
export interface HopTimes {
  hop: number;
  hopP10: number;
  hopP95: number;
  hopMean: number;
  seal: number;
  /** The system call, until it returns. */
  transmit: number;
  open: number;
  /** From the opened frame to the work: the view and the handler. */
  handle: number;
  /** The rest of the half round trip: the kernel, waking up, polling, `recv`. */
  between: number;
}

/** Microseconds of a clock that both processes share. */
const at = new BigUint64Array(1);
function nowUs(): number {
  at[0] = process.hrtime.bigint();
  return Number(at[0]) / 1e3;
}

/** A codec that notes when it worked. */
class TimedCodec implements FrameCodec {
  readonly #inner: FrameCodec;
  sealStart = 0;
  sealEnd = 0;
  openStart = 0;
  openEnd = 0;

  constructor(inner: FrameCodec) {
    this.#inner = inner;
  }

  seal(...o: Parameters<FrameCodec["seal"]>): void {
    this.sealStart = nowUs();
    this.#inner.seal(...o);
    this.sealEnd = nowUs();
  }

  open(...o: Parameters<FrameCodec["open"]>): boolean {
    this.openStart = nowUs();
    const isAuthentic = this.#inner.open(...o);
    this.openEnd = nowUs();
    return isAuthentic;
  }

  free(): void {
    this.#inner.free();
  }
}

/** The same frames without encryption, to measure what it costs. Nothing but this bench has it. */
class PlainCodec implements FrameCodec {
  seal(
    parts: readonly Uint8Array[],
    length: number,
    out: Memory,
    start: number,
  ): void {
    out.view.setUint32(start, length, true);
    let to = start + LENGTH_BYTES;
    for (const part of parts) {
      out.bytes.set(part, to);
      to += part.byteLength;
    }
  }

  open(from: Memory, start: number, length: number, into: Memory): boolean {
    const body = start + LENGTH_BYTES;
    into.bytes.set(from.bytes.subarray(body, body + length));
    return true;
  }

  free(): void {}
}

const touched = new Uint8Array(1 << 26);
let sink = 0;

function work({ workUs, touchBytes }: Hop): void {
  const end = performance.now() + workUs / 1e3;
  let from = 0;
  while (performance.now() < end) {
    if (touchBytes === 0) continue;
    for (let i = 0; i < 64; i++) {
      sink = (sink + (touched[from] ?? 0)) | 0;
      from = (from + 64) % touchBytes;
    }
  }
}

const id = new Uint8Array(16);
const secret = new Uint8Array(32);
function keysOf(isDialer: boolean): RingKeys {
  return ringKeys({
    connection: id,
    dialer: { peer: "asks", secret },
    listener: { peer: "answers", secret },
    isDialer,
  });
}

const poller = new Poller();

/** Answers until the other side is gone. */
function answer(hop: Hop): void {
  const listener = new DataListener("0.0.0.0", 0, codecOf(hop));
  const reply = new Uint8Array(hop.bytes - FRAME_OVERHEAD);
  const parts = [reply.subarray(0, 32), reply.subarray(32)];
  const state = { isOver: false };
  poller.watch(listener.fd, () =>
    listener.onReadable(
      poller,
      () => keysOf(false),
      (connection) => {
        connection.onFrame = () => {
          work(hop);
          connection.send(parts);
        };
        connection.onClosed = () => (state.isOver = true);
      },
    ),
  );
  process.send?.(listener.port, () => {
    while (!state.isOver) waitFor(hop.spinUs);
    listener.close();
    process.disconnect();
  });
}

/** Asks without sleeping for `spinUs`, then sleeps. */
function waitFor(spinUs: number): void {
  if (spinUs > 0)
    for (const end = nowUs() + spinUs; nowUs() < end;)
      if (poller.wait(0) > 0) return;
  poller.wait(-1);
}

const WARM_UP = 40;

function ask(hop: Hop, port: number, host: string): HopTimes {
  let codec: TimedCodec | undefined;
  const state = { hasFrame: false };
  const connection = DataConnection.dial({
    host,
    port,
    id,
    keys: keysOf(true),
    poller,
    timeoutMs: 5_000,
    codec: (keys) => (codec = codecOf(hop)(keys)),
  });
  connection.onFrame = () => (state.hasFrame = true);
  connection.onClosed = (error) => {
    throw error;
  };
  while (!connection.isOpen) poller.wait(-1);
  const body = new Uint8Array(hop.bytes - FRAME_OVERHEAD);
  const parts = [body.subarray(0, 32), body.subarray(32)];
  const rows: HopTimes[] = [];
  for (let i = -WARM_UP; i < hop.rounds; i++) {
    work(hop);
    state.hasFrame = false;
    const start = nowUs();
    connection.send(parts);
    const sent = nowUs();
    while (!state.hasFrame) waitFor(hop.spinUs);
    const end = nowUs();
    if (i < 0 || codec === undefined) continue;
    const { sealStart, sealEnd, openStart, openEnd } = codec;
    const times = {
      hopP10: 0,
      hopP95: 0,
      hopMean: 0,
      hop: (end - start - hop.workUs) / 2,
      seal: sealEnd - sealStart,
      transmit: sent - sealEnd,
      open: openEnd - openStart,
      handle: end - openEnd,
    };
    // Seal, open and handle run on both sides, so once a hop; the system call overlaps with the other side's waking up.
    const { hop: whole, seal, open, handle } = times;
    rows.push({ ...times, between: whole - seal - open - handle });
  }
  connection.close();
  const part = (of: keyof HopTimes, quantile: number): number =>
    rows.map((row) => row[of]).sort((a, b) => a - b)[
      Math.floor(rows.length * quantile)
    ] ?? Number.NaN;
  return {
    hop: part("hop", 0.5),
    hopP10: part("hop", 0.1),
    hopP95: part("hop", 0.95),
    hopMean: rows.reduce((sum, row) => sum + row.hop, 0) / rows.length,
    seal: part("seal", 0.5),
    transmit: part("transmit", 0.5),
    open: part("open", 0.5),
    handle: part("handle", 0.5),
    between: part("between", 0.5),
  };
}

function codecOf(hop: Hop): (keys: RingKeys) => TimedCodec {
  return (keys) =>
    new TimedCodec(hop.encrypts ? new GcmCodec(keys) : new PlainCodec());
}

const [role, text = "{}", port, host = "127.0.0.1"] = process.argv.slice(2);
const hop = JSON.parse(text) as Hop;
if (role === "answer") answer(hop);
if (role === "ask") {
  const times = ask(hop, Number(port), host);
  process.send?.(times, () => process.disconnect());
}
