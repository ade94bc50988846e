/**
 * A cluster whose network breaks: machines that keep running without hearing each other. Each process has its own network namespace, and a
 * router between them drops packets silently.
 */
import assert from "node:assert/strict";
import {
  after,
  before,
  beforeEach,
  describe,
  test,
  type TestContext,
} from "node:test";
import { join } from "node:path";
import type { ClusterStatus, NodeStatus } from "../../src/status/index.ts";
import { type ShoalEvent, sleep } from "../../src/lib/index.ts";
import { splitModel } from "../../src/model/index.ts";
import { shoal } from "../support/cli.ts";
import { Lateness } from "../support/lateness.ts";
import { type Member, MEMBER_PATIENCE_MS, Members } from "../support/member.ts";
import {
  namespacesMissing,
  type Place,
  TestNetwork,
} from "../support/namespaces.ts";
import { answering, complete, DEMO_MODEL } from "../support/swarm.ts";

const SHARDS = 4;
const PROMPT = "Once upon a time";
const PORT = 51820;
/** Each refusal and each loss is told at once. */
const AT_ONCE = ["--recovery-timeout", "0", "--ready-timeout", "0"];
/** As at a person's machine. `shoal status` has it. */
const EXIT_NOT_READY = 3;

/**
 * After this time the announcement of a node that was cut off has expired. Its lost connections are noticed much earlier: after 3 to 5 s
 * over QUIC, 7 to 9 s over TCP.
 */
const TTL_MS = 60_000;
/** A prompt ends with the connections of its stages (3 to 5 s). Nobody waits for longer than a dial and a stage's patience together. */
const PROMPT_MS = 20_000;
/** From the mending of the network until all see all: 0.5 to 5 s, at most the longest back-off to a bootstrap (10 s) and a dial. */
const BACK_MS = 20_000;

/** Whoever holds nothing asks those that it lost, some 100 ms after the first sign of them; their own next word may be 20 s away. */
const ASKED_MS = 5_000;

/** A process on a machine of its own. */
interface Part {
  member: Member;
  place: Place;
  /** Of its page, from here. */
  url: string;
}

