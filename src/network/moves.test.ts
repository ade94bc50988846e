/** A machine whose address changed tells its peers, which look at its older connections. */
import assert from "node:assert/strict";
import { once } from "node:events";
import {
  connect,
  createServer,
  type AddressInfo,
  type Server,
  type Socket,
} from "node:net";
import { test, type TestContext } from "node:test";
import { startHost, targetOf, within } from "../../test/support/network.ts";
import { MOVED_PROTOCOL } from "./moves.ts";

/** Passes on to a port of loopback, until it is frozen: then nothing passes, and nobody is told. */
async function passage(t: TestContext, port: number) {
  const sockets: Socket[] = [];
  const server: Server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.push(one);
      one.on("error", () => {});
      one.pipe(other);
    }
  }).listen(0, "127.0.0.1");
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    freeze: () => {
      for (const socket of sockets) socket.unpipe().pause();
    },
  };
}

test("a peer that moved has its dead connections ended at once, and keeps those that answer", async (t) => {
  const [a, b] = [await startHost(t), await startHost(t)];
  const ended = Promise.withResolvers<void>();
  a.handleStreams(
    "/test/1",
    (stream) => stream.onClose(() => ended.resolve()),
    {
      maxFrameBytes: 10,
    },
  );
  const [tcp = ""] = targetOf(a, "TCP").addresses;
  const old = await passage(t, Number(tcp.split("/")[4]));
  const through = `/ip4/127.0.0.1/tcp/${old.port}/p2p/${a.peerId}`;
  const dead = await b.connect({ peerId: a.peerId, addresses: [through] });
  const stream = await b.openStream(a.peerId, "/test/1", { maxFrameBytes: 10 });
  await stream.send(Uint8Array.of(1));
  // Another way to the same peer, while the first one stands.
  const { id } = await b.dialAside(`${tcp}`);
  old.freeze();
  await b.request(a.peerId, MOVED_PROTOCOL, new Uint8Array(), { over: id });
  await within(ended.promise, "the end of the stream over the dead connection");
  assert.equal(a.connections().length, 1);
  assert.notEqual(a.connections()[0]?.address, dead.address);
});
