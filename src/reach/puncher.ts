/**
 * A member's side of hole punching. It asks its rendezvous where a dial of a member fails (`Host.onUnreachable`), and where a member is
 * connected through a relay only; and it does what its rendezvous tells it. What was punched is a connection like all others: new streams
 * prefer it to a relayed one.
 */
import {
  backoffMs,
  type Clock,
  type EventSink,
  isShoalError,
  ShoalError,
  sleep,
  steadyClock,
} from "../lib/index.ts";
import {
  type Commands,
  type ConnectionInfo,
  type Endpoint,
  type Host,
  ipOf,
  PeerQuota,
  type RequestContext,
} from "../network/index.ts";
import { encodeProbe, OPENING_DATAGRAM } from "./probe.ts";
import {
  PUNCH,
  PUNCH_DIAL,
  PUNCH_OPEN,
  PUNCH_PROBE,
} from "./punch-protocol.ts";
import { TcpPorts } from "./tcp-ports.ts";

export const PUNCHER = Object.freeze({
  /** A question to a rendezvous, which tries UDP and then TCP. */
  askMs: 12_000,
  /** The other side's connection may be complete a moment after this side was told. */
  openMs: 2_000,
  /** Delays of a probe's datagrams, and of those that open: some may be lost. */
  againMs: [0, 30, 120],
  /** What a rendezvous may have this member do: a punch takes up to five commands. */
  burst: 160,
  perSecond: 10,
  /** A pair whose routers allow nothing is tried again less and less often. */
  retryInitialMs: 10_000,
  retryMaxMs: 10 * 60_000,
  /** Peers whose failures are remembered. */
  remembered: 1_024,
  /** Interval of looking for relayed connections. */
  lookMs: 5_000,
  /** A simultaneous open is tried until then: a router that refuses ends each try at once. */
  tcpMs: 3_000,
  tcpAgainMs: 150,
});

export interface PuncherOptions {
  host: Pick<
    Host,
    "connections" | "onPeer" | "onUnreachable" | "punching" | "markWay"
  >;
  commands: Commands;
  events: EventSink;
  clock?: Clock;
  random?: () => number;
}

interface Failure {
  attempts: number;
  untilMs: number;
}

export class Puncher {
  readonly #options: PuncherOptions;
  readonly #clock: Clock;
  readonly #rate: PeerQuota;
  readonly #ports = new TcpPorts();
  readonly #rendezvous = new Set<string>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #failures = new Map<string, Failure>();
  /** Peers whose inbound QUIC connection is expected, because the router was opened for them. */
  readonly #expected = new Map<string, number>();
  readonly #undo: (() => void)[] = [];
  #cancelLook: (() => void) | undefined;

  constructor(options: PuncherOptions) {
    this.#options = options;
    this.#clock = options.clock ?? steadyClock;
    const { burst, perSecond } = PUNCHER;
    this.#rate = new PeerQuota(burst, perSecond, this.#clock);
  }

