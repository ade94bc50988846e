/**
 * The rendezvous' side of hole punching: two members that cannot reach each other ask it, and it tells both what to do, over their
 * connections with it. It alone says where a member was seen, so no member can have others send anything anywhere.
 *
 *     asker ── PUNCH ──►  rendezvous
 *                both ◄── PUNCH_PROBE     ══ datagrams ══► reflector: the two mappings
 *            listener ◄── PUNCH_OPEN      its router lets the dialler in from now on
 *             dialler ◄── PUNCH_DIAL      QUIC
 *     if that fails, both: PUNCH_PROBE and PUNCH_DIAL over TCP at once (a simultaneous open)
 */
import { randomBytes } from "node:crypto";
import {
  type Clock,
  compare,
  type EventSink,
  ShoalError,
  steadyClock,
} from "../lib/index.ts";
import { type Commands, type Host, PeerQuota } from "../network/index.ts";
import { kindOf, type Mapping, planOf, type Sighting } from "./punch-plan.ts";
import { TOKEN_BYTES } from "./probe.ts";
import {
  PUNCH,
  PUNCH_DIAL,
  PUNCH_OPEN,
  PUNCH_PROBE,
} from "./punch-protocol.ts";
import type { Expected, Reflector } from "./reflector.ts";

export const PUNCH_SERVICE = Object.freeze({
  /** Of one member's questions: a node that starts wants its neighbours at once, and tries again every half minute. */
  burst: 32,
  perSecond: 0.5,
  /** Pairs at once. */
  maxPairs: 128,
  /** One command, and the datagrams that it causes. */
  stepMs: 2_000,
  /** Datagrams come with the command's answer, or a moment later; what has not come by then does not come. */
  probeMs: 500,
  /** Dials take at most network/defaults.ts' addressDialMs, 3 s. */
  dialMs: 4_000,
});

export interface PunchServiceOptions {
  host: Pick<Host, "peerId" | "connections">;
  commands: Commands;
  events: EventSink;
  reflector: Reflector;
  /** Whether both are members of one cluster. */
  areMembers: (one: string, other: string) => boolean;
  clock?: Clock;
}

type Outcome = {
  over: "UDP" | "TCP" | null;
  reason: string | null;
  kinds: Map<string, Mapping>;
};

export class PunchService {
  readonly #options: PunchServiceOptions;
  readonly #rate: PeerQuota;
  /** By both ids. */
  readonly #running = new Map<string, Promise<Outcome>>();