describe("the network breaks:", { skip: namespacesMissing }, () => {
  const undo: (() => Promise<void>)[] = [];
  let network: TestNetwork;
  let rendezvous: Part;
  let gateway: Part;
  let nodes: [Part, Part, Part, Part];
  let node: (name: string, shard: number) => Promise<Part>;
  let api = "";
  let expected = "";

  before(async () => {
    network = await TestNetwork.create();
    undo.push(() => network[Symbol.asyncDispose]());
    const members = await Members.of({ after: (fn) => void undo.push(fn) });
    const dir = join(members.home, "shards");
    await splitModel({ path: DEMO_MODEL, shards: SHARDS, outDir: dir });
    const start = async (
      name: string,
      role: readonly string[],
    ): Promise<Part> => {
      const place = await network.place();
      const home = ["--home", join(members.home, name)];
      const listen = ["--listen", `${place.address}:${PORT}`];
      const page = ["--diagnostics-host", "127.0.0.1"];
      const args = [...role, ...listen, ...page, ...home];
      return {
        member: members.start(name, args, place.within),
        place,
        url: "",
      };
    };
    rendezvous = await start("rendezvous", ["rendezvous"]);
    const { peerId } = await rendezvous.member.whenReady();
    const bootstrap = `${rendezvous.place.address}:${PORT}/p2p/${peerId}`;
    const joining = ["--bootstrap", bootstrap, "--cluster", "test"];
    const how = ["--model-dir", dir, "--no-seed", "--threads", "1", ...joining];
    node = (name, shard) =>
      start(name, ["node", "--shard", `${shard}/${SHARDS}`, ...how]);
    [gateway, ...nodes] = await Promise.all([
      start("gateway", ["serve", ...joining, ...AT_ONCE]),
      node("node-0", 0),
      node("node-1", 1),
      node("node-2", 2),
      node("node-3", 3),
    ]);
    // One is where UDP is filtered, and speaks TCP with all.
    const filtered = [nodes[1].place];
    const others = placesOf(all()).filter((place) => place !== filtered[0]);
    network.drop(filtered, others, "udp");
    network.drop(others, filtered, "udp");
    for (const part of all()) {
      const { diagnosticsUrl = "", url } = await part.member.whenReady();
      part.url = await part.place.door(diagnosticsUrl);
      if (url !== undefined) api = await part.place.door(url);
    }
    for (const { member } of everyone())
      await member.when(isReady, "the swarm to be ready");
    await answering(api);
    expected = await answer();
  });

  /** What the test before has left is over. */
  beforeEach(async () => {
    for (const part of all())
      await view(part, (c) => c.ready && held(c) === "0,1,2,3");
  });

  after(async () => {
    for (const end of undo.reverse()) await end();
  });

  /** Who says when the swarm is ready. */
  const everyone = (): Part[] => [gateway, ...nodes];
  const all = (): Part[] => [rendezvous, ...everyone()];

  test("one node is cut off: all miss its shard, it misses theirs, and all recover with the network", async (t) => {
    const lone = nodes[3];
    const others = all().filter((part) => part !== lone);
    const session = await streaming(api);
    const from = marks(everyone());
    const heal = network.cut([lone.place], placesOf(others));
    const cut = stopwatch(t);
    try {
      const running = session.ended.then((said) => {
        assert.ok(cut.lap("the running prompt ended") < PROMPT_MS);
        return said;
      });
      // Asked before anybody has noticed.
      const asked = refusal().then((words) => {
        assert.ok(cut.lap("one asked just then was refused") < PROMPT_MS);
        return words;
      });
      const told = await Promise.all([
        ...[gateway, ...nodes.slice(0, 3)].map((part) =>
          lacks(part, [3], from),
        ),
        running,
        asked,
      ]);
      cut.soon(told.slice(0, 4) as ShoalEvent[], "its shard was missed");
      await view(rendezvous, ({ missing }) => missing.join() === "3");
      assert.match(await running, /"code":"stage_lost","details":{"stage":3,/);
      assert.match(await asked, /^50[23]: .*(stage|shard) 3 /);
      assert.match(await refusal(), /^503: .*shard 3 of 4 is missing/);

      cut.soon([await lacks(lone, [0, 1, 2], from)], "it missed all others");
      const own = await view(lone, () => true);
      assert.deepEqual([own.ready, held(own)], [false, "3"]);
      const status = await shoal(["status", "--url", lone.url]);
      assert.equal(status.code, EXIT_NOT_READY, status.stderr);
      assert.match(status.stdout, /Swarm ready: +✗ no: shards 0-2 of 4 /);
      await back(t, heal, everyone(), from);
    } finally {
      heal();
    }
  });

  test("a gateway's own network is down for a moment: it recovers at once, not with the next announcements", async (t) => {
    const from = marks(everyone());
    const replug = gateway.place.unplug();
    const cut = stopwatch(t);
    try {
      using lateness = new Lateness();
      const lost = await lacks(gateway, "no node has joined", from);
      cut.soon([lost], "the gateway missed all");
      assert.match(await refusal(), /^503: .*no node has joined/);
      const isBack = await back(t, replug, [gateway], from);
      const joined = await gateway.member.when(
        ({ tag, message }) =>
          tag === "CONNECT" && message.startsWith("connected"),
        "its rendezvous",
        from.get(gateway.member),
      );
      const tookMs = isBack.timeMs - joined.timeMs;
      t.diagnostic(`ready ${tookMs} ms after its rendezvous was`);
      assert.ok(tookMs - lateness.ms < ASKED_MS, `${tookMs} ms`);
      for (const { member } of nodes)
        assert.deepEqual(
          member.seen.slice(from.get(member)).filter(isNews),
          [],
        );
    } finally {
      replug();
    }
  });

  test("two halves are separated for longer than an announcement lives: each misses the other, and they merge again", async (t) => {
    const here = [gateway, nodes[0], nodes[1]];
    const there = [nodes[2], nodes[3]];
    const from = marks(everyone());
    const heal = network.cut(placesOf([rendezvous, ...here]), placesOf(there));
    const cut = stopwatch(t);
    try {
      const lost = await Promise.all([
        ...here.map((part) => lacks(part, [2, 3], from)),
        ...there.map((part) => lacks(part, [0, 1], from)),
      ]);
      cut.soon(lost, "each half missed the other");
      await view(rendezvous, ({ missing }) => missing.join() === "2,3");
      assert.match(await refusal(), /^503: .*shards 2, 3 of 4 are missing/);
      // Whatever was said before the cut has expired then.
      await sleep(TTL_MS + 1_000 - (Date.now() - cut.sinceMs));
      for (const part of [rendezvous, ...here, ...there]) {
        const cluster = await view(part, () => true);
        assert.equal(held(cluster), there.includes(part) ? "2,3" : "0,1");
      }
      await back(t, heal, everyone(), from);
    } finally {
      heal();
    }
  });

  test("one direction only: a node that hears all but is heard by nobody is missed, and misses all", async (t) => {
    const mute = nodes[2];
    const others = all().filter((part) => part !== mute);
    const from = marks(everyone());
    const heal = network.drop([mute.place], placesOf(others));
    const cut = stopwatch(t);
    try {
      const lost = await Promise.all(
        [gateway, nodes[0], nodes[1], nodes[3]].map((part) =>
          lacks(part, [2], from),
        ),
      );
      cut.soon(lost, "its shard was missed");
      cut.soon([await lacks(mute, [0, 1, 3], from)], "it missed all others");
      await back(t, heal, everyone(), from);
    } finally {
      heal();
    }
  });

  test("everyone is cut off from everyone: they find each other again, without a rendezvous", async (t) => {
    const from = marks(everyone());
    const away = rendezvous.place.unplug();
    const places = placesOf(everyone());
    const heal = network.drop(places, places);
    const cut = stopwatch(t);
    try {
      const lost = await Promise.all([
        lacks(gateway, "no node has joined", from),
        ...nodes.map((part, own) =>
          lacks(
            part,
            [0, 1, 2, 3].filter((i) => i !== own),
            from,
          ),
        ),
      ]);
      cut.soon(lost, "all missed all");
      await back(t, heal, everyone(), from, everyone());
      away();
      const plugged = stopwatch(t);
      await oneView(all());
      plugged.lap("the rendezvous knew all");
    } finally {
      heal();
      away();
    }
  });

  test("one direction between two stages: the prompt reports it, and takes another route if there is one", async (t) => {
    const heal = network.drop([nodes[2].place], [nodes[3].place]);
    try {
      // Over the connection that there was, while one side has not noticed yet; and then without.
      await until("stage 2 to give stage 3 up", async () => {
        const prompt = stopwatch(t);
        const words = await refusal();
        // On a busy machine a suspect may say that it lives only after the grace of a second: until then it is missing for the others.
        assert.match(
          words,
          /^502: stage [23] .*(was lost|cannot reach)|^503: shard [23] of 4 is missing$/,
        );
        assert.ok(prompt.lap(`refused ("${words.slice(0, 40)}…")`) < PROMPT_MS);
        return words.includes("stage 2 cannot reach stage 3");
      });
      // Each is suspected by the other, and says that it lives: the others believe it.
      for (const part of [rendezvous, gateway, nodes[0], nodes[1]])
        await view(part, ({ ready }) => ready);

      const spare = await node("spare", 2);
      await spare.member.when(isReady, "the swarm to be ready");
      await view(gateway, ({ shards }) => shards[2]?.loaded === 2);
      const from = gateway.member.seen.length;
      await answered(t);
      for (let prompt = 0; prompt < 2; prompt++) {
        assert.equal(await answer(), expected);
        const said = gateway.member.seen.slice(from).filter(isDetour);
        assert.ok(said.length <= 1, "only the first finds that it is cut");
      }
      await spare.member.stop();
    } finally {
      heal();
    }
    await view(gateway, ({ shards }) => shards[2]?.loaded === 1);
    await oneView(all());
    await answered(t);
  });

  async function answer(): Promise<string> {
    return (await complete(api, PROMPT, 12)).text;
  }

  /** A prompt is answered, as ever; at most some are refused before, for what the cut has left: a connection that only one side knows of. */
  async function answered(t: TestContext): Promise<void> {
    await until("a prompt to be answered", async () => {
      try {
        assert.equal(await answer(), expected);
        return true;
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error;
        t.diagnostic(String(error));
        return false;
      }
    });
  }

  /** A prompt must not be answered. Returns the status and the words. */
  async function refusal(): Promise<string> {
    return await complete(api, PROMPT, 12).then(
      () => assert.fail("answered without a shard"),
      (error: Error) => error.message,
    );
  }

  /** The network is mended: `those` see all again, soon; everybody the same, and prompts are answered. */
  async function back(
    t: TestContext,
    heal: () => void,
    those: readonly Part[],
    from: Marks,
    viewers: readonly Part[] = all(),
  ): Promise<ShoalEvent> {
    const healed = stopwatch(t);
    heal();
    const events = await Promise.all(
      those.map(({ member }) =>
        member.when(
          (e) => isReady(e) && e.timeMs >= healed.sinceMs,
          "the swarm to be ready again",
          from.get(member),
        ),
      ),
    );
    const took = healed.until(events, "all were back");
    assert.ok(took < BACK_MS, `${took} ms`);
    await answered(t);
    assert.ok(healed.lap("a prompt was answered") < BACK_MS);
    await oneView(viewers);
    healed.lap("all had one view");
    return events.reduce((a, b) => (a.timeMs > b.timeMs ? a : b));
  }

  /** The newest record of each holder, the same everywhere. */
  async function oneView(viewers: readonly Part[]): Promise<void> {
    await until("one view", async () => {
      const versions = new Map<string, Set<number>>();
      for (const { peer, clusters } of await Promise.all(viewers.map(status))) {
        const [cluster] = clusters;
        if (cluster?.ready !== true || held(cluster) !== "0,1,2,3")
          return false;
        for (const { peer: holder, shard, issuedMs } of cluster.members) {
          if (holder === peer) continue; // what it says of itself is always of now
          const of = `${shard} ${holder}`;
          versions.set(of, (versions.get(of) ?? new Set()).add(issuedMs));
        }
      }
      const areSame = [...versions.values()].every(({ size }) => size === 1);
      return areSame && versions.size === SHARDS;
    });
  }
});

const isReady = ({ tag, message }: ShoalEvent): boolean =>
  tag === "SWARM" && message.startsWith("ready");
const isNotReady = ({ tag, message }: ShoalEvent): boolean =>
  tag === "SWARM" && /^(no longer|not) ready/.test(message);
const isDetour = ({ message }: ShoalEvent): boolean =>
  message.startsWith("trying ");
const isNews = (event: ShoalEvent): boolean =>
  isReady(event) || isNotReady(event);

type Marks = ReadonlyMap<Member, number>;

/** Where to start looking for what comes from now on. */
function marks(parts: readonly Part[]): Marks {
  return new Map(parts.map(({ member }) => [member, member.seen.length]));
}

function placesOf(parts: readonly Part[]): Place[] {
  return parts.map(({ place }) => place);
}

/** It says that just these shards are missing. */
async function lacks(
  { member }: Part,
  what: readonly number[] | string,
  from: Marks,
): Promise<ShoalEvent> {
  const words =
    typeof what === "string"
      ? what
      : `${what.length === 1 ? "shard" : "shards"} ${what.join(", ")} of ${SHARDS} `;
  return await member.when(
    (event) => isNotReady(event) && event.message.includes(words),
    `"${words}"`,
    from.get(member),
  );
}

/** Measures from now on, and tells. */
function stopwatch(t: TestContext) {
  const sinceMs = Date.now();
  const tell = (what: string, atMs: number): number => {
    t.diagnostic(`${what} after ${atMs - sinceMs} ms`);
    return atMs - sinceMs;
  };
  const until = (events: readonly ShoalEvent[], what: string): number =>
    tell(what, Math.max(...events.map(({ timeMs }) => timeMs)));
  return {
    sinceMs,
    lap: (what: string) => tell(what, Date.now()),
    until,
    /** What is said of a cut. */
    soon: (events: readonly ShoalEvent[], what: string) => {
      const took = until(events, what);
      assert.ok(took < TTL_MS, `${what} after ${took} ms`);
    },
  };
}

async function status({ url }: Part): Promise<NodeStatus> {
  const signal = AbortSignal.timeout(MEMBER_PATIENCE_MS);
  const response = await fetch(`${url}/api/v1/status`, { signal });
  return (await response.json()) as NodeStatus;
}

/** The cluster as it sees it, once that `is` so. */
async function view(
  part: Part,
  is: (cluster: ClusterStatus) => boolean,
): Promise<ClusterStatus> {
  let cluster: ClusterStatus | undefined;
  await until(`a view of ${part.member.name}`, async () => {
    [cluster] = (await status(part)).clusters;
    return cluster !== undefined && is(cluster);
  });
  return cluster!;
}

/** The shards of all members that it knows. */
function held({ members }: ClusterStatus): string {
  const shards = members.map(({ shard }) => shard);
  return shards.toSorted((a, b) => a - b).join();
}

async function until(
  what: string,
  isSo: () => Promise<boolean>,
): Promise<void> {
  const untilMs = Date.now() + MEMBER_PATIENCE_MS;
  while (!(await isSo())) {
    if (Date.now() > untilMs) throw new Error(`${what}: not in time`);
    await sleep(100);
  }
}

/** A long prompt under way: its first words have come. `ended` is all that was said. */
async function streaming(api: string): Promise<{ ended: Promise<string> }> {
  const signal = AbortSignal.timeout(MEMBER_PATIENCE_MS);
  const { data } = (await (
    await fetch(`${api}/v1/models`, { signal })
  ).json()) as { data: { id: string }[] };
  const response = await fetch(`${api}/v1/completions`, {
    method: "POST",
    signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: data[0]!.id,
      prompt: PROMPT,
      temperature: 0,
      max_tokens: 4_000, // more than there is time for before the cut
      logit_bias: { 2: -100 }, // no end of its own
      stream: true,
    }),
  });
  assert.equal(response.status, 200);
  const reader = response
    .body!.pipeThrough(new TextDecoderStream())
    .getReader();
  const first = (await reader.read()).value ?? "";
  assert.match(first, /^data: .*"text":/);
  const rest = async (): Promise<string> => {
    for (let said = first; ;) {
      const { done, value = "" } = await reader.read();
      if (done) return said;
      said += value;
    }
  };
  return { ended: rest() };
}
