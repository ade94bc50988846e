/** The links of one download, in cases that depend on the order of events. */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { test } from "node:test";
import { HandClock } from "../../test/support/clock.ts";
import { Events, ShoalError } from "../lib/index.ts";
import { DownloadLinks } from "./download-links.ts";
import { PieceBuffers } from "./piece-buffers.ts";
import { SourcePool } from "./source-pool.ts";
import type { Source, SourceLink } from "./source.ts";

/** A source whose links open on command. */
class SlowSource implements Source {
  readonly id = "slow";
  readonly opening = Promise.withResolvers<SourceLink>();
  opened = 0;

  async open(): Promise<SourceLink> {
    this.opened++;
    return await this.opening.promise;
  }

  close(): void {}
}

function linksTo(source: Source): DownloadLinks {
  const clock = new HandClock();
  const pool = new SourcePool({
    host: {
      openStream: () => Promise.reject(new ShoalError("DIAL_FAILED", "nobody")),
      disconnect: async () => {},
    },
    clock,
    buffers: new PieceBuffers(),
    events: new Events(),
  });
  pool.source = () => source;
  return new DownloadLinks({
    root: "0".repeat(64),
    pool,
    clock,
    signal: new AbortController().signal,
    stallMs: 1_000,
    onChange: () => {},
  });
}

test("a link that opens when the content is complete but not yet renamed is closed", async () => {
  const source = new SlowSource();
  const links = linksTo(source);
  links.add({ kind: "peer", peerId: "slow" });
  links.close();
  links.add({ kind: "peer", peerId: "late" });
  let closed = 0;
  source.opening.resolve({
    sourceId: "slow",
    sizeBytes: undefined,
    have: undefined,
    metadataIsCostly: false,
    room: 1,
    waiting: false,
    bytesPerSecond: undefined,
    outstandingBytes: 0,
    lastDataMs: 0,
    isAsked: () => false,
    metadata: () => Promise.reject(new Error("nobody asks")),
    fetch: () => Promise.reject(new Error("nobody asks")),
    close: () => closed++,
  });
  await setImmediate();
  assert.deepEqual([closed, source.opened, links.active], [1, 1, []]);
});
