/** The memory for sources is bounded, because anyone can invent names for free. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HandClock } from "../../test/support/clock.ts";
import { Events, ShoalError } from "../lib/index.ts";
import { PieceBuffers } from "./piece-buffers.ts";
import { SourcePool } from "./source-pool.ts";
import type { SourceSpec } from "./source.ts";

const MANY = 4_096;
const ROOT = "0".repeat(64);
const peer = (i: number): SourceSpec => ({ kind: "peer", peerId: `peer-${i}` });
const lie = new ShoalError("PIECE_INVALID", "not the content");

function pool(): SourcePool {
  return new SourcePool({
    host: {
      openStream: () => Promise.reject(new ShoalError("DIAL_FAILED", "nobody")),
      disconnect: async () => {},
    },
    clock: new HandClock(),
    buffers: new PieceBuffers(),
    events: new Events(),
  });
}

test("a ban outlives thousands of strangers, and bans are bounded too", () => {
  const sources = pool();
  sources.ban("liar", ROOT, lie);
  for (let i = 0; i < 2 * MANY; i++) sources.standing(`peer-${i}`).failures = 1;
  assert.equal(sources.standing("liar").banned, lie);
  assert.equal(sources.standing(`peer-${2 * MANY - 1}`).failures, 1);
  assert.equal(sources.standing("peer-0").failures, 0, "forgotten");

  for (let i = 0; i < MANY + 10; i++) sources.ban(`peer-${i}`, ROOT, lie);
  assert.equal(sources.bans().length, MANY);
  assert.equal(sources.standing(`peer-${MANY + 9}`).banned, lie);
});

test("of thousands of peers, the latest and those in use are kept", () => {
  const sources = pool();
  const asked = sources.source(peer(0));
  const opening = asked.open(
    ROOT,
    { onChange() {}, onHave() {}, onClosed() {} },
    AbortSignal.timeout(1_000),
  );
  const idle = sources.source(peer(1));
  for (let i = 2; i <= MANY; i++) sources.source(peer(i));
  assert.equal(sources.source(peer(0)), asked);
  assert.notEqual(sources.source(peer(1)), idle);
  return assert.rejects(opening, { code: "DIAL_FAILED" });
});
