/**
 * Machines that cannot reach each other, and a gateway that reaches neither: their tokens pass through the rendezvous, and through a member
 * that relays once the rendezvous is lost in the middle of a reply.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { splitModel } from "../../src/model/index.ts";
import type { NodeStatus } from "../../src/status/index.ts";
import { type Member, MEMBER_PATIENCE_MS, Members } from "../support/member.ts";
import {
  namespacesMissing,
  type Place,
  TestNetwork,
} from "../support/namespaces.ts";
import { ask, assertSame, NO_END, type Reply } from "../support/reply.ts";
import { answering, DEMO_MODEL } from "../support/swarm.ts";
import { until } from "../support/until.ts";

const SHARDS = 3;
const PORT = 51820;

interface Part {
  member: Member;
  place: Place;
  peer: string;
  /** Of its page, from here. */
  url: string;
}

describe("relays:", { skip: namespacesMissing }, () => {
  const undo: (() => Promise<void>)[] = [];
  let network: TestNetwork;
  let places: Record<"meeting" | "gateway" | "one" | "other" | "relay", Place>;
  let gateway: Part;
  let one: Part;
  let other: Part;
  /** Holds the last shard, reaches all, and relays. */
  let relay: Part;
  let rendezvous: Member;
  let startRendezvous: () => Promise<string>;
  let api = "";
  let expected: Reply;

  before(async () => {
    // Private addresses: nobody can know that they can be reached.
    network = await TestNetwork.create("10.18");
    undo.push(() => network[Symbol.asyncDispose]());
    const members = await Members.of({ after: (fn) => void undo.push(fn) });
    const dir = join(members.home, "shards");
    await splitModel({ path: DEMO_MODEL, shards: SHARDS, outDir: dir });
    const place = async (): Promise<Place> => await network.place();
    places = {
      meeting: await place(),
      gateway: await place(),
      one: await place(),
      other: await place(),
      relay: await place(),
    };
    const apart = [places.gateway, places.one, places.other];
    network.drop(apart, apart);
    const start = (
      name: keyof typeof places,
      role: readonly string[],
    ): Member =>
      members.start(
        name,
        [
          ...role,
          "--listen",
          `${places[name].address}:${PORT}`,
          "--diagnostics-host",
          "127.0.0.1",
          "--home",
          join(members.home, name),
        ],
        places[name].within,
      );
    startRendezvous = async () => {
      rendezvous = start("meeting", ["rendezvous"]);
      return (await rendezvous.whenReady()).peerId;
    };
    const bootstrap = `${places.meeting.address}:${PORT}/p2p/${await startRendezvous()}`;
    const joining = ["--bootstrap", bootstrap, "--cluster", "homes"];
    const part = async (
      name: keyof typeof places,
      role: readonly string[],
    ): Promise<Part> => {
      const member = start(name, [...role, ...joining]);
      const { peerId, diagnosticsUrl = "", url } = await member.whenReady();
      if (url !== undefined) api = await places[name].door(url);
      return {
        member,
        place: places[name],
        peer: peerId,
        url: await places[name].door(diagnosticsUrl),
      };
    };
    const node = (
      name: keyof typeof places,
      shard: number,
      ...more: string[]
    ) =>
      part(name, [
        "node",
        "--shard",
        `${shard}/${SHARDS}`,
        "--model-dir",
        dir,
        "--no-seed",
        "--threads",
        "1",
        ...more,
      ]);
    [gateway, one, other, relay] = await Promise.all([
      part("gateway", ["serve"]),
      node("one", 0),
      node("other", 1),
      node("relay", 2, "--relay"),
    ]);
    await gateway.member.swarmReady();
    await answering(api);
    expected = await reply();
  });

  after(async () => {
    for (const end of undo.reverse()) await end();
  });

  /** A long one; `onPiece` hears how many pieces have come. */
  const reply = (onPiece?: (count: number) => void): Promise<Reply> =>
    ask(
      { apiUrl: api, model: "Shoal demo" },
      {
        prompt: "Once upon a time there was a",
        max_tokens: 400,
        temperature: 1,
        seed: 11,
        logit_bias: NO_END,
      },
      {
        stream: true,
        signal: AbortSignal.timeout(MEMBER_PATIENCE_MS),
        ...(onPiece && { onPiece }),
      },
    );

  /** A reply in whose middle something happens. */
  const replyWith = async (event: () => Promise<void>): Promise<Reply> => {
    let happened: Promise<void> | undefined;
    const whole = await reply((count) => {
      if (count === 40) happened = event();
    });
    await happened;
    return whole;
  };

  /** The peers through which it is connected with another one; "" is directly. */
  const ways = async (from: Part, to: Part): Promise<string[]> => {
    const { connections } = await statusOf(from);
    return connections
      .filter(({ peer }) => peer === to.peer)
      .map(
        ({ address }) => /\/p2p\/(\w+)\/p2p-circuit/.exec(address)?.[1] ?? "",
      );
  };

  /** Nodes that others do not reach have places at both relays. */
  const haveTwoPlaces = async (): Promise<void> => {
    for (const node of [one, other])
      await until("two places at relays", async () => {
        const { addresses } = await statusOf(node);
        return addresses.filter((a) => a.includes("p2p-circuit")).length === 2;
      });
  };

  test("who cannot reach each other answer through the rendezvous, others directly", async () => {
    assert.equal(expected.tokens, 400);
    assert.equal(expected.recoveries, 0);
    for (const [from, to] of [
      [gateway, one],
      [gateway, other],
      [one, other],
    ] as const) {
      const all = await ways(from, to);
      assert.ok(all.length > 0 && !all.includes(""), all.join());
    }
    for (const part of [gateway, one, other])
      assert.ok((await ways(part, relay)).includes(""));
  });

  test("the rendezvous is lost in the middle of a reply: it goes on through a member that relays", async () => {
    await haveTwoPlaces();
    const lost = await replyWith(() => rendezvous.kill());
    assertSame(lost, expected, "the reply");
    const [way] = await ways(gateway, one);
    assert.equal(way, relay.peer);
  });

  test("the only relay is lost in the middle of a reply: it goes on when the relay is back", async () => {
    await startRendezvous();
    await haveTwoPlaces();
    // From now on they reach the member that relays no more than each other, except through the rendezvous.
    const hurt = [places.gateway, places.one, places.other];
    const heal = network.cut([places.relay], hurt);
    try {
      await until("all to work through the rendezvous", async () => {
        const pairs = [gateway, one, other].map((part) => ways(part, relay));
        return (await Promise.all(pairs)).every(
          (all) => all.length > 0 && !all.includes(""),
        );
      });
      await answering(api);
      assertSame(await reply(), expected, "a reply through the rendezvous");
      const lost = await replyWith(async () => {
        await rendezvous.kill();
        await startRendezvous();
      });
      assertSame(lost, expected, "the reply");
      assert.ok(lost.recoveries > 0);
    } finally {
      heal();
    }
  });
});

async function statusOf({ url }: Part): Promise<NodeStatus> {
  const signal = AbortSignal.timeout(MEMBER_PATIENCE_MS);
  const response = await fetch(`${url}/api/v1/status`, { signal });
  return (await response.json()) as NodeStatus;
}
