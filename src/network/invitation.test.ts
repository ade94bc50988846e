import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { test } from "node:test";
import { assert as assertProperty, property, uint8Array } from "fast-check";
import { isShoalError } from "../lib/index.ts";
import { newIdentity } from "./identity.ts";
import {
  bootstrapsOf,
  decodeInvitation,
  encodeInvitation,
  INVITATION,
  type Invitation,
} from "./invitation.ts";

const ADA = "12D3KooWGzBzm3T2vKZDcfKEDwRsjYxkCE8BTqDBC2oUHVnPcJyT";
const EVE = (await newIdentity()).peerId;

const FRIENDS: Invitation = {
  cluster: "friends",
  peers: [
    {
      peerId: ADA,
      addresses: [
        "/ip4/192.0.2.7/udp/51820/quic-v1",
        "/dns/rendezvous.example/tcp/51820",
        "/ip6/2001:db8::1/tcp/51820",
      ],
    },
    { peerId: EVE, addresses: ["/ip4/192.168.1.12/tcp/40001"] },
  ],
};

/** What it is made of, with a checksum that is right. */
function sealed(...parts: readonly Uint8Array[]): string {
  const body = Buffer.concat(parts);
  const sum = hash("sha256", body, "buffer").subarray(0, 4);
  return `shoal:${Buffer.concat([body, sum]).toString("base64url")}`;
}

function field(kind: number, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.of(kind, 0, value.length), value]);
}

/** Version and fields of `invitation`, without its checksum. */
function bodyOf(invitation: Invitation): Buffer {
  const text = encodeInvitation(invitation).slice(INVITATION.prefix.length);
  return Buffer.from(text, "base64url").subarray(0, -4);
}

test("an invitation is read as it was written, and gives bootstraps with their keys", () => {
  const text = encodeInvitation(FRIENDS);
  assert.match(text, /^shoal:[\w-]+$/);
  assert.deepEqual(decodeInvitation(text), FRIENDS);
  assert.equal(
    bootstrapsOf(FRIENDS)[0],
    `/ip4/192.0.2.7/udp/51820/quic-v1/p2p/${ADA}`,
  );
});

test("one peer at one place fits into a line of a letter or two", () => {
  const [peer] = FRIENDS.peers;
  const one = { ...peer!, addresses: peer!.addresses.slice(0, 1) };
  const text = encodeInvitation({ cluster: "friends", peers: [one] });
  assert.ok(text.length < 120, `${text.length} characters`);
});

test("line breaks and spaces that came in on the way do not count", () => {
  const text = encodeInvitation(FRIENDS);
  const broken = ` ${text.slice(0, 30)}\n  ${text.slice(30)}\r\n`;
  assert.deepEqual(decodeInvitation(broken), FRIENDS);
});

test("a field that a newer Shoal adds is passed over if its kind is odd, and refused if it is even", () => {
  const body = bodyOf(FRIENDS);
  const more = Buffer.from("more");
  assert.deepEqual(decodeInvitation(sealed(body, field(129, more))), FRIENDS);
  assert.throws(
    () => decodeInvitation(sealed(body, field(128, more))),
    (error) =>
      isShoalError(error, "INVITATION_INVALID") &&
      error.details.reason === "newer",
  );
});

const good = encodeInvitation(FRIENDS);
const V1 = Buffer.of(1);
const NAME = field(2, Buffer.from("friends"));
const PEER = bodyOf(FRIENDS).subarray(1 + NAME.length, 1 + NAME.length + 41);

const REFUSED: [what: string, text: string, why: RegExp, reason: string][] = [
  ["nothing", "", /does not begin/, "malformed"],
  ["an address", "rendezvous.example:51820", /does not begin/, "malformed"],
  ["the prefix alone", "shoal:", /cut off/, "damaged"],
  ["one without its end", good.slice(0, -3), /checksum/, "damaged"],
  [
    "one without its beginning",
    `shoal:${good.slice(12)}`,
    /checksum/,
    "damaged",
  ],
  ["other characters", `${good}!`, /characters/, "damaged"],
  ["a mountain", `shoal:${"A".repeat(40_000)}`, /too long/, "malformed"],
  ["version 2", sealed(Buffer.of(2), NAME), /version 2/, "newer"],
  ["no cluster", sealed(V1, PEER), /no cluster/, "malformed"],
  ["a second cluster", sealed(V1, NAME, NAME), /newer Shoal/, "newer"],
  [
    "a cluster of 129 characters",
    sealed(V1, field(2, Buffer.alloc(129, 65))),
    /no cluster/,
    "malformed",
  ],
  ["no peer", sealed(V1, NAME), /no peer/, "malformed"],
  [
    "a peer without an address",
    sealed(V1, NAME, PEER),
    /without an address/,
    "malformed",
  ],
  [
    "an address before any peer",
    sealed(V1, NAME, field(6, V1)),
    /before any/,
    "malformed",
  ],
  [
    "a key that is none",
    sealed(V1, NAME, field(4, Buffer.of(7, 7))),
    /key is none/,
    "malformed",
  ],
  [
    "an address that is none",
    sealed(V1, NAME, PEER, field(6, Buffer.of(255))),
    /none that Shoal dials/,
    "malformed",
  ],
  [
    "an address that nobody dials",
    sealed(V1, NAME, PEER, field(6, Buffer.of(4, 1, 2, 3, 4))),
    /none that Shoal dials/,
    "malformed",
  ],
  [
    "a field beyond the end",
    sealed(V1, Buffer.of(2, 0, 9, 65)),
    /longer/,
    "malformed",
  ],
  ["half a field's header", sealed(V1, Buffer.of(2, 0)), /longer/, "malformed"],
  [
    "nine peers",
    sealed(V1, NAME, ...Array.from({ length: 9 }, () => PEER)),
    /more than 8/,
    "malformed",
  ],
];

for (const [what, text, why, reason] of REFUSED)
  test(`${what} is refused as ${reason}`, () => {
    assert.throws(
      () => decodeInvitation(text),
      (error) => {
        assert.ok(isShoalError(error, "INVITATION_INVALID"), String(error));
        assert.match(error.message, why);
        assert.equal(error.details.reason, reason);
        return true;
      },
    );
  });

test("any one changed byte is noticed", () => {
  const bytes = Buffer.from(good.slice(INVITATION.prefix.length), "base64url");
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 0x10;
    const text = `shoal:${changed.toString("base64url")}`;
    assert.throws(() => decodeInvitation(text), /checksum/);
  }
});

test("whatever bytes come with a right checksum, the answer is an invitation or INVITATION_INVALID", () => {
  assertProperty(
    property(uint8Array({ maxLength: 200 }), (bytes) => {
      for (const text of [sealed(V1, bytes), sealed(bodyOf(FRIENDS), bytes)])
        try {
          decodeInvitation(text);
        } catch (error) {
          assert.ok(isShoalError(error, "INVITATION_INVALID"), String(error));
        }
    }),
    { numRuns: 500 },
  );
});

test("what cannot be an invitation is not written", () => {
  const [peer] = FRIENDS.peers;
  const none = { cluster: "friends", peers: [] };
  const many = { ...none, peers: Array.from({ length: 9 }, () => peer!) };
  for (const wrong of [none, many, { ...FRIENDS, cluster: "" }])
    assert.throws(
      () => encodeInvitation(wrong),
      (error) => isShoalError(error, "INVITATION_INVALID"),
    );
});
