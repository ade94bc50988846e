/** What benches move beside tokens: a model of random weights, fetched by one process from the other as fast as it goes. */
import { join } from "node:path";
import type { Transfer } from "../src/transfer/index.ts";
import { writeRandomModel } from "../test/support/models.ts";

/** A content and who has it. */
export interface Bulk {
  root: string;
  sizeBytes: number;
  peerId: string;
  addresses: string[];
}

/** Writes a model of 240 MiB a layer into `folder`, one of those that `transfer` shares. */
export async function seedBulk(
  transfer: Transfer,
  folder: string,
  layers: number,
): Promise<Bulk> {
  await writeRandomModel(join(folder, "bulk.gguf"), {
    layers,
    embeddingLength: 2048,
    feedForward: 8192,
  });
  await transfer.index();
  const whole = transfer.list().find(({ name }) => name === "bulk.gguf");
  if (whole === undefined) throw new Error("no content");
  const { root, sizeBytes } = whole.metadata;
  const { peer: peerId, addresses } = transfer.endpoint();
  return { root, sizeBytes, peerId, addresses };
}

/** Resolves when the first bytes are here, with the MB/s that will be known at the end. */
export async function beginDownload(
  transfer: Transfer,
  { root, sizeBytes, peerId, addresses }: Bulk,
  path: string,
): Promise<{ mbps: Promise<number> }> {
  const startMs = performance.now();
  const started = Promise.withResolvers<void>();
  const mbps = transfer
    .download({
      root,
      sizeBytes,
      path,
      name: "bulk",
      kind: "file",
      sources: [{ kind: "peer", peerId, addresses }],
      onProgress: ({ doneBytes }) => {
        if (doneBytes > 0) started.resolve();
      },
    })
    .then(() => sizeBytes / 1000 / (performance.now() - startMs));
  await Promise.race([started.promise, mbps]);
  return { mbps };
}
