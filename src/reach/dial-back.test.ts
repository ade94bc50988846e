/** REACH_ME between real hosts. */
import assert from "node:assert/strict";
import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { makeHost, within } from "../../test/support/network.ts";
import { isShoalError } from "../lib/index.ts";
import { Commands, type Host } from "../network/index.ts";
import {
  DIAL_BACK,
  DIAL_BACK_PROTOCOL,
  DialBacks,
  REACH_ME,
  serveDialBack,
} from "./dial-back.ts";
import { type Port, portsOf } from "./ports.ts";

interface Pair {
  rendezvous: Host;
  node: Host;
  asked: Commands;
  dialBacks: DialBacks;
}

/** A node that is connected with a rendezvous. */
async function pair(t: TestContext): Promise<Pair> {
  const [rendezvous, node] = [await makeHost(t), await makeHost(t)];
  const asked = new Commands(node);
  // The time stands still: no quota grows again.
  const clock = { now: () => 0, after: () => () => {} };
  serveDialBack({
    host: rendezvous,
    commands: new Commands(rendezvous),
    clock,
  });
  const dialBacks = new DialBacks({ host: node, commands: asked });
  await rendezvous.start();
  await node.start();
  await node.connect({
    peerId: rendezvous.peerId,
    addresses: rendezvous.addresses(),
  });
  return { rendezvous, node, asked, dialBacks };
}

const signal = new AbortController().signal;

/** Asks again while not all are reached: a busy machine takes longer than a dial. */
async function reachedAll(
  { rendezvous, dialBacks }: Pair,
  ports: readonly Port[],
): ReturnType<DialBacks["ask"]> {
  for (let tries = 1; ; tries++) {
    const found = await dialBacks.ask(rendezvous.peerId, ports, signal);
    const isAll = found.ports.length === ports.length;
    if (isAll || tries === DIAL_BACK.burst) return found;
  }
}

test("a peer is told where it is seen, and reached at the ports where it listens", async (t) => {
  const both = await pair(t);
  const ports = portsOf(both.node.addresses());
  assert.deepEqual(
    ports.map(({ transport }) => transport),
    ["QUIC", "TCP"],
  );
  const found = await reachedAll(both, ports);
  assert.deepEqual(found, { seenAs: "127.0.0.1", isTried: true, ports });
});

test("what was dialled back is used by nothing else, and ends", async (t) => {
  const both = await pair(t);
  const { rendezvous, node } = both;
  const before = node.connections().map(({ id }) => id);
  let during: string[] = [];
  const dials = rendezvous.dialAside.bind(rendezvous);
  rendezvous.dialAside = async (address, options) => {
    const connection = await dials(address, options);
    during = node.connections().map(({ id }) => id);
    assert.deepEqual(
      rendezvous.connections().map(({ direction }) => direction),
      ["inbound"],
    );
    return connection;
  };
  const ports = portsOf(node.addresses());
  assert.deepEqual((await reachedAll(both, ports)).ports, ports);
  assert.deepEqual(during, before);
  assert.deepEqual(
    node.connections().map(({ id }) => id),
    before,
  );
});

test("a port where nobody listens, and one where another does, are not reached", async (t) => {
  const { rendezvous, node, dialBacks } = await pair(t);
  const other = await makeHost(t);
  await other.start();
  const server = createServer((socket) => socket.destroy()).listen(
    0,
    "127.0.0.1",
  );
  t.after(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const [own] = portsOf(node.addresses());
  const ports = [
    own!,
    { transport: "TCP" as const, port },
    ...portsOf(other.addresses()),
  ];
  let found: Port[] = [];
  for (let tries = 0; found.length === 0 && tries < DIAL_BACK.burst; tries++)
    ({ ports: found } = await dialBacks.ask(rendezvous.peerId, ports, signal));
  assert.deepEqual(found, [own]);
});

test("who says that it dialled and did not is not believed", async (t) => {
  const [liar, node] = [await makeHost(t), await makeHost(t)];
  const commands = new Commands(liar);
  commands.handle(REACH_ME.name, REACH_ME.params, ({ ports }) => ({
    seenAs: "198.18.1.2",
    reached: ports.map(({ transport, port }) => ({ transport, port })),
  }));
  const dialBacks = new DialBacks({ host: node, commands: new Commands(node) });
  await liar.start();
  await node.start();
  await node.connect({ peerId: liar.peerId, addresses: liar.addresses() });
  const ports = portsOf(node.addresses());
  const found = await dialBacks.ask(liar.peerId, ports, signal);
  assert.deepEqual(found.ports, []);
});

test("a nonce that another peer brings proves nothing", async (t) => {
  const [liar, thief, node] = [
    await makeHost(t),
    await makeHost(t),
    await makeHost(t),
  ];
  const dialBacks = new DialBacks({ host: node, commands: new Commands(node) });
  for (const host of [thief, node]) await host.start();
  const there = { peerId: node.peerId, addresses: node.addresses() };
  let brought = 0;
  const commands = new Commands(liar);
  commands.handle(REACH_ME.name, REACH_ME.params, async ({ ports }) => {
    for (const { nonce } of ports) {
      const bytes = Buffer.from(nonce, "base64");
      await thief.request(there, DIAL_BACK_PROTOCOL, bytes);
      brought++;
    }
    return {
      seenAs: "198.18.1.2",
      reached: ports.map(({ transport, port }) => ({ transport, port })),
    };
  });
  await liar.start();
  await node.connect({ peerId: liar.peerId, addresses: liar.addresses() });
  const ports = portsOf(node.addresses());
  const found = await dialBacks.ask(liar.peerId, ports, signal);
  assert.equal(brought, 2);
  assert.deepEqual(found.ports, []);
});

test("questions are few: by peer, and no service's port is dialled", async (t) => {
  const { rendezvous, asked, dialBacks } = await pair(t);
  const nobody = [{ transport: "TCP" as const, port: 65_535 }];
  for (let i = 0; i < DIAL_BACK.burst; i++)
    await dialBacks.ask(rendezvous.peerId, nobody, signal);
  await assert.rejects(
    dialBacks.ask(rendezvous.peerId, nobody, signal),
    (error) => isShoalError(error, "RATE_LIMITED"),
  );
  const service = { transport: "TCP", port: 22, nonce: "A".repeat(24) };
  await assert.rejects(
    within(
      asked.call(
        rendezvous.peerId,
        REACH_ME.name,
        { ports: [service] },
        REACH_ME.result,
      ),
      "the refusal",
    ),
    (error) => isShoalError(error, "COMMAND_MALFORMED"),
  );
});
