/**
 * Holes through routers: which pairs of homes are connected directly, over what, and that the connection carries data. Hosts without a model;
 * nat.test.ts has whole swarms.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  type HomeKind,
  type HomeOptions,
  homesMissing,
} from "../support/homes.ts";
import { PunchLab, type Side } from "../support/punch-lab.ts";

interface Case {
  asker: HomeKind;
  target: HomeKind;
  options?: HomeOptions;
  /** Undefined: a relay's work. */
  over: "QUIC" | "TCP" | undefined;
  /** False: as where UDP or its native package is missing. */
  quic?: boolean;
}

const CASES: readonly Case[] = [
  { asker: "port restricted", target: "port restricted", over: "QUIC" },
  {
    asker: "port restricted",
    target: "port restricted",
    options: { refuses: true },
    over: "QUIC",
  },
  { asker: "double", target: "port restricted", over: "QUIC" },
  { asker: "symmetric", target: "full cone", over: "QUIC" },
  { asker: "full cone", target: "symmetric", over: "QUIC" },
  {
    asker: "port restricted",
    target: "port restricted",
    over: "TCP",
    quic: false,
  },
  { asker: "udp blocked", target: "port restricted", over: "TCP" },
  { asker: "symmetric", target: "port restricted", over: undefined },
];

describe("holes through routers:", { skip: homesMissing }, () => {
  let lab: PunchLab;
  before(async () => {
    lab = await PunchLab.create();
  });
  after(async () => {
    await lab[Symbol.asyncDispose]();
  });

  for (const { asker, target, options = {}, over, quic = true } of CASES) {
    const how = `${options.refuses === true ? " that refuse" : ""}${quic ? "" : ", no QUIC"}`;
    test(`${asker} asks for ${target}${how}: ${over ?? "nothing"}`, async () => {
      const [one, other]: [Side, Side] = [
        await lab.home(asker, options),
        await lab.home(target, options),
      ];
      await one.renew(quic);
      const peer = await other.renew(quic);
      const { transport, error = "", said } = await one.connect(peer);
      assert.equal(transport, over, `${error} ${said.join("\n")}`);
      if (over === undefined) {
        assert.match(error, /by target/);
        return;
      }
      const { error: broken, said: back } = await one.echo(peer, 500_000);
      assert.equal(broken, undefined);
      assert.deepEqual(back, ["500000"]);
    });
  }
});
