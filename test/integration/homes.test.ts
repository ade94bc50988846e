/** The lab's routers do what their names say, seen by plain sockets: which port they show outside, and whom they let in. */
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type HomeKind, Homes, homesMissing } from "../support/homes.ts";
import type { Place } from "../support/namespaces.ts";
import type { End, SocketRequest } from "../support/plain-sockets.ts";

const SOCKETS = join(import.meta.dirname, "../support/plain-sockets.ts");
const PORT = 4_000;
/** For what never comes. */
const SILENCE_MS = 300;
/** Ends a hang. */
const REPLY_MS = 90_000;

interface Kind {
  kind: HomeKind;
  refuses?: boolean;
  /** The ports outside of one UDP socket that speaks with three others. */
  ports: "its own" | "each another" | "no UDP";
  /** What a TCP connection from outside meets before anything left the home. */
  unasked: "let in" | "silence" | "ECONNREFUSED";
  /** A port that was not asked reaches a socket that has asked others. */
  strangers: boolean;
}

const KINDS: readonly Kind[] = [
  { kind: "open", ports: "its own", unasked: "let in", strangers: true },
  { kind: "full cone", ports: "its own", unasked: "silence", strangers: true },
  restricted("port restricted", "its own"),
  restricted("symmetric", "each another"),
  restricted("double", "its own"),
  restricted("udp blocked", "no UDP"),
  restricted("ipv6 only", "its own"),
  { ...restricted("port restricted", "its own"), ...refusing() },
  { ...restricted("double", "its own"), ...refusing() },
  { ...restricted("ipv6 only", "its own"), ...refusing() },
];

describe("homes:", { skip: homesMissing }, () => {
  let homes: Homes;
  /** In public. */
  let a: Machine;
  let b: Machine;
  const all: ChildProcess[] = [];

  before(async () => {
    homes = await Homes.create();
    a = settle(await homes.public());
    b = settle(await homes.public());
    for (const machine of [a, b])
      for (const port of [PORT, PORT + 1])
        await ask(machine, { do: "open", port });
  });

  after(async () => {
    for (const sockets of all) sockets.kill("SIGKILL");
    await homes[Symbol.asyncDispose]();
  });

  for (const { kind, refuses = false, ports, unasked, strangers } of KINDS)
    test(`${kind}${refuses ? " that refuses" : ""}: ports: ${ports}; unasked: ${unasked}`, async () => {
      const own = settle(await homes.home(kind, { refuses }));
      const { address } = own.place;
      await ask(own, { do: "open", port: PORT });
      const here = from(kind, a);
      const seen = (await ask(own, { do: "connect", to: here })) as End;
      assert.equal(seen.host !== address, isTranslating(kind), seen.host);
      const outside = { host: seen.host, port: PORT };
      const patienceMs = unasked === "silence" ? SILENCE_MS : undefined;
      const call = {
        do: "connect",
        to: outside,
        ...(patienceMs && { patienceMs }),
      } as const;
      const met = await ask(a, call);
      assert.equal(typeof met === "string" ? met : "let in", unasked);

      const asked = [here, { ...here, port: PORT + 1 }, from(kind, b)];
      const text = `of ${address} at ${seen.host}`;
      for (const to of asked)
        await ask(own, { do: "send", from: PORT, to, text });
      if (ports === "no UDP") {
        // TCP passes, after it.
        await ask(own, { do: "connect", to: here });
        await ask(b, { do: "send", from: PORT, to: here, text: "of b" });
        assert.ok(!(await heard(a, PORT, "of b")).has(text));
        return;
      }
      const senders = [
        (await heard(a, PORT, text)).get(text)!,
        (await heard(a, PORT + 1, text)).get(text)!,
        (await heard(b, PORT, text)).get(text)!,
      ];
      for (const { host } of senders) assert.equal(host, seen.host);
      const shown = senders.map(({ port }) => port);
      if (ports === "its own") assert.deepEqual(shown, [PORT, PORT, PORT]);
      else assert.ok(new Set(shown).size > 1, shown.join());

      const [to] = senders as [End];
      const stranger = "another port of b";
      await ask(b, { do: "send", from: PORT + 1, to, text: stranger });
      if (strangers) await heard(own, PORT, stranger);
      await ask(a, { do: "send", from: PORT, to, text: "asked" });
      const came = await heard(own, PORT, "asked");
      assert.equal(came.has(stranger), strangers);
    });

  test("machines of one home reach each other, and are seen at one address", async () => {
    const place = await homes.home("port restricted");
    const one = settle(place);
    const other = settle(await homes.beside(place));
    await ask(other, { do: "open", port: PORT });
    const to = { host: other.place.address, port: PORT };
    const met = (await ask(one, { do: "connect", to })) as End;
    assert.equal(met.host, place.address);
    const seen = new Set<string>();
    for (const machine of [one, other]) {
      const call = { do: "connect", to: from("port restricted", a) } as const;
      seen.add(((await ask(machine, call)) as End).host);
    }
    assert.equal(seen.size, 1);
    homes.routerOf(place).run(`ip addr show wan | grep ${[...seen].join()}/`);
  });

  function settle(place: Place): Machine {
    const sockets = fork(SOCKETS, [], place.within);
    all.push(sockets);
    return { place, sockets };
  }

  async function ask(
    { sockets }: Machine,
    request: SocketRequest,
  ): Promise<unknown> {
    sockets.send(request);
    const signal = AbortSignal.timeout(REPLY_MS);
    const [reply] = (await once(sockets, "message", { signal })) as [unknown];
    return reply;
  }

  /** What has come until this text came, and from where. */
  async function heard(
    machine: Machine,
    port: number,
    text: string,
  ): Promise<Map<string, End>> {
    const came = await ask(machine, { do: "hear", port, text });
    return new Map(
      (came as { text: string; from: End }[]).map((one) => [
        one.text,
        one.from,
      ]),
    );
  }
});

interface Machine {
  place: Place;
  sockets: ChildProcess;
}

function restricted(kind: HomeKind, ports: Kind["ports"]): Kind {
  return { kind, ports, unasked: "silence", strangers: false };
}

function refusing(): Pick<Kind, "refuses" | "unasked"> {
  return { refuses: true, unasked: "ECONNREFUSED" };
}

function isTranslating(kind: HomeKind): boolean {
  return kind !== "open" && kind !== "ipv6 only";
}

/** The first port of a public machine, as a home of this kind reaches it. */
function from(kind: HomeKind, { place }: Machine): End {
  const [v4, v6] = place.addresses as [string, string];
  return { host: kind === "ipv6 only" ? v6 : v4, port: PORT };
}
