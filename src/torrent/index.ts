/**
 * The weights between nodes. A content is bytes with an id: the root of their Merkle tree (BEP 52), whatever the file is called. The
 * store finds the contents of a machine's folders and what is coming in; uploads serve them, downloads fetch what is missing from
 * many sources at once, each piece verified before it is written; a transfer is the three of them with a host, in a thread of their own;
 * the sync tells a rendezvous, which answers who has what.
 *
 *     const transfer = new TransferThread({ host: { listen }, store: { directories: ["models"], stateDir } }, events);
 *     await transfer.start();
 *     const path = await transfer.download({ root, name, kind: "part", path: "layer.3", sources: [{ kind: "peer", peerId }] });
 */
export { type Endpoint, type Listing } from "./catalog.ts";
export { CatalogService } from "./catalog-service.ts";
export type { DownloadOptions, DownloadProgress } from "./download-options.ts";
export { Downloads, type DownloadStats } from "./download.ts";
export { Hasher, type HashOptions } from "./hasher.ts";
export { isRoot, toRoot } from "./piece-tree.ts";
export {
  type KnownPart,
  planPropagation,
  type PropagationInput,
  type PropagationPlan,
  spareCost,
} from "./propagation.ts";
export {
  type CatalogFile,
  HOLDERS_PER_ANSWER,
  type PartHolders,
  WHO_HAS,
} from "./protocol.ts";
export type { OriginRange, SourceSpec } from "./source.ts";
export {
  type StoreSummary,
  TorrentStore,
  type TorrentStoreOptions,
} from "./store.ts";
export { isWhole, listingOf, type TorrentIndex, TorrentSync } from "./sync.ts";
export type { Remembered } from "./sync-link.ts";
export {
  type Content,
  type ContentKind,
  type ContentMetadata,
  type ContentStore,
  type FileRange,
  type PartialContent,
  PIECE_BYTES,
  type Root,
} from "./types.ts";
export {
  LocalTransfer,
  type Transfer,
  type TransferEndpoint,
  type TransferLimits,
  type TransferOptions,
  type TransferStats,
} from "./transfer.ts";
export { TransferThread } from "./transfer-thread.ts";
export { Uploads, type UploadStats } from "./upload.ts";
