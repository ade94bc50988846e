/**
 * Keeps a connection to each bootstrap: dials, reconnects with back-off and jitter for as long as it runs, and reports what happened.
 * (libp2p's own bootstrap module dials once, and its KEEP_ALIVE tags vanish after five tries.)
 *
 *     const bootstraps = new Bootstraps({ host, targets: ["rendezvous.example"], events });
 *     bootstraps.start();
 *     const { peer } = await bootstraps.firstConnection({ timeoutMs: 15_000 });
 */
import {
  backoffMs,
  isShoalError,
  reasonOf,
  ShoalError,
  sleep,
  type EventSink,
} from "../lib/index.ts";
import { parseTarget, type PeerTarget } from "./address.ts";
import { DEFAULTS } from "./defaults.ts";
import type { WaitOptions } from "./connections.ts";
import type { Host } from "./host.ts";
import type { ConnectionInfo } from "./tracked.ts";

export interface BootstrapsOptions {
  host: Host;
  /** As an operator types them (see parseTarget). */
  targets: readonly string[];
  events: EventSink;
  /** Called for each new connection: the first one, and every one after a loss. */
  onConnected?: ((connection: ConnectionInfo) => void) | undefined;
  /** One attempt at one bootstrap, with all its addresses. */
  dialMs?: number | undefined;
  /** First and longest wait between attempts. */
  retryInitialMs?: number | undefined;
  retryMaxMs?: number | undefined;
  random?: (() => number) | undefined;
}

const BOOTSTRAP_DEFAULTS = Object.freeze({
  /** A restarted rendezvous is back within seconds, and its members should be too. */
  retryInitialMs: 500,
  retryMaxMs: 10_000,
  /** A connection that lasted this long was good: the next back-off starts over. */
  settledMs: 10_000,
  firstConnectionMs: 15_000,
});

interface Kept {
  text: string;
  target: PeerTarget;
  connection: ConnectionInfo | undefined;
  lastError: ShoalError | undefined;
}

export class Bootstraps {
  readonly #options: BootstrapsOptions;
  readonly #kept: Kept[];
  readonly #stopping = new AbortController();
  readonly #waiting = new Set<(connection: ConnectionInfo) => void>();
  #running: Promise<unknown> | undefined;
  #unsubscribe: (() => void) | undefined;

  /** Throws ADDRESS_INVALID. */
  constructor(options: BootstrapsOptions) {
    this.#options = options;
    this.#kept = onePerPeer(options.targets);
  }

