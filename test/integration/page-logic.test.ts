/** What the page computes, without a browser. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as format from "../../web/src/format.ts";
import { drawingOf, HEIGHT, WIDTH } from "../../web/src/graph.ts";
import { nodeRows } from "../../web/src/nodes.ts";
import { reportText, shortened } from "../../web/src/report.ts";
import { peerOf, statusOf } from "../support/status.ts";

for (const [shown, expected] of [
  [format.ms(null), "–"],
  [format.ms(undefined), "–"],
  [format.ms(Number.NaN), "–"],
  [format.ms(0), "0 ms"],
  [format.ms(0.034), "0.03 ms"],
  [format.ms(9.96), "10.0 ms"],
  [format.ms(412.3), "412 ms"],
  [format.ms(1_500), "1.5 s"],
  [format.seconds(59), "59 s"],
  [format.seconds(3_599), "59 min"],
  [format.seconds(90_000), "1.0 d"],
  [format.bytes(1_023), "1,023 B"],
  [format.bytes(1_536), "1.5 KiB"],
  [format.rate(20 * 2 ** 20), "20 MiB/s"],
  [format.rate(null), "–"],
  [format.perSecond(12.34, "tokens"), "12 tokens/s"],
  [format.percent(2, 3), "66 %"],
  [format.percent(0, 0), "–"],
  [format.layers({ layerStart: 4, layerEnd: 8 }), "4–7"],
  [format.layers({ layerStart: 4, layerEnd: 5 }), "4"],
  [format.layers({ layerStart: 0, layerEnd: 0 }), "–"],
  [format.address("/ip4/10.0.0.7/udp/4001/quic-v1"), "10.0.0.7:4001"],
  [format.address("/ip6/2001:db8::1/tcp/4001"), "[2001:db8::1]:4001"],
] as const) {
  test(`a number is shown as ${expected}`, () => {
    assert.equal(shown, expected);
  });
}

test("every peer has one row: this process, holders of several shards, peers that are only connected", () => {
  const status = statusOf(3, 3);
  const [cluster] = status.clusters;
  const second = {
    ...cluster!.members[0]!,
    shard: 2,
    state: "loading" as const,
  };
  cluster!.members.push(second);
  status.connections.push({ ...status.connections[0]!, peer: "12D3Gateway" });
  const rows = nodeRows(status, cluster);
  assert.equal(rows.length, 5);
  const twice = rows.find(({ peer }) => peer === peerOf(0))!;
  assert.deepEqual(
    twice.held.map(({ shard }) => shard),
    [0, 2],
  );
  assert.equal(twice.state, "loading", "what is furthest from ready");
  assert.equal(rows.filter(({ isSelf }) => isSelf).length, 1);
  assert.equal(rows.at(-1)!.role, null, "who says nothing has no known role");
});

test("the drawing is the same for the same cluster, in any order of input", () => {
  const one = statusOf(200, 20, 1_000_000);
  const other = structuredClone(one);
  other.connections.reverse();
  other.clusters[0]!.members.reverse();
  const [a, b] = [
    drawingOf(one, one.clusters[0]),
    drawingOf(other, other.clusters[0]),
  ];
  const places = (drawing: typeof a): Map<string, string> =>
    new Map(drawing.spots.map(({ row, x, y }) => [row.peer, `${x} ${y}`]));
  assert.deepEqual(places(b), places(a));
  assert.equal(a.edges, b.edges);
});

test("200 peers do not overlap, stay inside the drawing, and a connection is one line", () => {
  const status = statusOf(200, 20);
  const { spots, own, others, edges } = drawingOf(status, status.clusters[0]);
  assert.equal(spots.length, 201);
  assert.equal(new Set(spots.map(({ x, y }) => `${x} ${y}`)).size, 201);
  for (const { x, y } of spots) {
    assert.ok(x > 0 && x < WIDTH && y > 0 && y < HEIGHT, `${x} ${y}`);
  }
  assert.equal(own.match(/M/g)!.length, 200);
  assert.equal(own.match(/M/g)!.length + others.match(/M/g)!.length, edges);
});

test("a pasted report has no whole id and no whole address", () => {
  const status = statusOf(2, 2);
  status.ready = false;
  status.reason = `no answer from ${peerOf(1)} at 192.168.17.23 or 2001:db8:1:2::7`;
  const text = reportText(status, [
    {
      kind: "event",
      id: "a-1",
      timeMs: 1,
      level: "warn",
      tag: "CONNECT",
      message: `lost ${peerOf(0)} at /ip4/10.1.2.3/udp/1`,
      fields: {},
    },
  ]);
  for (const secret of [
    peerOf(0),
    peerOf(1),
    "192.168.17.23",
    "10.1.2.3",
    "db8:1:2",
  ])
    assert.ok(!text.includes(secret), secret);
  assert.match(text, /not ready: no answer from …\S{8} at 192\.168\.x\.x/);
  assert.match(
    text,
    /last warnings:\n.*\[CONNECT\] lost …\S{8} at \/ip4\/10\.1\.x\.x\/udp\/1/,
  );
  assert.equal(shortened("nothing to cut: 1.2 s"), "nothing to cut: 1.2 s");
});
