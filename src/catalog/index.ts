/**
 * Who has what. Members tell each rendezvous which contents they have and learn who has the others; the rendezvous keeps the catalog.
 * `planSpareCopies` decides from it which rare parts a member with spare disk should copy.
 *
 *     const sync = new CatalogSync({ commands, events, cluster, endpoint, listings });
 *     await sync.syncWith(rendezvousPeer);
 *     const { holders } = await sync.whoHas({ root });
 */
export { CatalogService } from "./catalog-service.ts";
export { Endpoint, Listing } from "./catalog.ts";
export {
  type KnownPart,
  planSpareCopies,
  spareCost,
} from "./plan-spare-copies.ts";
export {
  type CatalogFile,
  HOLDERS_PER_ANSWER,
  type PartHolders,
  WHO_HAS,
} from "./protocol.ts";
export type { Remembered } from "./sync-link.ts";
export { isWhole, listingOf, type CatalogReader, CatalogSync } from "./sync.ts";
