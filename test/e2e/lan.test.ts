/**
 * Two machines at one switch, without any server and without `--bootstrap`: the members find each other by mDNS. A second cluster in the same
 * network stays apart, and an invitation takes the place of the flags. The tests share one network and one cluster.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ShoalEvent } from "../../src/lib/index.ts";
import type { AskedStatus } from "../../src/diagnostics/index.ts";
import type { DoctorReport } from "../../src/doctor/index.ts";
import { decodeInvitation } from "../../src/network/index.ts";
import { type LanMachine, TestLan } from "../support/lan.ts";
import { type Member, Members } from "../support/member.ts";
import { namespacesMissing } from "../support/namespaces.ts";
import { answering, complete, DEMO_MODEL } from "../support/swarm.ts";

const PROMPT = "Once upon a time";

describe(
  "a local network without a server:",
  { skip: namespacesMissing },
  () => {
    const undo: (() => Promise<void>)[] = [];
    let lan: TestLan;
    let one: LanMachine;
    let other: LanMachine;
    let members: Members;
    let friends: Member[];
    let gateway: Member;

    /** As people start it: a role and a cluster. */
    const start = (
      at: LanMachine,
      name: string,
      role: readonly string[],
    ): Member => {
      const home = ["--home", join(members.home, name)];
      const page = ["--diagnostics-port", "off"];
      return members.start(name, [...role, ...page, ...home], at.within);
    };

    before(async () => {
      lan = await TestLan.create();
      undo.push(() => lan[Symbol.asyncDispose]());
      [one, other] = [await lan.machine(), await lan.machine()];
      members = await Members.of({ after: (fn) => void undo.push(fn) });
      const node = ["node", "--threads", "1", "--cluster", "friends"];
      const first = start(one, "first", node);
      await first.when(isAlone, "the first member to go on alone");
      const second = start(other, "second", node);
      const seed = [
        "seed",
        DEMO_MODEL,
        "--shards",
        "2",
        "--cluster",
        "friends",
      ];
      const seeder = start(other, "seeder", seed);
      gateway = start(one, "gateway", [
        "serve",
        "--cluster",
        "friends",
        "--api-port",
        "0",
      ]);
      friends = [first, second, seeder, gateway];
    });

    after(async () => {
      for (const end of undo.reverse()) await end();
    });

    test("nodes, a seeder and a gateway find each other, fetch the model and answer", async (t) => {
      const startedMs = performance.now();
      for (const member of friends) await member.whenReady();
      await gateway.swarmReady();
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
      t.diagnostic(`ready after ${seconds} s, download and loading included`);
      const { url = "" } = await gateway.whenReady();
      const api = await one.door(url);
      await answering(api);
      assert.ok((await complete(api, PROMPT, 16)).text.length > 10);
      const found = friends.flatMap((member) => member.seen.filter(isFound));
      assert.ok(found.length >= friends.length - 1);
      for (const { fields } of found)
        assert.match(String(fields["address"]), /\/192\.168\.7\.1[12]\//);
    });

    test("`shoal status` finds a member where nothing runs that has a page, and says ready", async () => {
      const status = await other.shoal([
        "status",
        "--json",
        "--cluster",
        "friends",
      ]);
      assert.equal(status.code, 0, status.stderr);
      const { cluster } = JSON.parse(status.stdout) as AskedStatus;
      assert.equal(cluster?.members.length, 2);
    });

    test("a second cluster in the same network finds its own members, and nobody else's", async () => {
      const node = ["node", "--threads", "1", "--cluster", "strangers"];
      const strangers = [
        start(one, "stranger", node),
        start(other, "another", node),
      ];
      const joined = await Promise.race(
        strangers.map((member) =>
          member.when(isFound, "a member of its cluster"),
        ),
      );
      const own = new Set(strangers.flatMap(peerIdOf));
      assert.ok(own.has(String(joined.fields["peer"])));
      const names = (all: readonly Member[]): unknown[] =>
        all.flatMap((m) =>
          m.seen.filter(isFound).map((e) => e.fields["cluster"]),
        );
      assert.deepEqual([...new Set(names(strangers))], ["strangers"]);
      assert.deepEqual([...new Set(names(friends))], ["friends"]);
      // Nobody of the one was connected with anybody of the other, by whatever way.
      const met = [...friends, ...strangers].flatMap(connectedWith);
      const theirs = new Set(friends.flatMap(peerIdOf));
      assert.ok(met.length > 0);
      for (const { member, peer } of met)
        assert.equal(theirs.has(peer), friends.includes(member), peer);
      for (const stranger of strangers) await stranger.kill();
    });

    test("an invitation takes the place of --bootstrap and --cluster", async () => {
      const invite = await one.shoal(["invite", "--cluster", "friends"]);
      assert.equal(invite.code, 0, invite.stderr);
      const text = invite.stdout.trim();
      const { cluster, peers } = decodeInvitation(text);
      assert.equal(cluster, "friends");
      const known = new Set(friends.flatMap(peerIdOf));
      assert.ok(
        peers.length > 0 && peers.every(({ peerId }) => known.has(peerId)),
      );
      assert.match(invite.stderr, /works in this local network/);
      // One that cannot ask, because it has no route for multicast.
      const third = await lan.machine({ multicast: false });
      const lone = [
        "doctor",
        "--json",
        "--timeout",
        "1",
        "--cluster",
        "nobody",
      ];
      const { stdout } = await third.shoal(lone);
      assert.equal(causeOf(stdout), "LAN_UNUSABLE");
      const guest = await third.shoal(["status", "--json", "--join", text]);
      assert.equal(guest.code, 0, guest.stderr);
      const node = start(third, "invited", [
        "node",
        "--threads",
        "1",
        "--join",
        text,
      ]);
      const met = await node.when(
        ({ tag, message }) =>
          tag === "CONNECT" && message.startsWith("connected to bootstrap"),
        "the invitation's peer",
      );
      assert.ok(known.has(String(met.fields["peer"])));
      await node.swarmReady();
    });

    test("the doctor tells who is found, and why nobody is", async () => {
      const doctor = (...args: string[]): ReturnType<LanMachine["shoal"]> =>
        other.shoal(["doctor", "--json", "--timeout", "5", ...args]);
      const good = await doctor("--cluster", "friends");
      const { findings } = JSON.parse(good.stdout) as DoctorReport;
      const [found] = findings.filter(({ check }) => check === "lan");
      assert.match(
        String(found?.text),
        /^\d+ members? of friends in the local/,
      );
      assert.equal(found?.state, "ok");
      assert.ok(
        findings.some(({ check, state }) => check === "udp" && state === "ok"),
      );
      const nobody = await doctor("--cluster", "nobody");
      assert.equal(causeOf(nobody.stdout), "LAN_EMPTY");
      const broken = await doctor("--join", "shoal:AQIAB2ZyaWVuZHM");
      assert.equal(causeOf(broken.stdout), "INVITATION_INVALID");
    });
  },
);

function isAlone({ tag, message }: ShoalEvent): boolean {
  return tag === "CONNECT" && message.startsWith("nobody else of");
}

function isFound({ tag, message }: ShoalEvent): boolean {
  return tag === "CONNECT" && message.startsWith("found a member of");
}

/** Its own id, as it told at its start. */
function peerIdOf({ seen }: Member): string[] {
  return seen
    .filter(({ tag }) => tag === "CONFIG")
    .flatMap(({ fields }) => fields["peer"] ?? [])
    .map(String);
}

/** Every peer that its log names in a connection. */
function connectedWith(member: Member): { member: Member; peer: string }[] {
  return member.seen
    .filter(({ tag }) => tag === "CONNECT" || tag === "CLUSTER")
    .flatMap(({ fields }) => fields["peer"] ?? [])
    .map((peer) => ({ member, peer: String(peer) }));
}

function causeOf(json: string): string | undefined {
  return (JSON.parse(json) as DoctorReport).cause?.code;
}
