/** A host in a process of its own: prints where it is, echoes frames, and lives until it is killed. */
import { createHost } from "../../src/network/index.ts";
import { LOOPBACK } from "./network.ts";

const host = await createHost({ listen: LOOPBACK });
host.handleStreams(
  "/test/echo/1",
  (stream) => stream.onFrame((frame) => stream.send(frame)),
  { maxFrameBytes: 1 << 20 },
);
await host.start();
process.stdout.write(
  `${JSON.stringify({ peerId: host.peerId, addresses: host.addresses() })}\n`,
);
