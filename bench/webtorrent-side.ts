/**
 * One side of webtorrent (npm) for bench/transfer.ts: BitTorrent over TCP on loopback, without trackers, DHT or encryption of the line. It is no
 * dependency: it is loaded from a folder where it was installed for the bench.
 */
import { createRequire, registerHooks } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { rm } from "node:fs/promises";
import { takeOrders } from "../test/support/side.ts";

export type WebtorrentOrder =
  | { op: "start"; folder: string }
  | { op: "seed"; path: string }
  | { op: "download"; torrent: string; port: number; path: string }
  | { op: "cpu" };

/** As much of its API as is used here. */
interface Torrent {
  torrentFile: Uint8Array;
  addPeer(address: string): void;
  on(event: "infoHash" | "done", listener: () => void): void;
  on(event: "error", listener: (error: Error) => void): void;
  destroy(options: object, done: () => void): void;
}
interface Client {
  torrentPort: number;
  seed(path: string, options: object, done: (torrent: Torrent) => void): void;
  add(file: Uint8Array, options: object): Torrent;
}

let client: Client;

takeOrders(perform);

async function perform(order: WebtorrentOrder): Promise<unknown> {
  switch (order.op) {
    case "start":
      return await start(order.folder);
    case "seed":
      return await seed(order.path);
    case "download":
      return await download(order);
    default:
      return cpu();
  }
}

/** Peers in browsers: a native module that is built or fetched at its installation. Over TCP it is not used, only imported. */
const NO_WEBRTC = `data:text/javascript,${encodeURIComponent(
  "export class RTCPeerConnection {}; export class RTCSessionDescription {}; export class RTCIceCandidate {};",
)}`;

async function start(folder: string): Promise<void> {
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === "webrtc-polyfill"
        ? { url: NO_WEBRTC, shortCircuit: true }
        : next(specifier, context),
  });
  const { resolve } = createRequire(join(folder, "package.json"));
  const url = pathToFileURL(resolve("webtorrent")).href;
  const { default: WebTorrent } = (await import(url)) as {
    default: new (options: object) => Client;
  };
  client = new WebTorrent({
    dht: false,
    tracker: false,
    lsd: false,
    utp: false,
    natUpnp: false,
    natPmp: false,
    webSeeds: false,
  });
}

async function seed(path: string): Promise<{ torrent: string; port: number }> {
  const torrent = await new Promise<Torrent>((resolve) => {
    client.seed(path, { announce: [], name: "content" }, resolve);
  });
  return {
    torrent: Buffer.from(torrent.torrentFile).toString("base64"),
    port: client.torrentPort,
  };
}

/** Milliseconds. What was received is gone afterwards. */
async function download(
  order: Extract<WebtorrentOrder, { op: "download" }>,
): Promise<number> {
  const { torrent: file, port, path } = order;
  const startMs = performance.now();
  const torrent = client.add(Buffer.from(file, "base64"), {
    path,
    announce: [],
  });
  torrent.on("infoHash", () => torrent.addPeer(`127.0.0.1:${port}`));
  await new Promise<void>((resolve, reject) => {
    torrent.on("done", resolve);
    torrent.on("error", reject);
  });
  const tookMs = performance.now() - startMs;
  await new Promise<void>((resolve) => torrent.destroy({}, resolve));
  await rm(path, { recursive: true, force: true });
  return tookMs;
}

function cpu(): { seconds: number; rssMb: number } {
  const { user, system } = process.cpuUsage();
  return {
    seconds: (user + system) / 1e6,
    rssMb: process.resourceUsage().maxRSS / 1024,
  };
}
