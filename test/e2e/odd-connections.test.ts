/**
 * Two connections between the same two machines, one over QUIC and one over TCP, of which one dies in one direction, as when a NAT or a firewall
 * forgets a port: replies and gossip go on over the other.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import type { ShoalEvent } from "../../src/lib/index.ts";
import type { NodeStatus } from "../../src/status/index.ts";
import { type Member, Members } from "../support/member.ts";
import {
  namespacesMissing,
  type Place,
  TestNetwork,
} from "../support/namespaces.ts";
import { answering, complete, DEMO_MODEL } from "../support/swarm.ts";
import { until } from "../support/until.ts";

const PORT = 51820;
const PROMPT = "Once upon a time";
/** </s>: banned, so that every text has all its tokens. */
const END = 2;
const [SHORT, LONG] = [12, 400];
/** A dead connection is noticed after 2 to 4 s over QUIC, 7 to 9 s over TCP; a reply that it carried is computed again. */
const PROMPT_MS = 20_000;

interface Gateway {
  member: Member;
  place: Place;
  api: string;
  status: () => Promise<NodeStatus>;
}

const isLoss = ({ tag, message }: ShoalEvent): boolean =>
  tag === "SWARM" && /^(no longer|not) ready/.test(message);

describe(
  "one of two connections to a peer dies:",
  { skip: namespacesMissing },
  () => {
    const undo: (() => Promise<void>)[] = [];
    let network: TestNetwork;
    let members: Members;
    let node: Place;
    let peer = "";
    let short = "";
    let long = "";
    let count = 0;

    before(async () => {
      network = await TestNetwork.create();
      undo.push(() => network[Symbol.asyncDispose]());
      members = await Members.of({ after: (fn) => void undo.push(fn) });
      node = await network.place();
      const meet = await network.place();
      const rendezvous = start("rendezvous", meet, ["rendezvous"]);
      const { peerId } = await rendezvous.whenReady();
      const bootstrap = `${meet.address}:${PORT}/p2p/${peerId}`;
      const joining = ["--bootstrap", bootstrap, "--cluster", "test"];
      const seed = ["seed", DEMO_MODEL, "--shards", "1", ...joining];
      await start("seeder", await network.place(), seed).whenReady();
      const holder = start("node", node, ["node", "--shard", "0", ...joining]);
      peer = (await holder.whenReady()).peerId;
      await holder.swarmReady();
      const { api, member } = await startGateway();
      short = (await complete(api, PROMPT, SHORT, END)).text;
      long = (await complete(api, PROMPT, LONG, END)).text;
      await member.stop();
    });

    after(async () => {
      for (const end of undo.reverse()) await end();
    });

    function start(
      name: string,
      place: Place,
      role: readonly string[],
    ): Member {
      const args = [
        ...role,
        "--listen",
        `${place.address}:${PORT}`,
        "--diagnostics-host",
        "127.0.0.1",
        "--home",
        join(members.home, name),
      ];
      return members.start(name, args, place.within);
    }

    /** It knows the node alone, by an address of each transport: it has both connections. */
    async function startGateway(): Promise<Gateway> {
      const place = await network.place();
      const at = `/ip4/${node.address}`;
      const bootstrap = `${at}/tcp/${PORT},${at}/udp/${PORT}/quic-v1`;
      const member = start(`gateway-${count++}`, place, [
        "serve",
        "--bootstrap",
        bootstrap,
        "--cluster",
        "test",
      ]);
      const { url = "", diagnosticsUrl = "" } = await member.whenReady();
      const api = await place.door(url);
      const page = await place.door(diagnosticsUrl);
      await answering(api);
      const status = async (): Promise<NodeStatus> => {
        const signal = AbortSignal.timeout(60_000);
        const response = await fetch(`${page}/api/v1/status`, { signal });
        return (await response.json()) as NodeStatus;
      };
      const gateway = { member, place, api, status };
      await until(
        "both connections",
        async () => (await transports(gateway)) === "QUIC,TCP",
      );
      return gateway;
    }

    /** Of its connections to the node. */
    async function transports({ status }: Gateway): Promise<string> {
      const { connections } = await status();
      return connections
        .filter((connection) => connection.peer === peer)
        .map(({ transport }) => transport)
        .sort()
        .join();
    }

    /** When the gateway heard of the node last. */
    async function heard({ status }: Gateway): Promise<number> {
      const [cluster] = (await status()).clusters;
      const [holder] = cluster?.members ?? [];
      assert.equal(holder?.peer, peer, "the node was lost");
      return holder.heardMs;
    }

    const cases = [
      ["udp", "from the node", "TCP"],
      ["udp", "to the node", "TCP"],
      ["tcp", "from the node", "QUIC"],
      ["tcp", "to the node", "QUIC"],
    ] as const;
    for (const [dead, way, living] of cases)
      test(`the one over ${living === "TCP" ? "QUIC" : "TCP"} in the direction ${way}`, async (t: TestContext) => {
        const gateway = await startGateway();
        const { member, place, api } = gateway;
        const mark = member.mark();
        const running = complete(api, PROMPT, LONG, END).then(({ text }) => ({
          text,
          endedMs: performance.now(),
        }));
        await until(
          "the long reply to be under way",
          async () =>
            ((await gateway.status()).sessions?.recent[0]?.tokens ?? 0) > 0,
          10,
        );
        const ends: [Place, Place] =
          way === "from the node" ? [node, place] : [place, node];
        const heal = network.drop([ends[0]], [ends[1]], dead);
        const cutMs = performance.now();
        const sinceMs = (): number => Math.round(performance.now() - cutMs);
        try {
          const noticed = until(
            "the dead connection to be noticed",
            async () => (await transports(gateway)) === living,
          ).then(() => t.diagnostic(`noticed after ${sinceMs()} ms`));
          let slowestMs = 0;
          const seen = { isOver: false };
          void noticed.then(() => (seen.isOver = true));
          let asked = 0;
          do {
            const beganMs = performance.now();
            const { text } = await complete(api, PROMPT, SHORT, END);
            assert.equal(text, short);
            slowestMs = Math.max(slowestMs, performance.now() - beganMs);
            asked++;
          } while (!seen.isOver);
          await noticed;
          t.diagnostic(
            `${asked} prompts, the slowest ${Math.round(slowestMs)} ms`,
          );
          assert.ok(slowestMs < PROMPT_MS, `${slowestMs} ms`);
          const { text, endedMs } = await running;
          assert.equal(text, long);
          t.diagnostic(
            `the reply under way was whole after ${Math.round(endedMs - cutMs)} ms`,
          );
          const before = await heard(gateway);
          await until(
            "the node's next word",
            async () => (await heard(gateway)) > before,
          );
          assert.equal((await complete(api, PROMPT, SHORT, END)).text, short);
          assert.deepEqual(member.seen.slice(mark).filter(isLoss), []);
        } finally {
          heal();
        }
        await member.stop();
      });
  },
);
