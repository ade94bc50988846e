/**
 * One side of bench/transfer.ts: a process whose main thread passes messages on to a thread that has a host, a store, uploads and
 * downloads, as a node has. The plain copies run in the same thread.
 */
import { open, rm } from "node:fs/promises";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { Events, ShoalError } from "../src/lib/index.ts";
import { createHost, type FrameStream } from "../src/network/index.ts";
import { Downloads } from "../src/transfer/download.ts";
import { Hasher, DiskStore, PIECE_BYTES } from "../src/store/index.ts";
import { THREAD_LIMITS } from "../src/transfer/transfer-thread.ts";
import { Uploads } from "../src/transfer/upload.ts";

export interface Remote {
  peerId: string;
  addresses: string[];
}

export type Order =
  | { op: "start"; listen: string[]; stateDir: string }
  | { op: "seed"; from: string; path: string }
  | { op: "copy"; remote: Remote; sizeBytes: number; path: string | undefined }
  | { op: "download"; remote: Remote; root: string; path: string }
  /** What was received is gone: not counted. */
  | { op: "clean"; path: string }
  | { op: "cpu" };

const COPY_PROTOCOL = "/shoal/bench-copy/1";
const FRAME_BYTES = 256 * 1024;

if (isMainThread) relay();
else parentPort?.on("message", onMessage);

function relay(): void {
  const worker = new Worker(new URL(import.meta.url), {
    resourceLimits: process.env.BENCH_THREAD === "default" ? {} : THREAD_LIMITS,
  });
  worker.on("error", (error: Error) => {
    throw error;
  });
  worker.on("message", (answer) => process.send?.(answer));
  process.on("message", (order) => worker.postMessage(order));
  process.on("disconnect", () => process.exit());
}

function onMessage(order: Order): void {
  perform(order).then(
    (value) => parentPort?.postMessage({ value }),
    (error: unknown) =>
      parentPort?.postMessage({ error: ShoalError.from(error).message }),
  );
}

let side: Side | undefined;

async function perform(order: Order): Promise<unknown> {
  if (order.op === "start") {
    side = await Side.start(order);
    return side.remote;
  }
  if (order.op === "cpu") {
    const { user, system } = process.cpuUsage();
    return {
      seconds: (user + system) / 1e6,
      rssMb: process.resourceUsage().maxRSS / 1024,
    };
  }
  if (side === undefined) throw new Error("not started");
  if (order.op === "clean") return await side.clean(order.path);
  if (order.op === "seed") return await side.seed(order.from, order.path);
  if (order.op === "copy")
    return await side.copy(order.remote, order.sizeBytes, order.path);
  return await side.download(order.remote, order.root, order.path);
}

type HostOf = Awaited<ReturnType<typeof createHost>>;

class Side {
  readonly #host: HostOf;
  readonly #store: DiskStore;
  readonly #downloads: Downloads;
  /** What is copied: the seeded file. */
  #path = "";

  private constructor(host: HostOf, store: DiskStore, events: Events) {
    this.#host = host;
    this.#store = store;
    new Uploads({ host, store, events }).start();
    this.#downloads = new Downloads({ host, store, events });
    host.handleStreams(
      COPY_PROTOCOL,
      (stream) => {
        stream.onFrame((frame) => {
          const request = Buffer.from(frame).toString().split(":");
          const sizeBytes = Number(request[1]);
          const sending =
            request[0] === "file"
              ? this.#sendFile(stream, sizeBytes)
              : sendMemory(stream, sizeBytes);
          sending.catch((error: unknown) =>
            stream.abort(ShoalError.from(error)),
          );
        });
      },
      { maxFrameBytes: FRAME_BYTES },
    );
  }

  static async start(order: Extract<Order, { op: "start" }>): Promise<Side> {
    const events = new Events();
    const host = await createHost({ listen: order.listen });
    const store = new DiskStore({
      directories: [],
      stateDir: order.stateDir,
      events,
    });
    const side = new Side(host, store, events);
    await host.start();
    await store.start();
    return side;
  }

  get remote(): Remote {
    return { peerId: this.#host.peerId, addresses: this.#host.addresses() };
  }

  /** The file becomes a content as any other does: written piece by piece. */
  async seed(from: string, path: string): Promise<string> {
    this.#path = from;
    await using hasher = new Hasher();
    await using file = await open(from);
    const { size } = await file.stat();
    const metadata = await hasher.hash([
      { path: from, offset: 0, sizeBytes: size },
    ]);
    const partial = await this.#store.open(metadata, {
      path,
      name: "bench",
      kind: "file",
    });
    for (let i = 0; i * PIECE_BYTES < size; i++) {
      const piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
      const at = i * PIECE_BYTES;
      const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, at);
      await partial.writePiece(i, piece.subarray(0, bytesRead));
    }
    await partial.finish();
    return metadata.root;
  }

  async copy(
    remote: Remote,
    sizeBytes: number,
    path: string | undefined,
  ): Promise<number> {
    const stream = await this.#host.openStream(remote, COPY_PROTOCOL, {
      maxFrameBytes: FRAME_BYTES,
    });
    const file = path === undefined ? undefined : await open(path, "w");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const writes = new Set<Promise<unknown>>();
    let received = 0;
    stream.onClose((error) => reject(error ?? new Error("it ended early")));
    stream.onFrame((frame) => {
      const write = file?.write(frame, 0, frame.length, received);
      received += frame.length;
      if (write !== undefined) {
        writes.add(write);
        write.then(() => writes.delete(write), reject);
      }
      if (received >= sizeBytes) resolve();
    });
    const startMs = performance.now();
    const kind = path === undefined ? "memory" : "file";
    void stream.send(Buffer.from(`${kind}:${sizeBytes}`));
    await promise;
    await Promise.all(writes);
    // A content is on the disk when it is said to be here; so is a copy.
    await file?.datasync();
    const tookMs = performance.now() - startMs;
    await file?.close();
    await stream.close();
    return tookMs;
  }

  /** To where nothing is yet. */
  async download(remote: Remote, root: string, path: string): Promise<number> {
    const startMs = performance.now();
    await this.#downloads.download({
      root,
      path,
      name: "bench",
      kind: "file",
      sources: [{ kind: "peer", ...remote }],
    });
    return performance.now() - startMs;
  }

  async clean(path: string): Promise<void> {
    await rm(path, { force: true });
    await this.#store.rescan();
    if (this.#store.list().length > 0)
      throw new Error("the content is still here");
  }

  async #sendFile(stream: FrameStream, sizeBytes: number): Promise<void> {
    await using file = await open(this.#path);
    for (let sent = 0; sent < sizeBytes;) {
      const chunk = Buffer.allocUnsafeSlow(4 * FRAME_BYTES);
      const { bytesRead } = await file.read(chunk, 0, chunk.length, sent);
      for (let at = 0; at < bytesRead; at += FRAME_BYTES) {
        const end = Math.min(at + FRAME_BYTES, bytesRead);
        await stream.send(chunk.subarray(at, end));
      }
      sent += bytesRead;
    }
  }
}

async function sendMemory(
  stream: FrameStream,
  sizeBytes: number,
): Promise<void> {
  const frame = new Uint8Array(FRAME_BYTES).fill(7);
  for (let sent = 0; sent < sizeBytes; sent += FRAME_BYTES)
    await stream.send(frame);
}
