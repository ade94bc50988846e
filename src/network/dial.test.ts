import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isShoalError } from "../lib/index.ts";
import { dialSchedule, raceAddresses, type RaceOptions } from "./dial.ts";

const QUIC_A = "/ip4/10.0.0.1/udp/1/quic-v1";
const QUIC_B = "/ip4/10.0.0.2/udp/1/quic-v1";
const TCP_A = "/ip4/10.0.0.1/tcp/1";
const TCP_B = "/ip4/10.0.0.2/tcp/1";

describe("the schedule", () => {
  test("puts QUIC first, TCP after QUIC's head start, one step between neighbours", () => {
    assert.deepEqual(dialSchedule([TCP_A, QUIC_A, TCP_B, QUIC_B], 250, 1000), [
      { address: QUIC_A, startMs: 0 },
      { address: QUIC_B, startMs: 250 },
      { address: TCP_A, startMs: 1000 },
      { address: TCP_B, startMs: 1250 },
    ]);
  });
  test("does not make TCP wait if there is no QUIC", () => {
    assert.deepEqual(
      dialSchedule([TCP_A, TCP_B], 250, 1000).map(({ startMs }) => startMs),
      [0, 250],
    );
  });
  test("contains no address twice, and at most 24", () => {
    const many = Array.from(
      { length: 100 },
      (_, i) => `/ip4/10.0.0.${i}/tcp/1`,
    );
    assert.equal(dialSchedule([TCP_A, TCP_A]).length, 1);
    assert.equal(dialSchedule(many).length, 24);
  });
});

/** What each address does: its answer, an error, or silence until its signal aborts. */
function race(
  answers: Record<string, "answers" | "silent" | Error>,
  options: Partial<RaceOptions<string>> = {},
): { result: Promise<string>; order: string[]; aborted: string[] } {
  const order: string[] = [];
  const aborted: string[] = [];
  const result = raceAddresses("peer", Object.keys(answers), {
    signal: new AbortController().signal,
    staggerMs: 20,
    headStartMs: 60,
    discard: () => {},
    dial: async (address, signal) => {
      order.push(address);
      const answer = answers[address];
      if (answer === "answers") return address;
      if (answer instanceof Error) throw answer;
      return await new Promise<string>((_, reject) => {
        signal.addEventListener("abort", () => {
          aborted.push(address);
          reject(new Error("aborted"));
        });
      });
    },
    ...options,
  });
  return { result, order, aborted };
}

describe("the race", () => {
  test("ends with the first answer; the other dials are aborted, the winner's signal is not", async () => {
    const { result, order, aborted } = race({
      [QUIC_A]: "silent",
      [QUIC_B]: "answers",
      [TCP_A]: "answers",
    });
    assert.equal(await result, QUIC_B);
    assert.deepEqual(order, [QUIC_A, QUIC_B]);
    assert.deepEqual(aborted, [QUIC_A]);
  });

  test("does not wait out the head start once every QUIC address has failed", async () => {
    const { result } = race(
      { [QUIC_A]: new Error("refused"), [TCP_A]: "answers" },
      { headStartMs: 3_600_000 },
    );
    assert.equal(await result, TCP_A);
  });

  test("continues past a silent address", async () => {
    const { result, order } = race({
      [QUIC_A]: "silent",
      [QUIC_B]: "silent",
      [TCP_A]: "answers",
    });
    assert.equal(await result, TCP_A);
    assert.deepEqual(order, [QUIC_A, QUIC_B, TCP_A]);
  });

  test("tries QUIC again if TCP is silent too, so that QUIC wins when the network comes back", async () => {
    let tries = 0;
    const order: string[] = [];
    const { result } = race(
      { [QUIC_A]: "silent", [TCP_A]: "silent" },
      {
        addressMs: 100,
        dial: async (address, signal) => {
          order.push(address);
          if (address === QUIC_A && ++tries === 2) return address;
          return await new Promise<string>((_, reject) => {
            signal.addEventListener("abort", () => reject(new Error("late")));
          });
        },
      },
    );
    assert.equal(await result, QUIC_A);
    assert.deepEqual(order, [QUIC_A, TCP_A, QUIC_A]);
  });

  test("tries an address at most twice, and only once if there is only QUIC", async () => {
    const both = race(
      { [QUIC_A]: "silent", [TCP_A]: "silent" },
      { addressMs: 100 },
    );
    await assert.rejects(both.result);
    assert.deepEqual(both.order, [QUIC_A, TCP_A, QUIC_A]);
    const alone = race(
      { [QUIC_A]: "silent", [QUIC_B]: "silent" },
      { addressMs: 100 },
    );
    await assert.rejects(alone.result);
    assert.deepEqual(alone.order, [QUIC_A, QUIC_B]);
  });

  test("reports each address's error when all fail", async () => {
    const refused = Object.assign(new Error("connect"), {
      code: "ECONNREFUSED",
    });
    const { result } = race(
      { [QUIC_A]: "silent", [TCP_A]: refused },
      { addressMs: 100 },
    );
    await assert.rejects(
      result,
      (error) =>
        isShoalError(error, "DIAL_FAILED") &&
        error.message ===
          "cannot reach peer (QUIC 10.0.0.1:1: no answer within 100 ms; TCP 10.0.0.1:1: connection refused)",
    );
  });

  test("discards a connection that arrives after the signal", async () => {
    const discarded: string[] = [];
    const late = Promise.withResolvers<string>();
    const stop = new AbortController();
    const { result } = race(
      { [QUIC_A]: "answers" },
      {
        dial: () => late.promise,
        discard: (c) => discarded.push(c),
        signal: stop.signal,
      },
    );
    stop.abort(new Error("enough"));
    await assert.rejects(result, (error) => isShoalError(error, "DIAL_FAILED"));
    late.resolve("late");
    await new Promise(setImmediate);
    assert.deepEqual(discarded, ["late"]);
  });

  test("fails at once without addresses", async () => {
    await assert.rejects(race({}).result, (error) =>
      isShoalError(error, "DIAL_FAILED"),
    );
  });
});
