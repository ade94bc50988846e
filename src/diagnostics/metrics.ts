/**
 * A role's state as Prometheus metrics (https://prometheus.io/docs/practices/naming/): base units, totals end in `_total`, nothing that
 * grows with the number of peers. It includes libp2p's own. One registry per role, never the global one.
 */
import {
  prometheusMetrics,
  type PrometheusMetricsInit,
} from "@libp2p/prometheus-metrics";
import {
  collectDefaultMetrics,
  Counter,
  Gauge,
  Histogram,
  Registry,
} from "prom-client";
import type { NodeStatus, SessionStatus } from "../status/index.ts";
import type { ShoalEvent } from "../lib/index.ts";

export type Libp2pMetrics = ReturnType<typeof prometheusMetrics>;

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [value: number, labels?: Labels];

interface Metric {
  name: string;
  help: string;
  labels?: readonly string[];
  /** Values of the status; none if unknown. */
  of: (status: NodeStatus) => readonly Sample[];
}

const GAUGES: readonly Metric[] = [
  {
    name: "shoal_info",
    help: "What this process is; always 1",
    labels: ["role", "version", "peer"],
    of: ({ role, version, peer }) => [[1, { role, version, peer }]],
  },
  {
    name: "shoal_ready",
    help: "1 if /ready answers 200",
    of: ({ ready }) => [[ready ? 1 : 0]],
  },
  {
    name: "shoal_connections",
    help: "Open connections",
    labels: ["transport", "direction"],
    of: ({ connections }) =>
      countBy(connections, ({ transport, direction }) => ({
        transport,
        direction,
      })),
  },
  {
    name: "shoal_connection_round_trip_seconds",
    help: "Smoothed round trips of the open connections",
    labels: ["stat"],
    of: ({ connections }) => {
      const known = connections
        .flatMap(({ roundTripMs }) => roundTripMs ?? [])
        .sort((a, b) => a - b);
      const [middle, last] = [known[known.length >> 1], known.at(-1)];
      if (middle === undefined || last === undefined) return [];
      return [
        [middle / 1000, { stat: "median" }],
        [last / 1000, { stat: "max" }],
      ];
    },
  },
  {
    name: "shoal_cluster_ready",
    help: "1 if every layer has a ready holder",
    labels: ["cluster"],
    of: ({ clusters }) =>
      clusters.map(({ cluster, ready }) => [ready ? 1 : 0, { cluster }]),
  },
  {
    name: "shoal_cluster_missing_shards",
    help: "Shards without a ready holder",
    labels: ["cluster"],
    of: ({ clusters }) =>
      clusters.map(({ cluster, missing }) => [missing.length, { cluster }]),
  },
  {
    name: "shoal_cluster_shards",
    help: "Shards of the plan, by the best state of any holder",
    labels: ["cluster", "state"],
    of: ({ clusters }) =>
      clusters.flatMap(({ cluster, shards }) =>
        countBy(shards, ({ state }) => ({ cluster, state })),
      ),
  },
  {
    name: "shoal_cluster_members",
    help: "Live announcements",
    labels: ["cluster", "state"],
    of: ({ clusters }) =>
      clusters.flatMap(({ cluster, members }) =>
        countBy(members, ({ state }) => ({ cluster, state })),
      ),
  },
  {
    name: "shoal_sessions_active",
    help: "Running sessions",
    of: ({ sessions }) => (sessions === null ? [] : [[sessions.active]]),
  },
  {
    name: "shoal_sessions_max",
    help: "Sessions that can run at once",
    of: ({ sessions }) => (sessions === null ? [] : [[sessions.max]]),
  },
  {
    name: "shoal_shard_memory_bytes",
    help: "Resident memory of a shard's engine",
    labels: ["shard"],
    of: ({ shards }) =>
      shards.flatMap(({ index, memoryBytes }) =>
        memoryBytes === null ? [] : [[memoryBytes, { shard: `${index}` }]],
      ),
  },
  {
    name: "shoal_shard_token_seconds",
    help: "Compute of one token by a shard, moving average",
    labels: ["shard"],
    of: ({ shards }) =>
      shards.flatMap(({ index, msPerToken }) =>
        msPerToken === null ? [] : [[msPerToken / 1000, { shard: `${index}` }]],
      ),
  },
  {
    name: "shoal_torrent_contents",
    help: "Contents that are here or listed here",
    of: ({ torrents }) => (torrents === null ? [] : [[torrents.contentCount]]),
  },
  {
    name: "shoal_torrent_transfers",
    help: "Running transfers",
    labels: ["direction"],
    of: ({ torrents }) =>
      torrents === null
        ? []
        : (["up", "down"] as const).map((direction) => [
            torrents.transfers.filter((t) => t.direction === direction).length,
            { direction },
          ]),
  },
  {
    name: "shoal_dht_peers",
    help: "Peers in the routing table of the DHT",
    of: ({ dht }) => [[dht.peers]],
  },
  {
    name: "shoal_dht_records",
    help: "Records kept for others",
    of: ({ dht }) => (dht.records === null ? [] : [[dht.records]]),
  },
  {
    name: "shoal_dht_provided",
    help: "Contents that this node announces in the DHT",
    of: ({ dht }) => [[dht.provided]],
  },
];