  constructor(options: PunchServiceOptions) {
    this.#options = options;
    const { clock = steadyClock } = options;
    this.#rate = new PeerQuota(
      PUNCH_SERVICE.burst,
      PUNCH_SERVICE.perSecond,
      clock,
    );
  }

  /** Answers from now on. */
  start(): void {
    const { commands } = this.#options;
    commands.handle(PUNCH.name, PUNCH.params, async ({ peer }, context) => {
      const { over, reason, kinds } = await this.#punch(context.peer, peer);
      const kind = (id: string): Mapping => kinds.get(id) ?? "unseen";
      const mapping = { own: kind(context.peer), theirs: kind(peer) };
      return { over, reason: reason?.slice(0, 256) ?? null, mapping };
    });
  }

  async #punch(asker: string, target: string): Promise<Outcome> {
    const { host, areMembers } = this.#options;
    if (!this.#rate.take(asker))
      throw new ShoalError("RATE_LIMITED", "too many punches, slow down", {
        peer: asker,
      });
    const isThere = host.connections().some(({ peer }) => peer === target);
    if (asker === target || !isThere || !areMembers(asker, target))
      throw new ShoalError(
        "COMMAND_UNAUTHORIZED",
        "that peer is no member of a cluster of yours that is connected here",
        { peer: target },
      );
    const pair = [asker, target].sort(compare).join();
    let running = this.#running.get(pair);
    if (running === undefined) {
      if (this.#running.size >= PUNCH_SERVICE.maxPairs)
        throw new ShoalError("RATE_LIMITED", "too many punches at once", {});
      running = this.#connect(asker, target).finally(() =>
        this.#running.delete(pair),
      );
      this.#running.set(pair, running);
    }
    return await running;
  }

  async #connect(asker: string, target: string): Promise<Outcome> {
    const { events } = this.#options;
    const kinds = new Map<string, Mapping>();
    const why: string[] = [];
    const outcome = (over: Outcome["over"]): Outcome => {
      const reason = over === null ? why.join("; ") : null;
      events.debug(
        "CONNECT",
        over === null ? `no hole punched: ${reason}` : `punched over ${over}`,
        { asker, target, ...(over && { over }) },
      );
      return { over, reason, kinds };
    };
    for (const [over, attempt] of [
      ["UDP", () => this.#overUdp(asker, target, kinds)],
      ["TCP", () => this.#overTcp(asker, target)],
    ] as const) {
      try {
        await attempt();
        return outcome(over);
      } catch (error) {
        why.push(`${over}: ${ShoalError.from(error).message}`);
      }
    }
    return outcome(null);
  }

  async #overUdp(
    asker: string,
    target: string,
    kinds: Map<string, Mapping>,
  ): Promise<void> {
    const both = await Promise.all(
      [asker, target].map(async (who) => {
        const seen = await this.#sighting(who);
        kinds.set(who, kindOf(seen));
        return { who, seen };
      }),
    );
    const [one, other] = both;
    const plan = one && other && planOf(one, other);
    if (plan === undefined)
      throw failed(
        `nobody can be dialled (mappings: ${both.map(({ seen }) => kindOf(seen)).join(", ")})`,
      );
    const { dialler, from, listener, to } = plan;
    const { commands } = this.#options;
    const { sent } = await commands.call(
      listener,
      PUNCH_OPEN.name,
      { peer: dialler, to: from },
      PUNCH_OPEN.result,
      { timeoutMs: PUNCH_SERVICE.stepMs },
    );
    if (!sent) throw failed("the listener could not send");
    await this.#dial(dialler, { peer: listener, to, tcp: null });
  }

  async #overTcp(asker: string, target: string): Promise<void> {
    const both = await Promise.all(
      [asker, target].map(async (who) => {
        const expected = await this.#probe(who, "TCP", (seen) =>
          seen.of("tcp").some((at) => at !== undefined),
        );
        return { who, token: expected.token, at: expected.of("tcp")[0] };
      }),
    );
    await Promise.all(
      both.map(async ({ who, token }, i) => {
        const other = both[1 - i];
        if (other?.at === undefined) throw failed("its TCP was not seen");
        // The lower id begins the handshake.
        const initiator = compare(who, other.who) < 0;
        const tcp = { token, initiator };
        await this.#dial(who, { peer: other.who, to: other.at, tcp });
      }),
    );
  }

  async #dial(who: string, params: object): Promise<void> {
    const { connected, reason } = await this.#options.commands.call(
      who,
      PUNCH_DIAL.name,
      params,
      PUNCH_DIAL.result,
      { timeoutMs: PUNCH_SERVICE.dialMs },
    );
    if (!connected) throw failed(reason ?? "the dial failed");
  }

  async #sighting(who: string): Promise<Sighting> {
    const seen = await this.#probe(who, "UDP", (one) =>
      (["listener", "dialler"] as const).every((socket) =>
        one.of(socket).every((at) => at !== undefined),
      ),
    );
    return { listener: seen.of("listener"), dialler: seen.of("dialler") };
  }

  async #probe(
    who: string,
    over: "UDP" | "TCP",
    isEnough: (seen: Expected) => boolean,
  ): Promise<Expected> {
    const { commands, reflector } = this.#options;
    const { ports } = reflector;
    const expected =
      ports && reflector.expect(randomBytes(TOKEN_BYTES).toString("hex"));
    if (ports === undefined || expected === undefined)
      throw failed("the reflector is not there, or busy");
    try {
      const { token } = expected;
      const { sent, reason } = await commands.call(
        who,
        PUNCH_PROBE.name,
        { over, token, ports: over === "UDP" ? ports.udp : [ports.tcp] },
        PUNCH_PROBE.result,
        { timeoutMs: PUNCH_SERVICE.stepMs },
      );
      if (!sent) throw failed(reason ?? "a probe could not be sent");
      await expected.until(isEnough, PUNCH_SERVICE.probeMs);
      return expected;
    } finally {
      reflector.forget(expected);
    }
  }
}

function failed(why: string): ShoalError {
  return new ShoalError("DIAL_FAILED", why);
}
