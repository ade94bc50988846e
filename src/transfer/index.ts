/**
 * Moves contents between machines. Uploads answer requests for pieces; downloads fetch a content from many sources at once, rarest piece
 * first, and verify each piece before it is written. A transfer is both of them with their own store and host, in their own thread.
 *
 *     const transfer = new TransferThread({ host: { listen }, store: { directories: ["models"], stateDir } }, events);
 *     await transfer.start();
 *     const path = await transfer.download({ root, name, kind: "part", path: "layer.3", sources: [{ kind: "peer", peerId }] });
 */
export type { DownloadProgress } from "./download-options.ts";
export type { SourceSpec } from "./source.ts";
export { TransferThread } from "./transfer-thread.ts";
export type { Transfer, TransferStats } from "./transfer.ts";