const COUNTERS: readonly Metric[] = [
  {
    name: "shoal_sessions_total",
    help: "Sessions since the start",
    of: ({ sessions }) => (sessions === null ? [] : [[sessions.total]]),
  },
  {
    name: "shoal_sessions_failed_total",
    help: "Sessions that ended with an error",
    of: ({ sessions }) => (sessions === null ? [] : [[sessions.failed]]),
  },
  {
    name: "shoal_tokens_total",
    help: "Tokens generated (gateway), or decoded one by one (node)",
    of: ({ sessions }) => (sessions === null ? [] : [[sessions.tokens]]),
  },
  {
    name: "shoal_torrent_uploaded_bytes_total",
    help: "Bytes of contents sent to peers",
    of: ({ torrents }) => (torrents === null ? [] : [[torrents.uploadedBytes]]),
  },
  {
    name: "shoal_torrent_downloaded_bytes_total",
    help: "Bytes of contents received",
    of: ({ torrents }) =>
      torrents === null ? [] : [[torrents.downloadedBytes]],
  },
  {
    name: "shoal_announcements_refused_total",
    help: "Announcements refused, by reason",
    labels: ["cluster", "reason"],
    of: ({ clusters }) =>
      clusters.flatMap(({ cluster, refused }) =>
        Object.entries(refused).map(([reason, count]): Sample => [
          count,
          { cluster, reason },
        ]),
      ),
  },
];

/** From 10 ms to 100 s: from a token of a small model to the prefill of a long prompt. */
const SECONDS_BUCKETS = [
  0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100,
];

export class Metrics {
  readonly registry = new Registry();
  #events: Counter<"level" | "tag">;
  #firstToken: Histogram;
  #duration: Histogram<"state">;
  /** Metrics that read the status when scraped. */
  #read: (Gauge | Counter)[] = [];

  constructor() {
    const registers = [this.registry];
    this.#events = new Counter({
      name: "shoal_events_total",
      help: "Events since the start",
      labelNames: ["level", "tag"],
      registers,
    });
    this.#firstToken = new Histogram({
      name: "shoal_session_first_token_seconds",
      help: "From a request to its first token",
      buckets: SECONDS_BUCKETS,
      registers,
    });
    this.#duration = new Histogram({
      name: "shoal_session_seconds",
      help: "From a request to its end",
      labelNames: ["state"],
      buckets: SECONDS_BUCKETS,
      registers,
    });
  }

  /** For the host's libp2p, whose metrics go into this registry. */
  libp2p(): Libp2pMetrics {
    const init: Partial<PrometheusMetricsInit> = {
      registry: this.registry,
      collectDefaultMetrics: false,
      preserveExistingMetrics: true,
    };
    return prometheusMetrics(init);
  }

  /** Begins to read the role's state, when metrics are asked for. */
  start(status: () => NodeStatus): void {
    collectProcessMetrics(this.registry);
    this.#read = GAUGES.map(
      (metric): Gauge | Counter =>
        new Gauge({
          ...described(metric, this.registry),
          collect() {
            this.reset();
            for (const [value, labels = {}] of metric.of(status()))
              this.set(labels, value);
          },
        }),
    );
    const counters = COUNTERS.map(
      (metric) =>
        new Counter({
          ...described(metric, this.registry),
          collect() {
            this.reset();
            for (const [value, labels = {}] of metric.of(status()))
              this.inc(labels, value);
          },
        }),
    );
    this.#read.push(...counters);
  }

  onEvent({ level, tag }: ShoalEvent): void {
    this.#events.inc({ level, tag });
  }

  onSession(session: SessionStatus): void {
    const { timeToFirstTokenMs, startedMs, endedMs, state } = session;
    if (timeToFirstTokenMs !== null)
      this.#firstToken.observe(timeToFirstTokenMs / 1000);
    if (endedMs !== null)
      this.#duration.observe({ state }, (endedMs - startedMs) / 1000);
  }

  async text(): Promise<string> {
    return await this.registry.metrics();
  }

  get contentType(): string {
    return this.registry.contentType;
  }

  stop(): void {
    this.#read = [];
    this.registry.clear();
  }
}

/**
 * prom-client's own, without the distribution of the event loop's delay: measuring it wakes the process up 100 times a second, which took
 * half of an idle node's CPU time (docs/BENCHMARKS.md). The delay at a scrape is included.
 */
function collectProcessMetrics(register: Registry): void {
  const eventLoopMonitoringPrecision = 24 * 3_600_000;
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision });
  for (const figure of ["min", "max", "mean", "stddev", "p50", "p90", "p99"])
    register.removeSingleMetric(`nodejs_eventloop_lag_${figure}_seconds`);
}

function described(
  { name, help, labels = [] }: Metric,
  registry: Registry,
): { name: string; help: string; labelNames: string[]; registers: Registry[] } {
  return { name, help, labelNames: [...labels], registers: [registry] };
}

function countBy<T>(
  items: readonly T[],
  labels: (item: T) => Labels,
): Sample[] {
  const groups = Map.groupBy(items, (item) => JSON.stringify(labels(item)));
  return [...groups].map(([key, group]) => [
    group.length,
    JSON.parse(key) as Labels,
  ]);
}
