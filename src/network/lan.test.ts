import assert from "node:assert/strict";
import { test } from "node:test";
import { LAN, lanAddresses, lanService } from "./lan.ts";

const CASES: [address: string, isLocal: boolean][] = [
  ["/ip4/192.168.1.12/udp/1/quic-v1", true],
  ["/ip4/10.0.0.1/tcp/1", true],
  ["/ip4/172.16.0.1/tcp/1", true],
  ["/ip4/172.31.255.255/tcp/1", true],
  ["/ip4/169.254.7.7/tcp/1", true],
  ["/ip6/fd00::1/tcp/1", true],
  ["/ip6/fe80::1/tcp/1", true],
  ["/ip4/127.0.0.1/tcp/1", false],
  ["/ip6/::1/tcp/1", false],
  ["/ip4/172.32.0.1/tcp/1", false],
  ["/ip4/100.64.0.1/tcp/1", false],
  ["/ip4/8.8.8.8/tcp/1", false],
  ["/ip4/224.0.0.251/udp/5353/quic-v1", false],
  ["/ip4/0.0.0.0/tcp/1", false],
  ["/ip6/2001:db8::1/tcp/1", false],
  ["/ip6/::ffff:8.8.8.8/tcp/1", false],
  ["/dns/example.org/tcp/1", false],
  ["/ip4/192.168.1.12/tcp/1/p2p/12D3KooW/p2p-circuit", false],
  ["nonsense", false],
];

for (const [address, isLocal] of CASES)
  test(`${address} is ${isLocal ? "" : "not "}an address of a local network`, () => {
    assert.equal(lanAddresses([address]).length === 1, isLocal);
  });

test("of a machine with hundreds of addresses a few are taken", () => {
  const all = Array.from(
    { length: 300 },
    (_, i) => `/ip4/10.0.${i % 250}.1/tcp/1`,
  );
  assert.equal(lanAddresses(all).length, LAN.addresses);
});

test("each cluster has a service of its own, with a name that DNS allows and that does not tell the cluster's", () => {
  const names = ["friends", "strangers", "Freunde für immer", "x".repeat(128)];
  const services = names.map(lanService);
  assert.equal(new Set(services).size, names.length);
  for (const service of services)
    assert.match(service, /^_shoal-[0-9a-f]{9}\._udp\.local$/);
});
