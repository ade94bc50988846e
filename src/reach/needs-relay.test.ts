import assert from "node:assert/strict";
import { test } from "node:test";
import { needsRelay } from "./needs-relay.ts";

for (const [seenAt, own, needed] of [
  ["203.0.113.7", ["203.0.113.7", "10.0.0.2"], false], // its own address is public
  ["203.0.113.7", ["192.168.1.7"], true], // a router's
  ["192.168.1.7", ["192.168.1.7"], true], // only its network can dial it
  ["100.64.3.4", ["100.64.3.4"], true], // nor the carrier's
  ["::ffff:203.0.113.7", ["203.0.113.7"], false],
  ["2001:db8::7", ["2001:db8::7"], false],
  ["fd00::7", ["fd00::7"], true],
  ["127.0.0.1", [], false], // on the relay's machine
  ["::1", [], false],
  [null, ["203.0.113.7"], true], // through another relay
] as const)
  test(`seen at ${seenAt ?? "no address"} with ${own.join(" and ") || "none"}: ${needed ? "a relay" : "no relay"}`, () => {
    assert.equal(needsRelay(seenAt, own), needed);
  });
