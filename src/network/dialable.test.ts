import assert from "node:assert/strict";
import { test } from "node:test";
import { worthDialling } from "./dialable.ts";

const tcp = (ip: string): string =>
  `/ip${ip.includes(":") ? 6 : 4}/${ip}/tcp/51820`;

interface Case {
  name: string;
  own?: string[];
  theirs?: string[];
  interfaces?: string[];
  given: string[];
  dialled: string[];
}

const HOME = ["127.0.0.1", "192.168.1.11"];
const CASES: readonly Case[] = [
  {
    name: "two homes: only what is public",
    own: ["198.18.1.2"],
    theirs: ["198.18.2.2"],
    given: ["127.0.0.1", "192.168.1.12", "198.18.2.2"],
    dialled: ["198.18.2.2"],
  },
  {
    name: "one home: the LAN's address, before the router's, and no loopback",
    own: ["198.18.1.2"],
    theirs: ["198.18.1.2"],
    given: ["198.18.1.2", "127.0.0.1", "192.168.1.12"],
    dialled: ["192.168.1.12", "198.18.1.2"],
  },
  {
    name: "one home, known by IPv6 alone: of the same /64",
    own: ["2001:db8:1::10"],
    theirs: ["2001:db8:1:0::22"],
    given: ["192.168.1.12", "2001:db8:1::22"],
    dialled: ["192.168.1.12", "2001:db8:1::22"],
  },
  {
    name: "two homes, known by IPv6",
    own: ["2001:db8:1::10"],
    theirs: ["2001:db8:2::10"],
    given: ["192.168.1.12", "2001:db8:2::10"],
    dialled: ["2001:db8:2::10"],
  },
  {
    name: "of one only IPv4 is known and of the other IPv6: nothing can be told",
    own: ["198.18.1.2"],
    theirs: ["2001:db8:2::10"],
    given: ["192.168.1.12"],
    dialled: ["192.168.1.12"],
  },
  {
    name: "a LAN whose rendezvous sees private addresses",
    given: ["127.0.0.1", "192.168.1.12"],
    dialled: ["192.168.1.12"],
  },
  {
    name: "this machine: it has that address too",
    given: ["127.0.0.1", "192.168.1.11"],
    dialled: ["127.0.0.1", "192.168.1.11"],
  },
  {
    name: "a swarm that listens on loopback alone",
    given: ["127.0.0.1"],
    dialled: ["127.0.0.1"],
  },
  {
    name: "a peer that listens on loopback alone, in another home",
    own: ["198.18.1.2"],
    theirs: ["198.18.2.2"],
    given: ["127.0.0.1"],
    dialled: [],
  },
  {
    name: "an overlay network that both have joined",
    own: ["198.18.1.2"],
    theirs: ["198.18.2.2"],
    interfaces: [...HOME, "100.101.0.1"],
    given: ["100.101.0.2", "192.168.1.12"],
    dialled: ["100.101.0.2"],
  },
  {
    name: "what nobody can dial",
    given: ["0.0.0.0", "224.0.0.1", "198.18.2.2"],
    dialled: ["198.18.2.2"],
  },
];

for (const { name, own, theirs, interfaces, given, dialled } of CASES)
  test(name, () => {
    const worth = worthDialling(given.map(tcp), {
      own: own ?? [],
      theirs: theirs ?? [],
      interfaces: interfaces ?? HOME,
    });
    assert.deepEqual(worth, dialled.map(tcp));
  });

test("a way through a relay is always worth dialling", () => {
  const relayed = "/ip4/10.0.0.1/tcp/1/p2p/12D3/p2p-circuit/p2p/12D4";
  const places = { own: ["198.18.1.2"], theirs: ["198.18.2.2"] };
  assert.deepEqual(worthDialling([relayed], { ...places, interfaces: HOME }), [
    relayed,
  ]);
});
