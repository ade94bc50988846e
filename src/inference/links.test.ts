import assert from "node:assert/strict";
import { test } from "node:test";
import { acceptStream, startHost, within } from "../../test/support/network.ts";
import {
  FrameType,
  MAX_FRAME_BYTES,
  PIPELINE_PROTOCOL,
} from "../ring/index.ts";
import { Links } from "./links.ts";

test("links stop although a peer does not read what is on its way to it", async (t) => {
  const [reader, host] = [await startHost(t), await startHost(t)];
  // Without a handler for its frames it takes no more than its window.
  const accepted = acceptStream(reader, PIPELINE_PROTOCOL, {
    maxFrameBytes: MAX_FRAME_BYTES,
  });
  const lost = Promise.withResolvers<string>();
  const links = new Links({
    host,
    onFrame: () => {},
    onLost: () => lost.resolve("lost"),
  });
  const link = await links.to(reader.peerId, reader.addresses(), 60_000);
  await within(accepted, "the stream");
  const head = {
    type: FrameType.Activations,
    flags: 0,
    stage: 0,
    position: 0,
    count: 0,
    elapsedUs: 0,
    session: "00".repeat(16),
  };
  for (let i = 0; i < 32; i++) link.send(head, Buffer.alloc(1 << 20));
  const stopped = links.stop().then(() => "stopped");
  // The stream gives such a reader up after its write deadline.
  const first = await within(
    Promise.race([stopped, lost.promise]),
    "the end of the link",
  );
  assert.equal(first, "stopped");
});
