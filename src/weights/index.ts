/**
 * A cluster's model on this machine: its manifest and metadata, the parts of a shard, spare copies for others, and their announcements in
 * the DHT. It joins the store, the transfers and the catalog to one cluster.
 *
 *     const files = new SharedFiles({ host, commands, events, cluster, listen, directories, stateDir });
 *     await files.start();
 *     const path = await files.fetch({ root, name, kind: "part", path, signal });
 */
export { fetchModel } from "./fetch-model.ts";
export {
  fetchShard,
  isFetched,
  type PlannedShard,
  planOf,
  type ServedModel,
  servedModel,
} from "./fetch-shard.ts";
export {
  askManifest,
  fetchParts,
  MANIFEST_FILE,
  METADATA_FILE,
  type ModelParts,
  servePartsOf,
} from "./model-parts.ts";
export { DiskLayers, type LayersOnDisk } from "./parts-on-disk.ts";
export { RendezvousSeed } from "./rendezvous-seed.ts";
export { findShard, rangeOf, type ShardSource } from "./shard-source.ts";
export { SpareCopies } from "./spare-copies.ts";
export { keepToOffer, SpareFolder } from "./spare-folder.ts";
export { splitOnce } from "./split-cache.ts";
export { indexLater, MemberFiles, type TransferFlags } from "./member-files.ts";