  /** Before the host starts. */
  start(): void {
    const { commands, host } = this.#options;
    commands.handle(PUNCH_PROBE.name, PUNCH_PROBE.params, (asked, from) => {
      this.#authorize(from);
      return this.#probe(asked, from);
    });
    commands.handle(PUNCH_OPEN.name, PUNCH_OPEN.params, (asked, from) => {
      this.#authorize(from);
      this.#expected.set(asked.peer, this.#clock.now() + PUNCHER.askMs);
      const sent = this.#send("listener", OPENING_DATAGRAM, [asked.to]);
      return { sent };
    });
    commands.handle(PUNCH_DIAL.name, PUNCH_DIAL.params, (asked, from) => {
      this.#authorize(from);
      return this.#dial(asked);
    });
    this.#undo.push(
      host.onUnreachable((peer, signal) => this.#wanted(peer, signal)),
      host.onPeer(({ type, peer, connection }) => {
        this.#markExpected(connection);
        if (type === "disconnected" && !this.#isConnected(peer))
          this.#rendezvous.delete(peer);
      }),
    );
    this.#look();
  }

  stop(): void {
    this.#cancelLook?.();
    for (const undo of this.#undo.splice(0)) undo();
    this.#ports.stop();
  }

  /** Joined through this one: it may tell this member what to do. The network may be another one by now, so what failed is tried again. */
  use(rendezvous: string): void {
    this.#rendezvous.add(rendezvous);
    this.#failures.clear();
    const { host, events } = this.#options;
    const { missing } = host.punching;
    if (missing !== undefined)
      events.debug("CONNECT", `no hole punching over UDP: ${missing}`, {});
  }

  /** Resolves once connected, other than through a relay. */
  async punch(peer: string): Promise<void> {
    let running = this.#running.get(peer);
    if (running === undefined) {
      running = this.#punch(peer).finally(() => this.#running.delete(peer));
      this.#running.set(peer, running);
    }
    await running;
  }

  async #wanted(peer: string, signal: AbortSignal): Promise<void> {
    if (this.#rendezvous.has(peer)) throw unreachable(peer, "it is asked");
    if (this.#isTooSoon(peer)) throw unreachable(peer, "it failed just now");
    signal.throwIfAborted();
    await this.punch(peer);
  }

  async #punch(peer: string): Promise<void> {
    const { commands, events } = this.#options;
    const why: string[] = [];
    const startMs = this.#clock.now();
    for (const rendezvous of this.#rendezvous) {
      try {
        const { over, reason, mapping } = await commands.call(
          rendezvous,
          PUNCH.name,
          { peer },
          PUNCH.result,
          { timeoutMs: PUNCHER.askMs },
        );
        if (over === null) {
          const kinds = `mappings: ${mapping.own} here, ${mapping.theirs} there`;
          why.push(`${reason ?? "it failed"} (${kinds})`);
          continue;
        }
        const connection = await this.#connected(peer);
        this.#failures.delete(peer);
        events.info("CONNECT", `punched a hole to ${peer} over ${over}`, {
          peer,
          over,
          address: connection.address,
          mapping: mapping.own,
          theirMapping: mapping.theirs,
          tookMs: Math.round(this.#clock.now() - startMs),
        });
        return;
      } catch (error) {
        const { code, message } = ShoalError.from(error);
        why.push(message);
        // It does not know the two as members yet, or no longer: that may change at once.
        if (code === "COMMAND_UNKNOWN") this.#rendezvous.delete(rendezvous);
        if (isShoalError(error, "COMMAND_UNAUTHORIZED")) continue;
      }
    }
    if (this.#rendezvous.size > 0) this.#failed(peer);
    const said = why.join("; ") || "no rendezvous to ask";
    events.debug("CONNECT", `no hole to ${peer} could be punched: ${said}`, {
      peer,
    });
    throw unreachable(peer, said);
  }

  /** The other side may have dialled. */
  async #connected(peer: string): Promise<ConnectionInfo> {
    const { host } = this.#options;
    for (let waitedMs = 0; ; waitedMs += 20) {
      const open = host
        .connections()
        .find((one) => one.peer === peer && one.transport !== "relayed");
      if (open !== undefined) return open;
      if (waitedMs >= PUNCHER.openMs)
        throw unreachable(peer, "the connection did not come");
      await sleep(20);
    }
  }

  // what a rendezvous tells this member to do

  #authorize({ peer }: RequestContext): void {
    if (!this.#rendezvous.has(peer))
      throw new ShoalError(
        "COMMAND_UNAUTHORIZED",
        "only a rendezvous of this member may ask that",
        { peer },
      );
    if (!this.#rate.take(peer))
      throw new ShoalError("RATE_LIMITED", "too many punches, slow down", {
        peer,
      });
  }

  async #probe(
    asked: { over: "UDP" | "TCP"; token: string; ports: number[] },
    { peer }: RequestContext,
  ): Promise<{ sent: boolean; reason: string | null }> {
    const { host } = this.#options;
    const ip = host
      .connections()
      .filter((one) => one.peer === peer)
      .map(({ address }) => ipOf(address))
      .find((found) => found !== undefined);
    if (ip === undefined) return { sent: false, reason: "no direct way to it" };
    const at = asked.ports.map((port): Endpoint => ({ host: ip, port }));
    if (asked.over === "UDP") {
      const { missing } = host.punching;
      if (missing !== undefined) return { sent: false, reason: missing };
      const sent = (["listener", "dialler"] as const).filter((socket) =>
        this.#send(socket, encodeProbe(socket, asked.token), at),
      );
      return { sent: sent.length > 0, reason: null };
    }
    try {
      const [reflector] = at;
      if (reflector !== undefined)
        await this.#ports.open(reflector, asked.token);
      return { sent: reflector !== undefined, reason: null };
    } catch (error) {
      this.#ports.close(asked.token);
      return { sent: false, reason: said(error) };
    }
  }

  /** False if the first is refused by the system; the others repeat it. */
  #send(
    from: "listener" | "dialler",
    data: Uint8Array,
    to: readonly Endpoint[],
  ): boolean {
    const { punching } = this.#options.host;
    const [, ...again] = PUNCHER.againMs;
    const send = (): boolean =>
      to.map((one) => punching.send(from, data, one)).some(Boolean);
    for (const ms of again) this.#clock.after(ms, send);
    return send();
  }

  async #dial(asked: {
    peer: string;
    to: Endpoint;
    tcp: { token: string; initiator: boolean } | null;
  }): Promise<{ connected: boolean; reason: string | null }> {
    const { host } = this.#options;
    const { peer, to, tcp } = asked;
    try {
      if (tcp === null) {
        const limit = AbortSignal.timeout(PUNCHER.tcpMs);
        const id = await host.punching.dial(peer, to, undefined, limit);
        host.markWay(id, "punched UDP");
      } else {
        const id = await this.#openTogether(peer, to, tcp);
        host.markWay(id, "punched TCP");
      }
      return { connected: true, reason: null };
    } catch (error) {
      return { connected: false, reason: said(error) };
    } finally {
      if (tcp !== null) this.#ports.close(tcp.token);
    }
  }

