/** Coordination through a rendezvous, with real hosts on loopback: who may ask, who may command, and that it connects. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { z } from "zod";
import { Events } from "../lib/index.ts";
import { Commands, type Host } from "../network/index.ts";
import {
  makeHost,
  PATIENCE_MS,
  targetOf,
  within,
} from "../../test/support/network.ts";
import { Puncher } from "./puncher.ts";
import { PUNCH, PUNCH_OPEN, PUNCH_PROBE } from "./punch-protocol.ts";
import { PUNCH_SERVICE, PunchService } from "./punch-service.ts";
import { Reflector } from "./reflector.ts";

/** Refused at once: nobody listens there. */
const NOWHERE = "/ip4/127.0.0.1/tcp/1";
const skip = process.platform !== "linux" && "Linux only";

interface Side {
  host: Host;
  commands: Commands;
}

async function rendezvous(
  t: TestContext,
  areMembers: (one: string, other: string) => boolean = () => true,
): Promise<Side> {
  const host = await makeHost(t);
  const commands = new Commands(host);
  const reflector = new Reflector();
  t.after(() => reflector.stop());
  await reflector.start(["127.0.0.1"], 0);
  const events = new Events();
  new PunchService({ host, commands, events, reflector, areMembers }).start();
  await host.start();
  return { host, commands };
}

async function member(
  t: TestContext,
  { host: at }: Side,
): Promise<Side & { puncher: Puncher }> {
  const host = await makeHost(t);
  const commands = new Commands(host);
  const events = new Events();
  const puncher = new Puncher({ host, commands, events });
  puncher.start();
  t.after(() => puncher.stop());
  await host.start();
  const { peer } = await host.connect(targetOf(at, "QUIC"));
  puncher.use(peer);
  return { host, commands, puncher };
}

test(
  "where no address answers, the rendezvous has one dial the other's QUIC socket",
  { skip },
  async (t) => {
    const at = await rendezvous(t);
    const one = await member(t, at);
    const other = await member(t, at);
    const inbound = new Promise<void>((resolve) => {
      other.host.onPeer(({ peer }) => {
        if (peer === one.host.peerId) resolve();
      });
    });
    const target = { peerId: other.host.peerId, addresses: [NOWHERE] };
    const { transport } = await one.host.connect(target, {
      timeoutMs: PATIENCE_MS,
    });
    assert.equal(transport, "QUIC");
    await within(inbound, "the other's end of it");
    const wayTo = (
      from: Side,
      { host: { peerId } }: Side,
    ): string | undefined =>
      from.host.connections().find(({ peer }) => peer === peerId)?.way;
    const ways = [wayTo(one, other), wayTo(other, one)];
    assert.deepEqual(ways, ["punched UDP", "punched UDP"]);
  },
);

test("a rendezvous connects nobody but members of one cluster that are there, and only so often", async (t) => {
  const at = await rendezvous(t, () => false);
  const one = await member(t, at);
  const other = await member(t, at);
  const ask = async (peer: string): Promise<unknown> =>
    await one.commands.call(at.host.peerId, PUNCH.name, { peer }, z.unknown());
  const stranger = await makeHost(t);
  for (const peer of [other.host.peerId, stranger.peerId, one.host.peerId])
    await assert.rejects(ask(peer), { code: "COMMAND_UNAUTHORIZED" });
  await assert.rejects(
    Promise.all(
      Array.from({ length: PUNCH_SERVICE.burst }, () =>
        ask(other.host.peerId).catch((error: { code?: string }) => {
          if (error.code === "RATE_LIMITED") throw error;
        }),
      ),
    ),
    { code: "RATE_LIMITED" },
  );
});

test(
  "a member does what its rendezvous says, and nothing for anybody else",
  { skip },
  async (t) => {
    const at = await rendezvous(t);
    const one = await member(t, at);
    const stranger = await makeHost(t);
    const commands = new Commands(stranger);
    await stranger.start();
    await stranger.connect(targetOf(one.host, "QUIC"));
    const to = { host: "127.0.0.1", port: 9 };
    const open = { peer: stranger.peerId, to };
    const call = async (
      by: Commands,
      name: string,
      params: object,
    ): Promise<unknown> =>
      await by.call(one.host.peerId, name, params, z.unknown());
    await assert.rejects(call(commands, PUNCH_OPEN.name, open), {
      code: "COMMAND_UNAUTHORIZED",
    });
    assert.deepEqual(await call(at.commands, PUNCH_OPEN.name, open), {
      sent: true,
    });
    for (const [name, params] of [
      [PUNCH_OPEN.name, { ...open, to: { host: "example.org", port: 9 } }],
      [PUNCH_OPEN.name, { ...open, to: { host: "127.0.0.1", port: 0 } }],
      [PUNCH_PROBE.name, { over: "UDP", token: "0", ports: [9, 9] }],
    ] as const)
      await assert.rejects(call(at.commands, name, params), {
        code: "COMMAND_MALFORMED",
      });
  },
);

test("without a rendezvous, or with one that is too old, a dial fails with its addresses' errors", async (t) => {
  const old = await makeHost(t);
  const commands = new Commands(old);
  await old.start();
  const one = await member(t, { host: old, commands });
  const stranger = await makeHost(t);
  await assert.rejects(
    one.host.connect(
      { peerId: stranger.peerId, addresses: [NOWHERE] },
      { timeoutMs: PATIENCE_MS },
    ),
    { code: "DIAL_FAILED", message: /TCP 127\.0\.0\.1:1: connection refused/ },
  );
});
