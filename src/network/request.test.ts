import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isShoalError, ShoalError, type ErrorCode } from "../lib/index.ts";
import {
  closeOf,
  startHost,
  targetOf,
  TRANSPORTS,
  within,
} from "../../test/support/network.ts";
import type { Host } from "./host.ts";

const PROTOCOL = "/test/request/1";

function rejectsWith(
  promise: Promise<unknown>,
  ...codes: ErrorCode[]
): Promise<void> {
  return assert.rejects(promise, (error) => {
    assert.ok(
      isShoalError(error, ...codes),
      `${String(error)} has code ${isShoalError(error) ? error.code : "none"}`,
    );
    return true;
  });
}

async function openRaw(
  host: Host,
  target: Parameters<Host["openStream"]>[0],
): ReturnType<Host["openStream"]> {
  return await host.openStream(target, PROTOCOL, { maxFrameBytes: 1 << 23 });
}

for (const transport of TRANSPORTS) {
  describe(`requests over ${transport}`, () => {
    test("300 at once each get their own reply", async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      a.handleRequests(PROTOCOL, async (payload, { peer }) => {
        await new Promise(setImmediate);
        return [payload, Buffer.from(peer)];
      });
      const target = targetOf(a, transport);
      const replies = await Promise.all(
        Array.from({ length: 300 }, (_, i) =>
          b.request(target, PROTOCOL, Buffer.from(`${i} `)),
        ),
      );
      assert.deepEqual(
        replies.map((reply) => Buffer.from(reply).toString()),
        replies.map((_, i) => `${i} ${b.peerId}`),
      );
      assert.equal(b.connections().length, 1);
    });

    test("requests and replies of the largest size pass; one byte more is FRAME_TOO_LARGE on either side", async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      const limits = { maxRequestBytes: 100_000, maxReplyBytes: 200_000 };
      a.handleRequests(
        PROTOCOL,
        async ([more = 0]) => new Uint8Array(200_000 + more),
        limits,
      );
      const target = targetOf(a, transport);
      const ask = (
        bytes: number,
        more: number,
        own = limits,
      ): Promise<Uint8Array> =>
        b.request(
          target,
          PROTOCOL,
          new Uint8Array(bytes).fill(more, 0, 1),
          own,
        );
      assert.equal((await ask(100_000, 0)).byteLength, 200_000);
      // Our own limit, the server's limit, the server's own reply, our limit for replies.
      await rejectsWith(ask(100_001, 0), "FRAME_TOO_LARGE");
      await rejectsWith(
        ask(1_000_000, 0, { ...limits, maxRequestBytes: 1_000_000 }),
        "FRAME_TOO_LARGE",
      );
      await rejectsWith(ask(1, 1), "FRAME_TOO_LARGE");
      await rejectsWith(
        ask(1, 0, { ...limits, maxReplyBytes: 199_999 }),
        "FRAME_TOO_LARGE",
      );
      assert.equal((await ask(1, 0)).byteLength, 200_000);
    });

    test("an error keeps its code and details on the wire", async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      a.handleRequests(PROTOCOL, async (payload) => {
        if (payload.byteLength > 0) throw new Error("a bug");
        throw new ShoalError("BUSY", "come back later", { waiting: 7 });
      });
      const target = targetOf(a, transport);
      await assert.rejects(
        b.request(target, PROTOCOL, new Uint8Array()),
        (error) =>
          isShoalError(error, "BUSY") &&
          error.message === "come back later" &&
          error.details.waiting === 7,
      );
      await rejectsWith(
        b.request(target, PROTOCOL, Uint8Array.of(1)),
        "INTERNAL",
      );
    });

    test("a handler that never answers: the caller's deadline ends it, and the handler learns of it", async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      const gone = Promise.withResolvers<void>();
      a.handleRequests(PROTOCOL, async (_, { signal }) => {
        signal.addEventListener("abort", () => gone.resolve());
        return await new Promise<Uint8Array>(() => {});
      });
      await rejectsWith(
        b.request(targetOf(a, transport), PROTOCOL, Uint8Array.of(1), {
          timeoutMs: 500,
        }),
        "DEADLINE",
      );
      await within(gone.promise, "the handler's signal");
    });

    test("a handler that never answers: the server's own deadline ends it", async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      a.handleRequests(PROTOCOL, () => new Promise<Uint8Array>(() => {}), {
        handleMs: 300,
      });
      await rejectsWith(
        b.request(targetOf(a, transport), PROTOCOL, Uint8Array.of(1)),
        "DEADLINE",
      );
    });

    test("a request that does not arrive is abandoned", async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      a.handleRequests(PROTOCOL, async (payload) => payload, { readMs: 300 });
      const stream = await openRaw(b, targetOf(a, transport));
      stream.onFrame(() => assert.fail("nothing was asked"));
      assert.ok(isShoalError(await closeOf(stream), "STREAM_CLOSED"));
    });

    test("a caller that gives up gets its own reason", async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      const asked = Promise.withResolvers<void>();
      a.handleRequests(PROTOCOL, () => {
        asked.resolve();
        return new Promise<Uint8Array>(() => {});
      });
      const stop = new AbortController();
      const reply = b.request(
        targetOf(a, transport),
        PROTOCOL,
        Uint8Array.of(1),
        { signal: stop.signal },
      );
      reply.catch(() => {});
      await within(asked.promise, "the request to arrive");
      stop.abort(new ShoalError("ABORTED", "the client left"));
      await rejectsWith(reply, "ABORTED");
    });

    test("a second frame on a request's stream ends it", async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      a.handleRequests(PROTOCOL, () => new Promise<Uint8Array>(() => {}));
      const stream = await openRaw(b, targetOf(a, transport));
      stream.onFrame(() => assert.fail("there is no answer"));
      void stream.send(Uint8Array.of(1));
      void stream.send(Uint8Array.of(2));
      assert.ok(isShoalError(await closeOf(stream), "STREAM_CLOSED"));
    });

    test("a stream that ends without a reply is STREAM_CLOSED, an invalid reply FRAME_MALFORMED", async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      a.handleStreams(
        PROTOCOL,
        (stream) =>
          stream.onFrame(async ([what]) => {
            if (what === 1) await stream.send(Uint8Array.of(7, 7));
            await stream.close();
          }),
        { maxFrameBytes: 100 },
      );
      const target = targetOf(a, transport);
      await rejectsWith(
        b.request(target, PROTOCOL, Uint8Array.of(0)),
        "STREAM_CLOSED",
      );
      await rejectsWith(
        b.request(target, PROTOCOL, Uint8Array.of(1)),
        "FRAME_MALFORMED",
      );
    });

    test("a protocol the peer does not speak is PROTOCOL_UNSUPPORTED", async (t) => {
      const [a, b] = [await startHost(t), await startHost(t)];
      await rejectsWith(
        b.request(targetOf(a, transport), "/test/other/1", Uint8Array.of(1)),
        "PROTOCOL_UNSUPPORTED",
      );
    });
  });
}

test("an unknown peer is DIAL_FAILED", async (t) => {
  const [a, b] = [await startHost(t), await startHost(t)];
  await rejectsWith(
    b.request(a.peerId, PROTOCOL, Uint8Array.of(1)),
    "DIAL_FAILED",
  );
});