  start(): void {
    if (this.#running !== undefined || this.#stopping.signal.aborted) return;
    this.#unsubscribe = this.#reportRoutingTable();
    this.#running = Promise.all(this.#kept.map((kept) => this.#keep(kept)));
  }

  /** Stops redialling; the connections remain with the host. */
  async stop(): Promise<void> {
    this.#stopping.abort(new ShoalError("ABORTED", "stopping"));
    this.#unsubscribe?.();
    await this.#running;
  }

  /** Bootstraps connected right now. */
  connected(): ConnectionInfo[] {
    return this.#kept.flatMap(({ connection }) => connection ?? []);
  }

  /** The first connection; rejects with BOOTSTRAP_UNREACHABLE and each one's error. */
  async firstConnection(options: WaitOptions = {}): Promise<ConnectionInfo> {
    const { timeoutMs = BOOTSTRAP_DEFAULTS.firstConnectionMs, signal } =
      options;
    const [connected] = this.connected();
    if (connected !== undefined) return connected;
    if (signal?.aborted === true) throw reasonOf(signal);
    return await new Promise((resolve, reject) => {
      const done = (finish: () => void): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        this.#stopping.signal.removeEventListener("abort", onAbort);
        this.#waiting.delete(onConnected);
        finish();
      };
      const onConnected = (connection: ConnectionInfo): void =>
        done(() => resolve(connection));
      const onAbort = (): void =>
        done(() =>
          reject(
            reasonOf(signal?.aborted === true ? signal : this.#stopping.signal),
          ),
        );
      const timer = setTimeout(
        () => done(() => reject(this.#unreachable(timeoutMs))),
        timeoutMs,
      );
      signal?.addEventListener("abort", onAbort);
      this.#stopping.signal.addEventListener("abort", onAbort);
      this.#waiting.add(onConnected);
    });
  }

  async #keep(kept: Kept): Promise<void> {
    const { signal } = this.#stopping;
    const { random, events } = this.#options;
    const {
      retryInitialMs = BOOTSTRAP_DEFAULTS.retryInitialMs,
      retryMaxMs = BOOTSTRAP_DEFAULTS.retryMaxMs,
    } = this.#options;
    let attempt = 0;
    while (!signal.aborted) {
      let problem: string;
      try {
        const { peer, sinceMs } = await this.#connect(kept);
        await this.#whileConnected(peer);
        kept.connection = undefined;
        if (signal.aborted) return;
        problem = "lost the connection to the bootstrap";
        if (Date.now() - sinceMs > BOOTSTRAP_DEFAULTS.settledMs) attempt = 0;
      } catch (thrown) {
        if (signal.aborted) return;
        const error = ShoalError.from(thrown);
        kept.lastError = error;
        if (error.details.self === true) {
          events.info("CONNECT", `bootstrap ${kept.text} is this node itself`, {
            bootstrap: kept.text,
          });
          return;
        }
        problem = error.message;
      }
      const nextTryMs = backoffMs(attempt++, {
        initialMs: retryInitialMs,
        maxMs: retryMaxMs,
        ...(random && { random }),
      });
      events.warn(
        "CONNECT",
        `${problem}; next try in ${(nextTryMs / 1000).toFixed(1)} s`,
        { bootstrap: kept.text, nextTryMs },
      );
      await sleep(nextTryMs, signal).catch(() => {});
    }
  }

  /** Connected means that an echo came back. A server may still refuse after the handshake. */
  async #connect(kept: Kept): Promise<ConnectionInfo> {
    const { host, events, dialMs = DEFAULTS.dialMs } = this.#options;
    const { signal } = this.#stopping;
    const connection = await host.connect(kept.target, {
      timeoutMs: dialMs,
      signal,
    });
    const { peer, transport, address } = connection;
    let rttMs: number | undefined;
    try {
      rttMs = await host.ping(peer, {
        timeoutMs: DEFAULTS.openStreamMs,
        signal,
      });
    } catch (error) {
      // A libp2p peer other than Shoal has no heartbeat, but may still serve the DHT.
      if (!isShoalError(error, "PROTOCOL_UNSUPPORTED")) throw error;
    }
    kept.connection = connection;
    kept.lastError = undefined;
    events.info("CONNECT", `connected to bootstrap ${peer} over ${transport}`, {
      bootstrap: kept.text,
      peer,
      transport,
      address,
      rttMs: rttMs === undefined ? undefined : Math.round(rttMs * 100) / 100,
    });
    for (const waiting of this.#waiting) waiting(connection);
    this.#options.onConnected?.(connection);
    return connection;
  }

  /** Resolves when the last connection to `peer` is closed, or when stopping. */
  async #whileConnected(peer: string): Promise<void> {
    const { host } = this.#options;
    const { signal } = this.#stopping;
    const { promise, resolve } = Promise.withResolvers<void>();
    const unsubscribe = host.onPeer((change) => {
      if (change.type === "disconnected" && change.peer === peer) resolve();
    });
    const onAbort = (): void => resolve();
    signal.addEventListener("abort", onAbort);
    if (signal.aborted || !host.connections().some((c) => c.peer === peer))
      resolve();
    await promise;
    signal.removeEventListener("abort", onAbort);
    unsubscribe();
  }

  /** Reports each time the routing table stops being empty. */
  #reportRoutingTable(): () => void {
    const { host, events } = this.#options;
    let known = 0;
    const report = (): void => {
      const peers = host.dhtPeers();
      if (known === 0 && peers > 0) {
        events.info(
          "DHT",
          `routing table holds ${peers} ${peers === 1 ? "peer" : "peers"}`,
          { peers },
        );
      }
      known = peers;
    };
    report();
    return host.onDhtChange(report);
  }

  #unreachable(timeoutMs: number): ShoalError {
    const said = this.#kept.map(
      ({ text, lastError }) =>
        `${text}: ${lastError?.message ?? "no answer yet"}`,
    );
    return new ShoalError(
      "BOOTSTRAP_UNREACHABLE",
      said.length === 0
        ? "no bootstrap was given"
        : `no bootstrap answered within ${timeoutMs / 1000} s (${said.join("; ")})`,
      { bootstraps: this.#kept.map(({ text }) => text), timeoutMs },
    );
  }
}

/** Several addresses that name the same peer are one bootstrap: they are dialled one after the other, and it is joined once. */
function onePerPeer(texts: readonly string[]): Kept[] {
  const parsed = texts.map((text) => ({ text, target: parseTarget(text) }));
  const groups = Map.groupBy(
    parsed,
    ({ text, target }) => target.peerId ?? text,
  );
  return [...groups.values()].map((group) => ({
    text: group.map(({ text }) => text).join(", "),
    target: {
      peerId: group[0]?.target.peerId,
      addresses: group.flatMap(({ target }) => target.addresses),
      named: true,
    },
    connection: undefined,
    lastError: undefined,
  }));
}
