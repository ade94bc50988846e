/**
 * The address of a node changes in the middle of a reply: the reply goes on with the same text, and the cluster with the new address. Four
 * machines of one home.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { join } from "node:path";
import { splitModel } from "../../src/model/index.ts";
import { Homes, homesMissing } from "../support/homes.ts";
import { Lateness } from "../support/lateness.ts";
import { type Member, MEMBER_PATIENCE_MS, Members } from "../support/member.ts";
import type { Place } from "../support/namespaces.ts";
import { ask, NO_END, type Reply } from "../support/reply.ts";
import { answering, DEMO_MODEL } from "../support/swarm.ts";

const PORT = 51820;
const SHARDS = 2;
const MODEL = "Shoal demo";
const PROMPT = "Once upon a time";
const TOKENS = 400;
/** Chunks of the reply before the change. */
const SEEN = 20;
/** A second on an idle machine: noticed, dialled, told, opened and computed again. */
const GAP_MS = 5_000;

interface Part {
  member: Member;
  place: Place;
}

describe("a machine's address changes", { skip: homesMissing }, () => {
  const undo: (() => Promise<void>)[] = [];
  let parts: [Part, Part, Part, Part];
  let api = "";

  before(async () => {
    const homes = await Homes.create();
    undo.push(() => homes[Symbol.asyncDispose]());
    const members = await Members.of({ after: (fn) => void undo.push(fn) });
    const dir = join(members.home, "shards");
    await splitModel({ path: DEMO_MODEL, shards: SHARDS, outDir: dir });
    const first = await homes.home("port restricted");
    const places = [
      first,
      await homes.beside(first),
      await homes.beside(first),
      await homes.beside(first),
    ];
    const start = (name: string, at: number, role: string[]): Part => {
      const place = places[at]!;
      const listen = ["--listen", `0.0.0.0:${PORT}`];
      const page = ["--diagnostics-host", "127.0.0.1"];
      const home = ["--home", join(members.home, name)];
      const args = [...role, ...listen, ...page, ...home];
      return { member: members.start(name, args, place.within), place };
    };
    const rendezvous = start("rendezvous", 0, ["rendezvous"]);
    const { peerId } = await rendezvous.member.whenReady();
    const bootstrap = `${rendezvous.place.address}:${PORT}/p2p/${peerId}`;
    const joining = ["--bootstrap", bootstrap, "--cluster", "test"];
    const how = ["--model-dir", dir, "--no-seed", "--threads", "1", ...joining];
    const nodes = [0, 1].map((shard) =>
      start(`node-${shard}`, 2 + shard, [
        "node",
        "--shard",
        `${shard}/${SHARDS}`,
        ...how,
      ]),
    );
    const gateway = start("gateway", 1, ["serve", ...joining]);
    parts = [rendezvous, gateway, nodes[0]!, nodes[1]!];
    for (const { member, place } of [gateway, ...nodes]) {
      const { url } = await member.whenReady();
      if (url !== undefined) api = await place.door(url);
    }
    await answering(api);
  });

  after(async () => {
    for (const end of undo.reverse()) await end();
  });

  test("of the second stage's machine, then of the gateway's, and of the rendezvous' at last", async (t) => {
    const [rendezvous, gateway, , node] = parts;
    const { reply: expected } = await streamed(api, () => {});
    for (const [name, { place }, address] of [
      ["the second stage", node, "192.168.1.77"],
      ["the gateway", gateway, "192.168.1.78"],
      ["the rendezvous", rendezvous, "192.168.1.79"],
    ] as const) {
      using lateness = new Lateness();
      const { reply, gapMs } = await streamed(api, () => move(place, address));
      assert.equal(reply.text, expected.text, name);
      t.diagnostic(`${name}: ${gapMs.toFixed(0)} ms without a token`);
      // Nobody needs the rendezvous for a reply.
      assert.equal(reply.recoveries > 0, place !== rendezvous.place, name);
      const ms = gapMs - lateness.ms;
      assert.ok(ms < GAP_MS, `${name}: ${ms.toFixed(0)} ms`);
      // The cluster goes on as it was, at the new address.
      const next = await streamed(api, () => {});
      assert.equal(next.reply.text, expected.text, name);
    }
  });
});

/** As a DHCP server does it: the old address goes, another comes. */
function move({ namespace, address: old }: Place, address: string): void {
  namespace.run(
    `ip addr flush dev cable scope global
    ip addr add ${address}/24 dev cable
    ip route replace default via 192.168.1.1 dev cable`,
  );
  assert.notEqual(old, address);
}

/** A reply, and the longest time without a piece of it after `midway` was called. */
async function streamed(
  apiUrl: string,
  midway: () => void,
): Promise<{ reply: Reply; gapMs: number }> {
  const how = {
    prompt: PROMPT,
    max_tokens: TOKENS,
    temperature: 1,
    seed: 7,
    logit_bias: NO_END,
  };
  const reply = await ask({ apiUrl, model: MODEL }, how, {
    stream: true,
    signal: AbortSignal.timeout(MEMBER_PATIENCE_MS),
    onPiece: (count) => {
      if (count === SEEN) midway();
    },
  });
  const after = reply.cameMs.slice(SEEN - 1);
  const gaps = after.slice(1).map((ms, i) => ms - after[i]!);
  return { reply, gapMs: Math.max(0, ...gaps) };
}
