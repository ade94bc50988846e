/**
 * REACH_ME: a peer asks where it is seen, and to be dialled there. What this makes a stranger's machine do is little: it dials only the IP that the
 * asker's own connection comes from, so nobody else's (a private one only if the asker is seen there), at no service's port, seldom, and each dial
 * ends after one small request. The handshake proves that the asker's key is there; the nonce proves to the asker that it was dialled.
 */
import { randomBytes } from "node:crypto";
import { z } from "zod";
import {
  type Clock,
  isShoalError,
  ShoalError,
  steadyClock,
} from "../lib/index.ts";
import {
  addressClass,
  type Commands,
  type Host,
  ipOf,
  PeerQuota,
  plainIp,
} from "../network/index.ts";
import { addressAt, keyOf, Port } from "./ports.ts";

export const DIAL_BACK_PROTOCOL = "/shoal/dial-back/1.0.0";

const NONCE_BYTES = 16;

export const DIAL_BACK = Object.freeze({
  /** Its own two transports, and what a router maps to them. */
  ports: 6,
  /** A node asks when it starts, when its network changes, and every few minutes. */
  burst: 12,
  perSecond: 0.1,
  /** Questions that are being answered; each has a few sockets. */
  atOnce: 16,
  /** Silence means that a router drops it: shorter than a dial, because the asker waits. */
  dialMs: 2_500,
  callMs: 10_000,
  /** A nonce's way, over a connection that stands. */
  nonceMs: 1_000,
});

export const REACH_ME = {
  name: "REACH_ME",
  params: z.object({
    ports: z
      .array(Port.extend({ nonce: z.string().length(24) }))
      .max(DIAL_BACK.ports),
  }),
  result: z.object({
    /** The IP that the question came from; null if it came through a relay. */
    seenAs: z.string().max(64).nullable(),
    /** The ports at which the asker answered there. */
    reached: z.array(Port).max(DIAL_BACK.ports),
  }),
} as const;

type Asked = z.infer<typeof REACH_ME.params>["ports"][number];

function refuse(message: string): never {
  throw new ShoalError("RATE_LIMITED", message);
}

interface Peers {
  host: Host;
  commands: Commands;
  clock?: Clock | undefined;
}

/** Answers REACH_ME from now on. */
export function serveDialBack({
  host,
  commands,
  clock = steadyClock,
}: Peers): void {
  const quota = new PeerQuota(DIAL_BACK.burst, DIAL_BACK.perSecond, clock);
  let answering = 0;
  commands.handle(
    REACH_ME.name,
    REACH_ME.params,
    async ({ ports }, { peer, address, signal }) => {
      const ip = ipOf(address);
      if (ip === undefined) return { seenAs: null, reached: [] };
      const seenAs = plainIp(ip);
      if (ports.length === 0) return { seenAs, reached: [] };
      // By address too: identities cost nothing.
      if (!quota.take(peer) || !quota.take(seenAs))
        refuse("too many questions of this peer or address");
      if (answering >= DIAL_BACK.atOnce) refuse("too many questions at once");
      answering++;
      try {
        const dials = ports.map(async (port) =>
          (await dialBack(host, peer, seenAs, port, signal)) ? [port] : [],
        );
        const reached = (await Promise.all(dials)).flat();
        return {
          seenAs,
          reached: reached.map(({ transport, port }) => ({ transport, port })),
        };
      } finally {
        answering--;
      }
    },
  );
}

async function dialBack(
  host: Host,
  peer: string,
  ip: string,
  port: Asked,
  signal: AbortSignal,
): Promise<boolean> {
  let id: string | undefined;
  try {
    const address = `${addressAt(ip, port)}/p2p/${peer}`;
    const timeoutMs = DIAL_BACK.dialMs;
    ({ id } = await host.dialAside(address, { timeoutMs, signal }));
    const nonce = Buffer.from(port.nonce, "base64");
    const how = { over: id, timeoutMs: DIAL_BACK.nonceMs, signal };
    await host.request(peer, DIAL_BACK_PROTOCOL, nonce, how);
    return true;
  } catch {
    return false; // nobody is there, or a router is between
  } finally {
    if (id !== undefined) await host.closeConnection(id);
  }
}

export interface Reached {
  /** Undefined: not seen at any IP, as through a relay. */
  seenAs: string | undefined;
  /** Whether it was asked to dial. */
  isTried: boolean;
  /** Those of the asked ports that were dialled there. */
  ports: Port[];
}

/** The asker's side. */
export class DialBacks {
  readonly #host: Host;
  readonly #commands: Commands;
  /** Nonces that are under way, and who may bring them. */
  readonly #awaited = new Map<string, string>();
  readonly #came = new Set<string>();

  /** Before the host starts, or later. */
  constructor({ host, commands }: Peers) {
    this.#host = host;
    this.#commands = commands;
    host.handleRequests(
      DIAL_BACK_PROTOCOL,
      async (payload, { peer }) => {
        const nonce = Buffer.from(payload).toString("base64");
        if (this.#awaited.get(nonce) === peer) this.#came.add(nonce);
        return new Uint8Array();
      },
      { maxRequestBytes: NONCE_BYTES },
    );
  }

  /** Asks a connected peer. Rejects with its refusal, COMMAND_UNKNOWN, or if it is lost. */
  async ask(
    peer: string,
    ports: readonly Port[],
    signal: AbortSignal,
  ): Promise<Reached> {
    const asked = ports
      .slice(0, DIAL_BACK.ports)
      .map(({ transport, port }) => ({
        transport,
        port,
        nonce: randomBytes(NONCE_BYTES).toString("base64"),
      }));
    for (const { nonce } of asked) this.#awaited.set(nonce, peer);
    const expected = this.#host.expectAside(peer);
    try {
      const { seenAs, reached } = await this.#commands.call(
        peer,
        REACH_ME.name,
        { ports: asked },
        REACH_ME.result,
        { timeoutMs: DIAL_BACK.callMs, signal },
      );
      const said = new Set(reached.map(keyOf));
      const proved = asked.filter(
        (port) => said.has(keyOf(port)) && this.#came.has(port.nonce),
      );
      return {
        seenAs: seenAs === null ? undefined : plainIp(seenAs),
        isTried: asked.length > 0,
        ports: proved.map(({ transport, port }) => ({ transport, port })),
      };
    } finally {
      expected();
      for (const { nonce } of asked) {
        this.#awaited.delete(nonce);
        this.#came.delete(nonce);
      }
    }
  }
}

/** Whether it is of use to be dialled at the IP where one is seen. */
export function isWorthAsking(
  seenAs: string,
  interfaces: readonly string[],
): boolean {
  const kind = addressClass(seenAs);
  if (kind === "public") return true;
  // A private one that is the machine's own is announced in any case, and reached by whoever sees it.
  const isOuter = kind === "private" || kind === "carrier";
  return isOuter && !interfaces.includes(seenAs);
}

/** The other side is older, or busy: what it does not tell is unknown. */
export function isNoAnswer(error: unknown): boolean {
  return isShoalError(
    error,
    "COMMAND_UNKNOWN",
    "RATE_LIMITED",
    "STREAM_CLOSED",
    "DIAL_FAILED",
    "DEADLINE",
    "ABORTED",
  );
}
