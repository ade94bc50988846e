/** The commands of the catalog: names and schemas, validated on both sides. docs/PROTOCOL.md lists them. */
import { z } from "zod";
import { Endpoint, Listing, rootSchema, Told } from "./catalog.ts";

const cluster = z.string().min(1).max(128);
/** Listings in one message: 64 hex digits and a name each. */
export const LISTINGS_PER_MESSAGE = 500;
/** Holders named for one content: more sources than a download uses. */
export const HOLDERS_PER_ANSWER = 64;

/** Parts in one answer of LIST_PARTS, with up to HOLDERS_PER_ANSWER holders each: half a megabyte. */
export const PARTS_PER_MESSAGE = 100;

const Entry = Listing.omit({ whole: true, spare: true }).extend({
  holders: z.number().int().min(0),
  wholeHolders: z.number().int().min(0),
});
export type CatalogFile = z.infer<typeof Entry>;

/**
 * member → rendezvous: what I have (in pages; the first replaces what was listed before), and a question for what others have. The answer
 * says how much of mine is listed, and gives a page of others' contents unless they are unchanged since I last asked.
 */
export const SYNC_TORRENTS = {
  name: "SYNC_TORRENTS",
  params: z.object({
    cluster,
    endpoint: Endpoint,
    first: z.boolean(),
    contents: z.array(Listing).max(LISTINGS_PER_MESSAGE),
    /** Null: nothing is asked. */
    tell: z
      .object({
        offset: z.number().int().min(0),
        /** The version that is known already. */
        unless: z.number().int().optional(),
      })
      .nullable(),
  }),
  result: z.object({
    /** Contents of this member that the rendezvous lists now. */
    listed: z.number().int().min(0),
    /** Contents that it knows in the cluster. */
    known: z.number().int().min(0),
    /** The version of what it knows; changes with every difference. */
    version: z.number().int(),
    /** Null if nothing was asked or nothing changed. */
    told: Told.nullable(),
  }),
} as const;

/** anyone → rendezvous: who has this content, or any of this model? A member answers for itself and for what it was told. */
export const WHO_HAS = {
  name: "WHO_HAS",
  params: z.object({
    cluster,
    of: z.union([
      z.object({ root: rootSchema }),
      z.object({ manifest: z.string().max(128) }),
    ]),
  }),
  result: z.object({
    sizeBytes: z.number().int().min(0).nullable(),
    name: z.string().max(256).nullable(),
    holders: z
      .array(Endpoint.extend({ whole: z.boolean() }))
      .max(HOLDERS_PER_ANSWER),
  }),
} as const;

const PartHolders = z.object({
  root: rootSchema,
  sizeBytes: z.number().int().min(0),
  name: z.string().max(256),
  holders: z
    .array(
      z.object({
        peer: z.string().min(1).max(128),
        whole: z.boolean(),
        spare: z.boolean(),
      }),
    )
    .max(HOLDERS_PER_ANSWER),
});
/** A part of a model, and who has it or is fetching it. */
export type PartHolders = z.infer<typeof PartHolders>;

/** anyone → rendezvous: who keeps the parts of this model? Unlisted parts are not in the answer. */
export const LIST_PARTS = {
  name: "LIST_PARTS",
  params: z.object({
    cluster,
    manifest: z.string().min(1).max(128),
    offset: z.number().int().min(0),
  }),
  result: z.object({
    parts: z.array(PartHolders).max(PARTS_PER_MESSAGE),
    total: z.number().int().min(0),
  }),
} as const;

/** anyone → rendezvous: what is there? */
export const LIST_FILES = {
  name: "LIST_FILES",
  params: z.object({ cluster, offset: z.number().int().min(0) }),
  result: z.object({
    files: z.array(Entry).max(LISTINGS_PER_MESSAGE),
    total: z.number().int().min(0),
  }),
} as const;
