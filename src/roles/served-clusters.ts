/** The clusters that a gateway serves. They come and go while it runs; each has its membership and its way to the model. */
import { Membership, Presence } from "../cluster/index.ts";
import {
  reportReadiness,
  SeveralBackends,
  type SessionLog,
  SwarmBackend,
} from "../inference/index.ts";
import type { EventSink, Paths } from "../lib/index.ts";
import { ShoalError } from "../lib/index.ts";
import type { Commands, Host, PeerTarget } from "../network/index.ts";
import type { ClusterStatus } from "../status/index.ts";
import { relaysOf } from "./join.ts";
import { keepClusterRecord } from "./saved-cluster-record.ts";

export interface ServedClustersOptions {
  host: Host;
  commands: Commands;
  events: EventSink;
  paths: Paths;
  sessions: SessionLog;
  recoveryTimeoutMs?: number | undefined;
  readyTimeoutMs?: number | undefined;
  /** Told when prompts can be answered, and when no longer. */
  onReady?: ((ready: boolean) => void) | undefined;
  /** Another process runs with this identity, and longer. */
  onIdentityTaken: (error: ShoalError) => void;
}

interface Served {
  membership: Membership;
  backend: SwarmBackend;
  close: () => Promise<void>;
}

export class ServedClusters {
  readonly backends: SeveralBackends;
  readonly #options: ServedClustersOptions;
  readonly #presence: Presence;
  readonly #served = new Map<string, Served>();
  /** Peers through which it joins. */
  readonly #through = new Set<string>();

  constructor(options: ServedClustersOptions) {
    this.#options = options;
    this.#presence = new Presence(options);
    this.backends = new SeveralBackends(options);
  }

  /** Answers as a member from now on. Before the host starts. */
  start(): void {
    this.#presence.start();
  }

  async stop(): Promise<void> {
    const names = [...this.#served.keys()];
    await Promise.all(names.map((name) => this.close(name)));
  }

  names(): string[] {
    return [...this.#served.keys()];
  }

  /** Members that hold something of a cluster. */
  membersOf(cluster: string): number {
    return this.#served.get(cluster)?.membership.announcements().length ?? 0;
  }

  /** Members that relay, of all clusters. */
  relays(): PeerTarget[] {
    return [...this.#served.values()].flatMap((one) =>
      relaysOf(one.membership),
    );
  }

  status(): ClusterStatus[] {
    return [...this.#served.values()].map((one) => one.membership.status());
  }

  maxSessions(): number {
    return [...this.#served.values()].reduce(
      (sum, { backend }) => sum + backend.maxSessions(),
      0,
    );
  }

  /** Serves a cluster too, and joins it through every peer that it joined the others through. Never rejects for those: the log has why. */
  async open(cluster: string): Promise<void> {
    if (this.#served.has(cluster)) return;
    const { host, commands, events, paths, onIdentityTaken } = this.#options;
    const presence = this.#presence;
    const about = { host, commands, events, cluster, presence };
    const membership = new Membership({ ...about, onIdentityTaken });
    const backend = new SwarmBackend(
      { ...this.#options, membership, dataDir: paths.data },
      () => this.#changed(),
    );
    await using stack = new AsyncDisposableStack();
    this.#served.set(cluster, {
      membership,
      backend,
      close: () => ending.disposeAsync(),
    });
    stack.defer(() => this.#changed());
    stack.defer(() => this.backends.delete(cluster));
    membership.start();
    stack.defer(() => membership.stop());
    backend.start();
    stack.defer(() => backend.stop());
    this.backends.add(cluster, backend);
    const kept = { membership, stateDir: paths.state, cluster, events };
    stack.defer(await keepClusterRecord(kept));
    // Ends first: without its members the view would be told as not ready.
    stack.defer(reportReadiness(membership, events, { cluster }));
    const ending = stack.move();
    for (const peer of this.#through) {
      if (this.#isConnected(peer)) await this.#joinQuietly(membership, peer);
    }
  }

  /** Serves it no longer. */
  async close(cluster: string): Promise<void> {
    const served = this.#served.get(cluster);
    this.#served.delete(cluster);
    await served?.close();
  }

  /** Whether the peer is known in a cluster that is served. */
  knows(peer: string, cluster: string): boolean {
    return this.#served.get(cluster)?.membership.knows(peer) ?? false;
  }

  /** Joins all, or `only` one, through a peer that is connected. Rejects if it could join none. */
  async join(peer: string, only?: string): Promise<void> {
    if (only === undefined) this.#through.add(peer);
    const all = [...this.#served]
      .filter(([name]) => only === undefined || name === only)
      .map(([, one]) => one);
    const joined = await Promise.allSettled(
      all.map(({ membership }) => this.#join(membership, peer)),
    );
    const failed = joined.filter((one) => one.status === "rejected");
    const [first] = failed;
    if (first !== undefined && failed.length === all.length) throw first.reason;
    for (const { reason } of failed) this.#tellFailure(reason, peer);
  }

  /** Connected peers through which it joined. */
  through(): string[] {
    return [...this.#through].filter((peer) => this.#isConnected(peer));
  }

  async #joinQuietly(membership: Membership, peer: string): Promise<void> {
    try {
      await this.#join(membership, peer);
    } catch (error) {
      this.#tellFailure(error, peer);
    }
  }

  async #join(membership: Membership, peer: string): Promise<void> {
    const { cluster } = membership;
    const members = await membership.join(peer);
    const what = "subscribed to the cluster";
    this.#options.events.info("CLUSTER", what, { cluster, members });
  }

  #tellFailure(error: unknown, peer: string): void {
    const { code, message } = ShoalError.from(error);
    const what = `could not join: ${message}`;
    this.#options.events.warn("CLUSTER", what, { peer, code });
  }

  #isConnected(peer: string): boolean {
    return this.#options.host.connections().some((one) => one.peer === peer);
  }

  #changed(): void {
    this.backends.changed();
    this.#options.onReady?.(this.backends.notReady() === undefined);
  }
}
