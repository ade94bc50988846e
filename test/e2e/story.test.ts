/**
 * The log of a node's start tells a story (docs/OPERATIONS.md). This test compares it, phase by phase, with the one an operator expects:
 * every line, with varying parts masked, and each fact after those it depends on.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { ShoalEvent } from "../../src/lib/index.ts";
import { splitModel } from "../../src/model/index.ts";
import { TestCluster } from "../support/cluster.ts";
import { DEMO_MODEL } from "../support/swarm.ts";

/** What a phase says, in any order within it, and the phases whose end it comes after. */
interface Phase {
  after: readonly string[];
  lines: readonly string[];
}

const STORY: Readonly<Record<string, Phase>> = {
  "0 page": {
    after: [],
    lines: ["[STATUS] page and status over HTTP url=<url>"],
  },
  "1 configuration": {
    after: ["0 page"],
    lines: [
      "[CONFIG] shard node of cluster test shard=0/2 bootstrap=<address> peer=<peer>",
    ],
  },
  "2 torrents": {
    after: ["1 configuration"],
    lines: [
      "[LISTEN] transfers: listening on <n> addresses peer=<peer> real=<address>",
      "[TORRENT] sharing a content kind=file name=manifest of Shoal demo root=<root> size=<size> primary=false",
      "[TORRENT] sharing a content kind=shard name=shard-0.gguf root=<root> size=<size> primary=true",
      "[TORRENT] sharing a content kind=shard name=shard-1.gguf root=<root> size=<size> primary=false",
      "[TORRENT] seeding primary=1 additional=1 parts=<n> downloads=0 size=<size>",
    ],
  },
  "3 shard": {
    after: ["1 configuration"],
    lines: [
      "[MEMORY] what the shard takes layers=0-3 weights=<size> copied=<size> kv=<size> at rest, <size> when full compute=<size> process=<size> atRest=<size> full=<size> mayUse=<size> context=512 sessions=4 of the whole context, 64 short ones kvBytes=<n> computeBytes=<n> atRestBytes=<n> fullBytes=<n>",
      "[TENSOR_LOAD] loading the shard file=<path>/shard-0.gguf size=<size> architecture=llama",
      "[TENSOR_LOAD] 100 % file=<path>/shard-0.gguf",
      "[SHARD] loaded: validated, mapped, dry run done layers=0-3 model=Shoal demo file=<path>/shard-0.gguf size=<size> loaded=<time> dryRun=<time> memory=<size> context=512 threads=1 engine=llama.cpp v0.5.0 on CPU",
    ],
  },
  "4 transport": {
    after: ["3 shard"],
    lines: [
      "[TRANSPORT] QUIC and TCP quic=true tcp=true",
      "[LISTEN] listening on <n> addresses asked=<address>,<address> real=<address>,<address>",
    ],
  },
  "5 connected": {
    after: ["4 transport"],
    lines: [
      "[CONNECT] connected to bootstrap <peer> over QUIC bootstrap=<address> peer=<peer> transport=QUIC address=<address> rttMs=<n>",
    ],
  },
  "6 announced": {
    after: ["5 connected"],
    lines: [
      "[CLUSTER] announced, confirmed by the rendezvous cluster=test members=<n>",
    ],
  },
  "7 torrents exchanged": {
    after: ["5 connected"],
    lines: [
      "[TORRENT_SYNC] <n> contents listed at the rendezvous, which knows <n> peer=<peer> listed=<n> known=<n>",
    ],
  },
  "8 DHT": {
    after: ["5 connected"],
    lines: ["[DHT] routing table holds <n> peers peers=<n>"],
  },
  "9 in the DHT": {
    after: ["6 announced", "8 DHT"],
    lines: [
      "[DHT] announced cluster test in the DHT: <said> stored=<n>",
      "[DHT] announced shard 0 in the DHT: <said>",
      "[DHT] announced this node in the DHT: <said> cluster=test shard=0 layers=layers 0-3 peer=<peer> state=ready stored=<n>",
      "[DHT] lookup of shard 1: <said> layers=layers 4-7 asked=<n> found=<n>",
    ],
  },
  "10 ready": {
    after: ["6 announced"],
    lines: [
      "[SWARM] ready: every layer is loaded model=Shoal demo shards=0: layers 0-3 × 1,1: layers 4-7 × 1",
    ],
  },
};