  /** Again and again: where a router refuses what it does not know, the two must meet on the way. */
  async #openTogether(
    peer: string,
    to: Endpoint,
    { token, initiator }: { token: string; initiator: boolean },
  ): Promise<string> {
    const { punching } = this.#options.host;
    const endMs = this.#clock.now() + PUNCHER.tcpMs;
    for (;;) {
      const localPort = this.#ports.localPort(token);
      const leftMs = endMs - this.#clock.now();
      if (localPort === undefined || leftMs <= 0)
        throw unreachable(peer, "TCP did not get through");
      try {
        const limit = AbortSignal.timeout(Math.ceil(leftMs));
        return await punching.dial(peer, to, { localPort, initiator }, limit);
      } catch (error) {
        if (this.#clock.now() + PUNCHER.tcpAgainMs > endMs) throw error;
        await sleep(PUNCHER.tcpAgainMs);
      }
    }
  }

  // relayed connections, and failures

  #look(): void {
    const { host } = this.#options;
    const direct = new Set<string>();
    const relayed = new Set<string>();
    for (const connection of host.connections()) {
      const { peer, transport } = connection;
      (transport === "relayed" ? relayed : direct).add(peer);
      this.#markExpected(connection);
    }
    for (const [peer, untilMs] of this.#expected)
      if (untilMs <= this.#clock.now()) this.#expected.delete(peer);
    for (const peer of relayed)
      if (!direct.has(peer) && !this.#isTooSoon(peer))
        this.punch(peer).catch(() => {}); // it said why
    this.#cancelLook = this.#clock.after(PUNCHER.lookMs, () => this.#look());
  }

  /** It came through the hole that this member opened. */
  #markExpected({ id, peer, transport, direction }: ConnectionInfo): void {
    if (transport !== "QUIC" || direction !== "inbound") return;
    if (this.#expected.delete(peer))
      this.#options.host.markWay(id, "punched UDP");
  }

  #isConnected(peer: string): boolean {
    return this.#options.host.connections().some((one) => one.peer === peer);
  }

  #isTooSoon(peer: string): boolean {
    const failure = this.#failures.get(peer);
    return failure !== undefined && this.#clock.now() < failure.untilMs;
  }

  #failed(peer: string): void {
    const { random = Math.random } = this.#options;
    const attempts = (this.#failures.get(peer)?.attempts ?? 0) + 1;
    const waitMs = backoffMs(attempts - 1, {
      initialMs: PUNCHER.retryInitialMs,
      maxMs: PUNCHER.retryMaxMs,
      random,
    });
    this.#failures.delete(peer);
    this.#failures.set(peer, { attempts, untilMs: this.#clock.now() + waitMs });
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > PUNCHER.remembered && oldest !== undefined)
      this.#failures.delete(oldest);
  }
}

function unreachable(peer: string, why: string): ShoalError {
  return new ShoalError("DIAL_FAILED", `no hole to ${peer}: ${why}`, { peer });
}

function said(error: unknown): string {
  return ShoalError.from(error).message.slice(0, 256);
}
