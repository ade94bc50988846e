/** The reflector on loopback: what it tells, what it ignores, and that it answers nothing. */
import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { test, type TestContext } from "node:test";
import { decodeProbe, encodeProbe, OPENING_DATAGRAM } from "./probe.ts";
import { Reflector, REFLECTOR } from "./reflector.ts";

const HOST = "127.0.0.1";
const TOKEN = "00112233445566778899aabbccddeeff";
const PATIENCE_MS = 60_000;

async function started(t: TestContext): Promise<{
  reflector: Reflector;
  udp: [number, number];
  tcp: number;
}> {
  const reflector = new Reflector();
  t.after(() => reflector.stop());
  await reflector.start([HOST], 0);
  assert.ok(reflector.ports);
  return { reflector, ...reflector.ports };
}

async function socket(t: TestContext): Promise<Socket> {
  const one = createSocket("udp4");
  t.after(() => one.close());
  one.bind(0, HOST);
  await once(one, "listening");
  return one;
}

test("a probe is 24 bytes: magic, version, socket, token", () => {
  const bytes = encodeProbe("dialler", TOKEN);
  assert.equal(bytes.toString("hex"), `0073686f616c0101${TOKEN}`);
  assert.deepEqual(decodeProbe(bytes), { from: "dialler", token: TOKEN });
});

test("anything else is no probe", () => {
  const probe = encodeProbe("listener", TOKEN);
  const changed = (at: number, to: number): Buffer => {
    const copy = Buffer.from(probe);
    copy[at] = to;
    return copy;
  };
  for (const bytes of [
    Buffer.alloc(0),
    OPENING_DATAGRAM,
    probe.subarray(1),
    Buffer.concat([probe, Buffer.of(0)]),
    changed(0, 0xc0),
    changed(6, 2),
    changed(7, 3),
    changed(7, 255),
    Buffer.alloc(65_507, 7),
  ])
    assert.equal(decodeProbe(bytes), undefined);
});

test("each UDP port tells where a socket's probe came from, and answers nothing", async (t) => {
  const { reflector, udp } = await started(t);
  const expected = reflector.expect(TOKEN);
  assert.ok(expected);
  const [one, other] = [await socket(t), await socket(t)];
  let answers = 0;
  for (const each of [one, other]) each.on("message", () => answers++);
  for (const port of udp) {
    one.send(encodeProbe("listener", TOKEN), port, HOST);
    other.send(encodeProbe("dialler", TOKEN), port, HOST);
    // A stranger's, and noise.
    other.send(encodeProbe("dialler", "ff".repeat(16)), port, HOST);
    other.send(Buffer.alloc(1_200, 1), port, HOST);
  }
  await expected.until(
    (seen) => [...seen.of("listener"), ...seen.of("dialler")].every(Boolean),
    PATIENCE_MS,
  );
  for (const [name, from] of [
    ["listener", one],
    ["dialler", other],
  ] as const) {
    const at = { host: HOST, port: from.address().port };
    assert.deepEqual(expected.of(name), [at, at]);
  }
  assert.equal(answers, 0);
});

test("what nobody expects any more is forgotten, and only so much is expected", async (t) => {
  const { reflector } = await started(t);
  const all = Array.from({ length: REFLECTOR.maxExpected }, (_, i) =>
    reflector.expect(i.toString(16).padStart(32, "0")),
  );
  assert.ok(all.every(Boolean));
  assert.equal(reflector.expect(TOKEN), undefined);
  const [first] = all;
  assert.ok(first);
  reflector.forget(first);
  const expected = reflector.expect(TOKEN);
  assert.ok(expected);
  await expected.until(() => false, 1); // ends although nothing comes
  assert.deepEqual(expected.of("listener"), [undefined, undefined]);
});

test("its TCP port tells where a connection came from; who says more than a token is cut off", async (t) => {
  const { reflector, tcp } = await started(t);
  const expected = reflector.expect(TOKEN);
  assert.ok(expected);
  const good = connect(tcp, HOST);
  t.after(() => good.destroy());
  await once(good, "connect");
  const probe = encodeProbe("tcp", TOKEN);
  good.write(probe.subarray(0, 5));
  good.write(probe.subarray(5));
  await expected.until((seen) => seen.of("tcp")[0] !== undefined, PATIENCE_MS);
  assert.deepEqual(expected.of("tcp")[0], { host: HOST, port: good.localPort });
  const bad = connect(tcp, HOST);
  bad.on("error", () => {});
  await once(bad, "connect");
  bad.write(Buffer.alloc(100, 1));
  bad.resume();
  await once(bad, "close");
});

test("one address keeps only so many connections open", async (t) => {
  const { tcp } = await started(t);
  const open = await Promise.all(
    Array.from({ length: REFLECTOR.maxConnectionsPerAddress }, async () => {
      const one = connect(tcp, HOST);
      t.after(() => one.destroy());
      await once(one, "connect");
      return one;
    }),
  );
  const extra = connect(tcp, HOST);
  extra.on("error", () => {});
  extra.resume();
  await once(extra, "close");
  assert.ok(open.every((one) => !one.destroyed));
});

test("taken ports are replaced by free ones", async (t) => {
  const { udp } = await started(t);
  const second = new Reflector();
  t.after(() => second.stop());
  await second.start([HOST], udp[0]);
  assert.ok(second.ports);
  assert.ok(!second.ports.udp.includes(udp[0]));
});
