import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ClusterView } from "../cluster/index.ts";
import { SAMPLING_DEFAULTS } from "../engine/index.ts";
import { isShoalError, ShoalError } from "../lib/index.ts";
import { makeHost, startHost, within } from "../../test/support/network.ts";
import { Changes } from "./changes.ts";
import { abortOnceGone } from "./gone.ts";
import { Pipeline } from "./pipeline.ts";

const ROUTE = ["first", "second"].map((peer, i) => ({
  peer,
  layerStart: i,
  layerEnd: i + 1,
  addresses: [],
}));

function viewOf(...peers: string[]): ClusterView {
  const holders = peers.map((peer) => ({ peer }));
  return { shards: [{ holders }] } as unknown as ClusterView;
}

test("a session that opens ends once the cluster has lost one of its stages, and only then", async () => {
  const changes = new Changes();
  let view = viewOf("first", "second");
  const gone = new AbortController();
  const opened = new AbortController();
  const watching = abortOnceGone(gone, ROUTE, {
    changes,
    view: () => view,
    signal: opened.signal,
  });
  view = viewOf("second", "third", "first");
  changes.tell();
  await nextTurn();
  assert.equal(gone.signal.aborted, false);
  view = viewOf("first", "third");
  changes.tell();
  await within(watching, "its end");
  const { reason } = gone.signal;
  assert.ok(isShoalError(reason, "STAGE_LOST"));
  assert.deepEqual(reason.details, { stage: 1, peer: "second" });
});

test("once a session is open, it is its own links that tell of a loss", async () => {
  const changes = new Changes();
  const gone = new AbortController();
  const opened = new AbortController();
  let view = viewOf("first", "second");
  const watching = abortOnceGone(gone, ROUTE, {
    changes,
    view: () => view,
    signal: opened.signal,
  });
  opened.abort();
  view = viewOf();
  changes.tell();
  await within(watching, "its end");
  assert.equal(gone.signal.aborted, false);
});

test("the dial of a stage that answers nothing is given up with its session", async (t) => {
  const silent = createSocket("udp4").bind(0, "127.0.0.1");
  t.after(() => silent.close());
  await once(silent, "listening");
  const [host, absent] = [await startHost(t), await makeHost(t)];
  const { port } = silent.address();
  const pipeline = new Pipeline(host);
  t.after(() => pipeline.stop());
  const gone = new AbortController();
  const first = pipeline
    .generate({
      manifest: "m",
      route: [
        {
          peer: absent.peerId,
          layerStart: 0,
          layerEnd: 1,
          addresses: [`/ip4/127.0.0.1/udp/${port}/quic-v1`],
        },
      ],
      tokens: Int32Array.of(1),
      maxTokens: 1,
      sampling: { ...SAMPLING_DEFAULTS, seed: 1 },
      signal: gone.signal,
    })
    .next();
  const reason = new ShoalError("ABORTED", "it is gone");
  gone.abort(reason);
  await assert.rejects(within(first, "its end"), reason);
});
