import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { z } from "zod";
import { isShoalError, ShoalError, type ErrorCode } from "../lib/index.ts";
import { makeHost, startHost, targetOf } from "../../test/support/network.ts";
import type { PeerTarget } from "./address.ts";
import {
  Attached,
  COMMAND_PROTOCOL,
  Commands,
  type CommandsOptions,
} from "./commands.ts";
import type { Host } from "./host.ts";

interface Two {
  server: Host;
  client: Host;
  asked: Commands;
  asking: Commands;
  target: PeerTarget;
}

async function two(
  t: TestContext,
  options: CommandsOptions = {},
): Promise<Two> {
  const [server, client] = [await makeHost(t), await startHost(t)];
  const [asked, asking] = [new Commands(server, options), new Commands(client)];
  await server.start();
  return { server, client, asked, asking, target: targetOf(server, "QUIC") };
}

function rejectsWith(
  promise: Promise<unknown>,
  code: ErrorCode,
  message?: RegExp,
): Promise<void> {
  return assert.rejects(promise, (error) => {
    assert.ok(isShoalError(error, code), String(error));
    if (message !== undefined) assert.match(error.message, message);
    return true;
  });
}

const Greet = z.object({ name: z.string().max(80) });

test("a command is answered once, and knows its sender", async (t) => {
  const { asked, asking, target, client } = await two(t);
  asked.handle("GREET", Greet, ({ name }, { peer }) => ({
    greeting: `hello ${name}`,
    peer,
  }));
  const result = await asking.call(
    target,
    "GREET",
    { name: "Ada" },
    z.object({ greeting: z.string(), peer: z.string() }),
  );
  assert.deepEqual(result, { greeting: "hello Ada", peer: client.peerId });
});

test("both ends of a connection may send commands", async (t) => {
  const { asked, asking, target, server, client } = await two(t);
  asked.handle("PING", z.object({}), () => "pong");
  asking.handle("PING", z.object({}), () => "pong back");
  assert.equal(await asking.call(target, "PING", {}, z.string()), "pong");
  assert.equal(
    await asked.call(client.peerId, "PING", {}, z.string()),
    "pong back",
  );
  assert.equal(server.connections().length, 1);
});

test("bytes travel beside the JSON unchanged", async (t) => {
  const { asked, asking, target } = await two(t);
  const bytes = Uint8Array.from({ length: 3 << 20 }, (_, i) => (i * 31) & 255);
  asked.handle(
    "GET",
    z.object({ part: z.string() }),
    ({ part }) => new Attached({ part }, bytes),
  );
  const { result, attachment } = await asking.callAttached(
    target,
    "GET",
    { part: "metadata" },
    z.object({ part: z.string() }),
  );
  assert.deepEqual(result, { part: "metadata" });
  assert.equal(Buffer.compare(attachment, bytes), 0);
});

test("each mistake has its code", async (t) => {
  const { asked, asking, target, client } = await two(t, {
    maxRequestBytes: 10_000,
  });
  asked.handle("GREET", Greet, ({ name }) => `hello ${name}`);
  asked.handle("REFUSE", z.object({}), () => {
    throw new ShoalError("COMMAND_UNAUTHORIZED", "members only", {
      cluster: "c",
    });
  });
  asked.handle("NOTHING", z.object({}), () => undefined);

  await rejectsWith(
    asking.call(target, "DANCE", {}, z.string()),
    "COMMAND_UNKNOWN",
    /unknown command "DANCE"/,
  );
  await rejectsWith(
    asking.call(target, "GREET", { name: 7 }, z.string()),
    "COMMAND_MALFORMED",
    /GREET: params are malformed: name/,
  );
  await rejectsWith(
    asking.call(target, "GREET", { name: "x".repeat(81) }, z.string()),
    "COMMAND_MALFORMED",
  );
  await rejectsWith(
    asking.call(target, "GREET", { name: "x".repeat(20_000) }, z.string()),
    "FRAME_TOO_LARGE",
  );
  await rejectsWith(
    asking.call(target, "GREET", { name: "x".repeat(2_000_000) }, z.string()),
    "FRAME_TOO_LARGE",
  );
  await rejectsWith(
    asking.call(target, "REFUSE", {}, z.string()),
    "COMMAND_UNAUTHORIZED",
    /^members only$/,
  );
  await rejectsWith(
    asking.call(target, "GREET", { name: "Ada" }, z.number()),
    "COMMAND_MALFORMED",
    /GREET: the answer is/,
  );
  assert.equal(await asking.call(target, "NOTHING", {}, z.null()), null);

  const answerTo = async (payload: Uint8Array): Promise<unknown> => {
    const reply = await client.request(target, COMMAND_PROTOCOL, payload);
    return JSON.parse(Buffer.from(reply.subarray(4)).toString()) as unknown;
  };
  const malformed = [
    "",
    "{",
    "[]",
    '"GREET"',
    '{"v":2,"id":"1","command":"GREET","params":{}}',
    '{"v":1,"command":"GREET"}',
    "\xff",
  ];
  for (const text of malformed) {
    const answer = await answerTo(Buffer.from(text, "latin1"));
    assert.equal(
      (answer as { error: { code: string } }).error.code,
      "COMMAND_MALFORMED",
      text,
    );
  }
});

test("names that objects inherit are not commands", async (t) => {
  const { asking, target } = await two(t);
  for (const name of ["constructor", "toString", "__proto__"]) {
    await rejectsWith(
      asking.call(target, name, {}, z.unknown()),
      "COMMAND_UNKNOWN",
    );
  }
});

test("a peer that asks too often is refused, another is served", async (t) => {
  let nowMs = 0;
  const { asked, asking, target, server } = await two(t, {
    burst: 3,
    perSecond: 1,
    clock: { now: () => nowMs },
  });
  asked.handle("PING", z.object({}), () => "pong");
  const ping = (commands: Commands): Promise<string> =>
    commands.call(target, "PING", {}, z.string());
  for (let i = 0; i < 3; i++) await ping(asking);
  await rejectsWith(ping(asking), "RATE_LIMITED");
  const other = await startHost(t);
  assert.equal(await ping(new Commands(other)), "pong");
  nowMs += 1_000;
  assert.equal(await ping(asking), "pong");
  assert.equal(server.connections().length, 2);
});

test("a command has one handler", async (t) => {
  const { asked } = await two(t);
  asked.handle("PING", z.object({}), () => "pong");
  assert.throws(
    () => asked.handle("PING", z.object({}), () => "other"),
    (error) => isShoalError(error, "INTERNAL"),
  );
});
