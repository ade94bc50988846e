import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isShoalError } from "../lib/index.ts";
import {
  describeAddress,
  parseListen,
  parseTarget,
  transportOf,
} from "./address.ts";

const ID = "12D3KooWSfQcKxcjLsjVvupuDkt6dtDLBn22M6ip8ZAGGVwSnNfS";

describe("an address to dial", () => {
  const cases: [text: string, addresses: string[], peerId?: string][] = [
    [
      "example.org",
      ["/dns/example.org/udp/51820/quic-v1", "/dns/example.org/tcp/51820"],
    ],
    [
      "example.org:4000",
      ["/dns/example.org/udp/4000/quic-v1", "/dns/example.org/tcp/4000"],
    ],
    [
      "localhost",
      ["/dns/localhost/udp/51820/quic-v1", "/dns/localhost/tcp/51820"],
    ],
    [
      "10.0.0.7",
      ["/ip4/10.0.0.7/udp/51820/quic-v1", "/ip4/10.0.0.7/tcp/51820"],
    ],
    [" 10.0.0.7:1 ", ["/ip4/10.0.0.7/udp/1/quic-v1", "/ip4/10.0.0.7/tcp/1"]],
    ["::1", ["/ip6/::1/udp/51820/quic-v1", "/ip6/::1/tcp/51820"]],
    ["[::1]", ["/ip6/::1/udp/51820/quic-v1", "/ip6/::1/tcp/51820"]],
    [
      "[2001:db8::1]:4000",
      ["/ip6/2001:db8::1/udp/4000/quic-v1", "/ip6/2001:db8::1/tcp/4000"],
    ],
    ["/ip4/10.0.0.7/udp/51820/quic-v1", ["/ip4/10.0.0.7/udp/51820/quic-v1"]],
    [
      `/dns4/example.org/tcp/51820/p2p/${ID}`,
      [`/dns4/example.org/tcp/51820/p2p/${ID}`],
      ID,
    ],
    [
      `example.org/p2p/${ID}`,
      [
        `/dns/example.org/udp/51820/quic-v1/p2p/${ID}`,
        `/dns/example.org/tcp/51820/p2p/${ID}`,
      ],
      ID,
    ],
  ];
  for (const [text, addresses, peerId] of cases) {
    test(`${text.trim()} is ${addresses.length === 1 ? "itself" : "QUIC, then TCP"}`, () => {
      assert.deepEqual(parseTarget(text), {
        ...(peerId !== undefined && { peerId }),
        addresses,
      });
    });
  }
});

describe("an invalid address is refused with the reason", () => {
  const cases: [text: string, reason: RegExp][] = [
    ["", /the host is missing/],
    [":51820", /the host is missing/],
    ["example.org:70000", /the port must be 0 to 65535, got "70000"/],
    ["example.org:http", /the port must be/],
    ["example.org:0", /port 0 cannot be dialled/],
    ["::1:51820:", /brackets/],
    ["[example.org]:1", /only an IPv6 address may be in brackets/],
    ["exa mple.org", /neither an IP address nor a host name/],
    ["300.1.2.3", /neither an IP address nor a host name/],
    ["/ip4/300.1.2.3/tcp/1", /not a multiaddr/],
    ["/ip4/10.0.0.7/udp/51820", /UDP needs \/quic-v1/],
    ["/ip4/10.0.0.7", /neither QUIC .* nor TCP/],
    ["/ip4/10.0.0.7/tcp/1/ws", /neither QUIC .* nor TCP/],
    ["example.org/p2p/nobody", /"nobody" is not a peer id/],
    ["a".repeat(5000), /neither an IP address nor a host name/],
  ];
  for (const [text, reason] of cases) {
    test(JSON.stringify(text.slice(0, 40)), () => {
      assert.throws(
        () => parseTarget(text),
        (error) =>
          isShoalError(error, "ADDRESS_INVALID") &&
          reason.test(error.message) &&
          !error.message.includes("\n"),
      );
    });
  }
});

describe("an address to listen on", () => {
  test("a port alone means all IPv4 interfaces", () => {
    assert.deepEqual(parseListen("4000"), [
      "/ip4/0.0.0.0/udp/4000/quic-v1",
      "/ip4/0.0.0.0/tcp/4000",
    ]);
  });
  test("port 0 asks the system for one", () => {
    assert.deepEqual(parseListen("127.0.0.1:0"), [
      "/ip4/127.0.0.1/udp/0/quic-v1",
      "/ip4/127.0.0.1/tcp/0",
    ]);
  });
  for (const text of [
    "example.org",
    "/dns4/example.org/tcp/1",
    `/ip4/1.2.3.4/tcp/1/p2p/${ID}`,
  ]) {
    test(`${text} is refused`, () => {
      assert.throws(
        () => parseListen(text),
        (error) => isShoalError(error, "ADDRESS_INVALID"),
      );
    });
  }
});

test("a connection's transport and address are described for people", () => {
  const cases = [
    [
      `/ip4/10.0.0.7/udp/51820/quic-v1/p2p/${ID}`,
      "QUIC",
      "QUIC 10.0.0.7:51820",
    ],
    ["/ip6/::1/tcp/4000", "TCP", "TCP [::1]:4000"],
    [
      `/ip4/10.0.0.7/udp/51820/quic-v1/p2p/${ID}/p2p-circuit/p2p/${ID}`,
      "relayed",
      "relayed 10.0.0.7:51820",
    ],
  ] as const;
  for (const [address, transport, words] of cases) {
    assert.equal(transportOf(address), transport);
    assert.equal(describeAddress(address), words);
  }
});
