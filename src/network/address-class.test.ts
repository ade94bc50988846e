import assert from "node:assert/strict";
import { test } from "node:test";
import { type AddressClass, addressClass } from "./address-class.ts";

const CASES: readonly [string, AddressClass][] = [
  ["127.0.0.1", "loopback"],
  ["127.255.0.3", "loopback"],
  ["::1", "loopback"],
  ["169.254.10.1", "link local"],
  ["fe80::1", "link local"],
  ["fe80::1%eth0", "link local"],
  ["10.1.2.3", "private"],
  ["172.16.0.1", "private"],
  ["172.31.255.255", "private"],
  ["172.32.0.1", "public"],
  ["192.168.1.11", "private"],
  ["::ffff:192.168.1.11", "private"],
  ["fd12:3456::1", "private"],
  ["100.64.0.2", "carrier"],
  ["100.128.0.1", "public"],
  ["224.0.0.251", "multicast"],
  ["ff02::fb", "multicast"],
  ["0.0.0.0", "multicast"],
  ["::", "multicast"],
  ["255.255.255.255", "multicast"],
  ["198.18.1.2", "public"],
  ["2001:db8::1", "public"],
  ["8.8.8.8", "public"],
  ["/ip4/192.168.1.11/udp/51820/quic-v1/p2p/12D3", "private"],
  ["/ip6/fd00::1/tcp/51820", "private"],
  ["/dns/rendezvous.example/tcp/51820", "public"],
  ["/ip4/10.0.0.1/tcp/1/p2p/12D3/p2p-circuit/p2p/12D4", "public"],
];

test("an address is of the class that the registries give its range", () => {
  for (const [address, expected] of CASES)
    assert.equal(addressClass(address), expected, address);
});
