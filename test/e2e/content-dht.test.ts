/**
 * Contents are found without a rendezvous that lists them: through the DHT's records alone, and by asking members alone. The log says which
 * of the two it was, because in a cluster this small a search of the DHT soon connects everybody to everybody.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { merkleRoot } from "../../src/lib/index.ts";
import { type Run, shoal } from "../support/cli.ts";
import { type Member, Members } from "../support/member.ts";
import { DEMO_MODEL } from "../support/swarm.ts";

/** Every part of it is provided: each is told at level debug. */
function provided(member: Member, name: string): Promise<unknown> {
  return member.when(
    ({ tag, message }) =>
      tag === "TORRENT" &&
      message.startsWith(`${name} announced in the DHT, confirmed by `),
    `${name} to be provided`,
  );
}

type Line = Record<string, unknown>;

/** What it logged (JSON) that begins so. */
function logged({ stderr }: Run, beginning: string): Line[] {
  return stderr
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as Line)
    .filter(({ msg }) => String(msg).startsWith(beginning));
}

const LOG = ["--log", "json", "--log-level", "debug"];

test("a content of a cluster that the rendezvous does not know is found through the DHT's records", async (t) => {
  const members = await Members.of(t);
  const [of, other] = await Promise.all([
    members.rendezvous(),
    members.rendezvous([], "other rendezvous"),
  ]);
  // All that joins the two: a member of another cluster, with nothing to share.
  const bridge = members.start("bridge", [
    "node",
    "--threads",
    "1",
    "--bootstrap",
    [...of.addresses, ...other.addresses].join(","),
    "--cluster",
    "elsewhere",
    "--listen",
    "127.0.0.1:0",
    "--home",
    join(members.home, "bridge"),
  ]);
  for (const { peerId } of [of, other])
    await bridge.when(
      ({ tag, fields }) => tag === "CONNECT" && fields["peer"] === peerId,
      "both to be joined",
    );
  const holder = members.start("holder", [
    "seed",
    DEMO_MODEL,
    "--shards",
    "2",
    ...members.at(of, "holder"),
  ]);
  await holder.whenReady();
  await provided(holder, "shoal-demo.gguf");
  const root = Buffer.from(merkleRoot(await readFile(DEMO_MODEL)));
  const at = members.at(other, "getter");
  const listed = await shoal(["get", ...at]);
  assert.deepEqual([listed.code, listed.stdout], [0, ""]);

  const out = join(members.home, "copy.gguf");
  const hex = root.toString("hex");
  const got = await shoal(["get", hex, "--out", out, ...LOG, ...at]);
  assert.equal(got.code, 0, got.stderr);
  assert.ok((await readFile(out)).equals(await readFile(DEMO_MODEL)));
  // It may have come from who was asked, too: that the records led to the holder stands here.
  const searches = logged(got, "providers of ");
  assert.ok(searches.some(({ holders }) => holders === 1));
});

test("with the rendezvous gone a content is found by asking any member", async (t) => {
  const members = await Members.of(t);
  const rendezvous = members.startRendezvous();
  const info = await rendezvous.whenReady();
  const seed = ["seed", DEMO_MODEL, "--shards", "2"];
  const seeder = members.start("seeder", [
    ...seed,
    ...members.at(info, "seeder"),
  ]);
  await seeder.whenReady();
  await provided(seeder, "shoal-demo.gguf");
  const node = members.start("node", [
    "node",
    "--shard",
    "0",
    "--threads",
    "1",
    ...members.at(info, "node"),
  ]);
  const at = await node.whenReady();
  await provided(node, "layer.1 of Shoal demo");
  const listed = await shoal([
    "torrents",
    "--json",
    ...members.at(info, "reader"),
  ]);
  assert.equal(listed.code, 0, listed.stderr);
  const { parts } = JSON.parse(listed.stdout) as {
    parts: { name: string; root: string }[];
  };
  const part = parts.find(({ name }) => name === "layer.1 of Shoal demo");
  assert.ok(part);

  await rendezvous.kill();
  await seeder.kill();
  const out = join(members.home, "layer.1");
  const got = await shoal([
    "get",
    part.root,
    "--out",
    out,
    ...LOG,
    ...members.at(at, "getter"),
  ]);
  assert.equal(got.code, 0, got.stderr);
  const root = Buffer.from(merkleRoot(await readFile(out))).toString("hex");
  assert.equal(root, part.root);
  // All others that it or the DHT may have named are dead.
  const [asked] = logged(got, "WHO_HAS ");
  assert.equal(asked?.["asked"], 1);
  assert.ok(Number(asked["holders"]) >= 1);
});
