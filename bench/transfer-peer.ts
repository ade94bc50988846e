/** The seeding end of bench/transfer.ts: a process of its own, told what to do over IPC. */
import { open } from "node:fs/promises";
import { Events } from "../src/lib/index.ts";
import { createHost, type FrameStream } from "../src/network/index.ts";
import { Uploads } from "../src/torrent/upload.ts";
import { FileStore } from "./transfer-store.ts";

export const COPY_PROTOCOL = "/shoal/bench-copy/1";
export const FRAME_BYTES = 256 * 1024;

const [path = "", transport = ""] = process.argv.slice(2);
const store = new FileStore();
const { root, sizeBytes } = await store.add(path);
const host = await createHost({
  listen:
    transport === "TCP"
      ? ["/ip4/127.0.0.1/tcp/0"]
      : ["/ip4/127.0.0.1/udp/0/quic-v1"],
});
const events = new Events();
const uploads = new Uploads({ host, store, events });
uploads.start();
host.handleStreams(
  COPY_PROTOCOL,
  (stream) => {
    stream.onFrame((frame) => {
      const copy = frame[0] === 1 ? copyFile : copyMemory;
      copy(stream).catch((error: unknown) =>
        process.send?.({ error: String(error) }),
      );
    });
  },
  { maxFrameBytes: FRAME_BYTES },
);
await host.start();

async function copyMemory(stream: FrameStream): Promise<void> {
  const frame = new Uint8Array(FRAME_BYTES).fill(7);
  for (let sent = 0; sent < sizeBytes; sent += FRAME_BYTES)
    await stream.send(frame);
}

async function copyFile(stream: FrameStream): Promise<void> {
  await using file = await open(path);
  for (let sent = 0; sent < sizeBytes;) {
    const chunk = Buffer.allocUnsafeSlow(4 * FRAME_BYTES);
    const { bytesRead } = await file.read(chunk, 0, chunk.length, sent);
    for (let at = 0; at < bytesRead; at += FRAME_BYTES)
      await stream.send(
        chunk.subarray(at, Math.min(at + FRAME_BYTES, bytesRead)),
      );
    sent += bytesRead;
  }
}

process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuS: (user + system) / 1e6 });
});
process.send?.({
  peerId: host.peerId,
  addresses: host.addresses(),
  root,
  sizeBytes,
});
