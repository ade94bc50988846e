/** Contents are found by the DHT where no rendezvous is. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { merkleRoot } from "../../src/lib/index.ts";
import { shoal } from "../support/cli.ts";
import { type Member, Members } from "../support/member.ts";
import { DEMO_MODEL } from "../support/swarm.ts";

/** Every part of it is provided: each is told at level debug. */
function provided(member: Member, name: string): Promise<unknown> {
  return member.when(
    ({ tag, message }) =>
      tag === "TORRENT" &&
      message.startsWith(`${name} provided in the DHT, confirmed by `),
    `${name} to be provided`,
  );
}

test("with the rendezvous gone a content is found through any member", async (t) => {
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
    ...members.at(at, "getter"),
  ]);
  assert.equal(got.code, 0, got.stderr);
  const root = Buffer.from(merkleRoot(await readFile(out))).toString("hex");
  assert.equal(root, part.root);
});
