/** Idle connections end, others do not. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import {
  acceptStream,
  startHost,
  targetOf,
  TRANSPORTS,
  within,
} from "../../test/support/network.ts";

const PROTOCOL = "/test/bulk/1";
const IDLE_MS = 400;

describe("an idle connection", { concurrency: true }, () => {
  for (const transport of TRANSPORTS) {
    test(`over ${transport} ends after its last stream, and is opened again for the next`, async (t) => {
      const options = {
        idleConnectionMs: IDLE_MS,
        heartbeat: { intervalMs: 50 },
      };
      const [a, b] = [await startHost(t, options), await startHost(t)];
      const accepted = acceptStream(a, PROTOCOL);
      const ended = Promise.all(
        [a, b].map(
          (host) =>
            new Promise<void>((resolve) => {
              host.onPeer(({ type }) => {
                if (type === "disconnected") resolve();
              });
            }),
        ),
      );
      const stream = await b.openStream(targetOf(a, transport), PROTOCOL, {
        maxFrameBytes: 100,
      });
      await within(accepted, "the stream");
      await sleep(4 * IDLE_MS);
      assert.equal(a.connections()[0]?.transport, transport);
      assert.ok(a.connections()[0]?.rttMs !== undefined, "it was beating");
      await stream.close();
      await within(ended, "the end of the connection");
      assert.deepEqual(a.connections(), []);

      const again = await b.openStream(targetOf(a, transport), PROTOCOL, {
        maxFrameBytes: 100,
      });
      assert.equal(again.peer, a.peerId);
    });
  }
});
