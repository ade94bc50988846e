import assert from "node:assert/strict";
import { test } from "node:test";
import { Catalog, type Listing, MAX_CONTENTS_PER_PEER } from "./catalog.ts";

const root = (n: number): string => n.toString(16).padStart(64, "0");
const endpoint = (peer: string) => ({
  peer,
  addresses: [`/ip4/10.0.0.1/tcp/1/p2p/${peer}`],
});
function listing(n: number, changes: Partial<Listing> = {}): Listing {
  return {
    root: root(n),
    sizeBytes: 100,
    kind: "part",
    name: `layer.${n}`,
    manifest: "m",
    whole: true,
    ...changes,
  };
}

test("every peer that lists a content is its holder, under one root whatever it is called", () => {
  const catalog = new Catalog();
  catalog.put("a", endpoint("a"), [listing(1)], true);
  catalog.put(
    "b",
    endpoint("b"),
    [listing(1, { name: "other.gguf", whole: false })],
    true,
  );
  const entry = catalog.get(root(1));
  assert.deepEqual(
    entry?.holders.map(({ peer, whole }) => [peer, whole]),
    [
      ["a", true],
      ["b", false],
    ],
  );
  assert.equal(catalog.size, 1);
});

test("a first page forgets what the peer listed before, a later one adds to it", () => {
  const catalog = new Catalog();
  catalog.put("a", endpoint("a"), [listing(1)], true);
  catalog.put("a", endpoint("a"), [listing(2)], false);
  assert.equal(catalog.size, 2);
  catalog.put("a", endpoint("a"), [listing(3)], true);
  assert.deepEqual(
    catalog.list().map(({ name }) => name),
    ["layer.3"],
  );
});

test("a peer that is gone takes its sole contents along", () => {
  const catalog = new Catalog();
  catalog.put("a", endpoint("a"), [listing(1), listing(2)], true);
  catalog.put("b", endpoint("b"), [listing(2)], true);
  catalog.remove("a");
  assert.equal(catalog.get(root(1)), undefined);
  assert.deepEqual(
    catalog.get(root(2))?.holders.map(({ peer }) => peer),
    ["b"],
  );
});

test("a listing with another size for the same root is not believed", () => {
  const catalog = new Catalog();
  catalog.put("a", endpoint("a"), [listing(1)], true);
  catalog.put("liar", endpoint("liar"), [listing(1, { sizeBytes: 5 })], true);
  assert.equal(catalog.get(root(1))?.sizeBytes, 100);
  assert.deepEqual(
    catalog.get(root(1))?.holders.map(({ peer }) => peer),
    ["a"],
  );
});

test("holders of a model are those that list any of it", () => {
  const catalog = new Catalog();
  catalog.put("a", endpoint("a"), [listing(1), listing(2)], true);
  catalog.put("b", endpoint("b"), [listing(3, { manifest: "other" })], true);
  assert.deepEqual(
    catalog.holdersOf("m").map(({ peer }) => peer),
    ["a"],
  );
});

test("a peer's listings are bounded", () => {
  const catalog = new Catalog();
  const many = Array.from({ length: MAX_CONTENTS_PER_PEER }, (_, n) =>
    listing(n),
  );
  assert.equal(catalog.put("a", endpoint("a"), many, true), true);
  assert.equal(
    catalog.put("a", endpoint("a"), [listing(-1 >>> 0)], false),
    false,
  );
  assert.equal(catalog.size, MAX_CONTENTS_PER_PEER);
});
