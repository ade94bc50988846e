import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../test/support/clock.ts";
import type { ClusterStatus } from "../status/index.ts";
import { columnsOf, Events, logReader, type ShoalEvent } from "../lib/index.ts";
import { REPORT_EVERY_MS, startReports, summaryOf } from "./report.ts";
import {
  brokenCluster as broken,
  clusterStatus as cluster,
  nodeStatus as status,
  PEER as ME,
  shardStatus as shard,
} from "../../test/fakes/node-status.ts";

test("a summary in one line", () => {
  const ready = cluster([shard(0, "local"), shard(1, "loaded")]);
  const summary = (clusters: ClusterStatus[], changes = {}): string =>
    summaryOf(status({ clusters, ...changes }));
  assert.equal(summary([ready]), "swarm ready: 2 of 2 shards loaded");
  assert.equal(
    summary([broken]),
    "swarm not ready: 2 of 8 shards loaded: shard 4 of 8 (layers 16-19) has no holder",
  );
  assert.equal(summary([ready, broken]), "2 clusters, 1 of them ready");
  assert.equal(summary([]), "ready");
  assert.equal(summary([], { ready: false }), "not ready: no cluster is known");
});

function collected(): { events: Events; seen: ShoalEvent[] } {
  const events = new Events(() => 0);
  const seen: ShoalEvent[] = [];
  events.subscribe((event) => seen.push(event));
  return { events, seen };
}

test("reports come every 30 s, also after one that failed, and end with the role", async () => {
  const clock = new HandClock();
  const { events, seen } = collected();
  let isBroken = false;
  const stop = startReports({
    status: () => {
      if (isBroken) throw new Error("no memory figure");
      return status({ clusters: [broken] });
    },
    events,
    clock,
  });
  await clock.pass(REPORT_EVERY_MS - 1);
  assert.equal(seen.length, 0);
  await clock.pass(1);
  assert.equal(seen.length, 1);
  isBroken = true;
  await clock.pass(REPORT_EVERY_MS);
  isBroken = false;
  await clock.pass(REPORT_EVERY_MS);
  stop();
  stop();
  await clock.pass(REPORT_EVERY_MS);
  assert.deepEqual(
    seen.map(({ level, tag, message }) => `${level} ${tag} ${message}`),
    [
      `info STATUS ${summaryOf(status({ clusters: [broken] }))}`,
      "error STATUS no report: no memory figure",
      `info STATUS ${summaryOf(status({ clusters: [broken] }))}`,
    ],
  );
});

test("an event of a report has flat fields for machines and lines for people", async () => {
  const clock = new HandClock();
  const { events, seen } = collected();
  let json = "";
  let text = "";
  events.subscribe(
    logReader({
      format: "json",
      level: "info",
      write: (line) => (json += line),
    }),
  );
  events.subscribe(
    logReader({
      format: "text",
      level: "info",
      write: (line) => (text += line),
    }),
  );
  const stop = startReports({
    status: () => status({ clusters: [broken] }),
    events,
    clock,
  });
  await clock.pass(REPORT_EVERY_MS);
  stop();
  assert.deepEqual(JSON.parse(json), {
    level: "info",
    time: "1970-01-01T00:00:00.000Z",
    tag: "STATUS",
    msg: seen[0]?.message,
    role: "node",
    peer: ME,
    upSeconds: 192,
    ownShards: ["0/8:ready"],
    takenOver: [],
    active: 1,
    max: 4,
    total: 12,
    failed: 1,
    tokens: 4321,
    cluster: "llama-cluster",
    model: "Llama 3 70B",
    expected: 8,
    discovered: 4,
    loaded: 2,
    complete: false,
    ready: false,
    reason: "shard 4 of 8 (layers 16-19) has no holder",
    missing: [2, 3, 4, 5, 6, 7],
    shards: [
      "0:local",
      "1:loaded",
      "2:online",
      "3:downloading",
      "4:offline",
      "5:offline",
      "6:offline",
      "7:offline",
    ],
    clusters: ["llama-cluster:no"],
  });
  const lines = text.trimEnd().split("\n");
  assert.deepEqual(
    lines.map((line) => line.slice(34)),
    seen[0]?.lines,
  );
  assert.ok(
    lines.every((line) =>
      line.startsWith("00:00:00.000 info  [STATUS]       "),
    ),
  );
  assert.ok(
    lines.every((line) => columnsOf(line) <= 120),
    text,
  );
});

test(
  "SIGUSR2 asks each role of the process for a report at once",
  { skip: process.platform === "win32" && "no such signal" },
  async () => {
    process.report.reportOnSignal = false; // `node --test` has it on: a file of diagnostics for each signal
    const before = process.listenerCount("SIGUSR2");
    // Node warns of a leak at eleven listeners.
    const roles = Array.from({ length: 12 }, () => {
      const events = new Events();
      const told = Promise.withResolvers<ShoalEvent>();
      events.subscribe(told.resolve);
      const clock = new HandClock();
      const stop = startReports({ status: () => status(), events, clock });
      return { told: told.promise, stop };
    });
    assert.equal(process.listenerCount("SIGUSR2"), before + 1);
    process.kill(process.pid, "SIGUSR2");
    for (const { told } of roles) {
      const { tag, message } = await told;
      assert.deepEqual([tag, message], ["STATUS", "ready"]);
    }
    for (const { stop } of roles) stop();
    assert.equal(process.listenerCount("SIGUSR2"), before);
  },
);
