/** Nodes of a small swarm on loopback, for tests of the transfer. */
import { randomFillSync } from "node:crypto";
import type { Clock } from "../../src/lib/index.ts";
import {
  createHost,
  transportOf,
  type Host,
  type TransportName,
} from "../../src/network/index.ts";
import {
  Downloads,
  type DownloadsOptions,
} from "../../src/transfer/download.ts";
import type { PeerSpec } from "../../src/transfer/source.ts";
import type { Ban } from "../../src/transfer/source-pool.ts";
import { StoreDouble } from "./store.ts";
import type { Root } from "../../src/store/index.ts";
import { type UploadOptions, Uploads } from "../../src/transfer/upload.ts";
import { Watched } from "../support/network.ts";

export const MIB = 1024 * 1024;

export interface SwarmNode {
  host: Host;
  store: StoreDouble;
  events: Watched;
  uploads: Uploads;
  downloads: Downloads;
  bans: Ban[];
  spec: (transport: TransportName) => PeerSpec;
  stop: () => Promise<void>;
}

interface Cleanup {
  after(fn: () => Promise<void>): void;
}

export interface NodeOptions {
  store?: StoreDouble;
  clock?: Clock;
  upload?: Partial<UploadOptions>;
  download?: Partial<DownloadsOptions>;
}

export async function swarmNode(
  t: Cleanup,
  options: NodeOptions = {},
): Promise<SwarmNode> {
  const { store = new StoreDouble() } = options;
  const host = await createHost({
    listen: ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"],
  });
  const events = new Watched();
  const bans: Ban[] = [];
  const uploads = new Uploads({ host, store, events, ...options.upload });
  const downloads = new Downloads({
    host,
    store,
    events,
    onBan: (ban) => bans.push(ban),
    onAsked: (root, piece) => uploads.expect(root, piece),
    ...options.download,
  });
  uploads.start();
  await host.start();
  const stop = async (): Promise<void> => {
    await downloads.stop();
    await uploads.stop();
    await host.stop();
  };
  t.after(stop);
  return {
    host,
    store,
    events,
    uploads,
    downloads,
    bans,
    spec: (transport) => ({
      kind: "peer",
      peerId: host.peerId,
      addresses: host.addresses().filter((a) => transportOf(a) === transport),
    }),
    stop,
  };
}

/** Random bytes; the size need not be a multiple of anything. */
export function randomBytes(sizeBytes: number): Uint8Array {
  return randomFillSync(new Uint8Array(sizeBytes));
}

export function wanted(root: Root): {
  root: Root;
  path: string;
  name: string;
  kind: "part";
} {
  return { root, path: `/tmp/${root}`, name: root.slice(0, 8), kind: "part" };
}