/** Told as often as it happens, or not at all. */
const SOMETIMES = [
  /^\[TENSOR_LOAD\] \d+ % /,
  /^\[SWARM\] not ready: shard 1 of 2 is missing$/,
  /^\[SWARM\] not ready: no node has joined the cluster$/,
  /^\[TORRENT_SYNC\] <n> contents listed at the rendezvous/,
  /^\[TORRENT\] .* announced in the DHT/,
  /^\[DHT\] routing table /,
];

test("the log tells a node's start phase by phase, each fact after those it depends on", async (t) => {
  const cluster = await TestCluster.start(t);
  const dir = join(cluster.members.home, "shards");
  await splitModel({ path: DEMO_MODEL, shards: 2, outDir: dir });
  const how = ["--model-dir", dir, "--threads", "1"];
  const other = cluster.start("node", "other", ["--shard", "1/2", ...how]);
  await other.whenReady();
  const node = cluster.start("node", "node", ["--shard", "0/2", ...how]);
  await node.whenReady();
  const last = [/^seeding primary=|^seeding$/, /^lookup of shard 1/, /^ready/];
  for (const message of last)
    await node.when((e) => message.test(e.message), String(message));

  const told = node.seen
    .filter(({ level }) => level !== "debug")
    .map((event) => masked(event));
  const unexplained = new Set(told);
  const endOf = new Map<string, number>();
  for (const [name, { after, lines }] of Object.entries(STORY)) {
    const places = lines.map((line) => {
      const place = told.indexOf(line);
      assert.notEqual(place, -1, `${name}: ${line}\nin\n${told.join("\n")}`);
      unexplained.delete(line);
      return place;
    });
    endOf.set(name, Math.max(...places));
    for (const before of after) {
      assert.ok(
        Math.min(...places) > (endOf.get(before) ?? Infinity),
        `${name} comes after ${before}:\n${told.join("\n")}`,
      );
    }
  }
  const strange = [...unexplained].filter(
    (line) => !SOMETIMES.some((known) => known.test(line)),
  );
  assert.deepEqual(strange, [], "nothing else was told");
});

/** "[TAG] message key=value …" with what differs from run to run replaced. */
function masked({ tag, message, fields }: ShoalEvent): string {
  const shown = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}=${maskedField(key, String(value))}`);
  return `[${tag}] ${maskedWords(message)}${shown.join("")}`;
}

const COUNTS = [
  "listed",
  "known",
  "members",
  "peers",
  "stored",
  "asked",
  "found",
  "parts",
  "rttMs",
  "kvBytes",
  "computeBytes",
  "atRestBytes",
  "fullBytes",
];
const TIMES = ["loaded", "dryRun"];
const SIZES = ["size", "memory"];

function maskedField(key: string, value: string): string {
  if (TIMES.includes(key)) return "<time>";
  if (SIZES.includes(key)) return "<size>";
  if (key === "file") return value.replace(/^.*\//, "<path>/");
  if (COUNTS.includes(key) && /^[\d.]+$/.test(value)) return "<n>";
  return maskedWords(value);
}

function maskedWords(text: string): string {
  return text
    .replaceAll(/\/ip4\/[^,\s]+/g, "<address>")
    .replaceAll(/https?:\/\/\S+/g, "<url>")
    .replaceAll(/12D3Koo\w+/g, "<peer>")
    .replaceAll(/[\d.]+:\d+\/p2p\/<peer>/g, "<address>")
    .replaceAll(/\b[0-9a-f]{64}\b/g, "<root>")
    .replaceAll(/\b[\d.]+ (?:B|[KMG]iB)\b/g, "<size>")
    .replace(/(on CPU) \S+/, "$1")
    .replace(/(listening on) \d+/, "$1 <n>")
    .replace(/^\d+ (contents listed.*knows) \d+/, "<n> $1 <n>")
    .replace(/(routing table holds) \d+ peers?/, "$1 <n> peers")
    .replace(
      /^(announced .*? in the DHT|lookup of shard \d+): .*$/,
      "$1: <said>",
    );
}
