/**
 * A cluster in virtual time: the real gossip, records, mesh, view, placement and take-over of each node, without sockets and signatures.
 * Only their surroundings are simulated: delays, losses, when a dead connection is noticed, how long a shard takes to download and load.
 */
import { LINKS } from "../../src/cluster/announcement.ts";
import type { NodeState } from "../../src/status/index.ts";
import { type Announcement, ANNOUNCEMENT } from "../../src/cluster/index.ts";
import {
  takeOvers,
  type CoverageHistory,
  NO_HISTORY,
  observeCoverage,
  shouldGiveBack,
  placeShard,
  shouldYield,
  type PlanShard,
} from "../../src/placement/index.ts";
import { estimateBytes } from "../../src/cluster/gossip-wire.ts";
import { Gossip } from "../../src/cluster/gossip.ts";
import type { GossipMessage } from "../../src/cluster/gossip-message.ts";
import { neighboursToDial } from "../../src/cluster/mesh.ts";
import {
  after,
  ClusterRecords,
  digestOf,
  type HolderRecord,
  numberOf,
} from "../../src/cluster/records.ts";
import { RENEWAL } from "../../src/cluster/renewal.ts";
import { Refusals } from "../../src/cluster/refusals.ts";
import { clusterView } from "../../src/cluster/view.ts";
import { Random } from "./random.ts";

export interface SimulationOptions {
  nodes: number;
  shards: number;
  /** Virtual time that is measured, after the start has settled. */
  minutes: number;
  /** Of the nodes, that leave and that join in a minute. Half of those that leave crash. */
  churnPerMinute: number;
  delayMs: readonly [least: number, most: number];
  /** Messages that never arrive. */
  loss: number;
  seed: number;
  /** Bytes of a sealed record on the wire, whole and as the difference from another. */
  recordBytes: { whole: number; change: number };
  /** Of nodes, whose load changes in a minute so much that they tell it. */
  loadChangesPerMinute?: number;
}

export interface Quantiles {
  count: number;
  p50: number;
  p99: number;
  max: number;
}

export interface SimulationResult {
  crashNoticedMs: Quantiles;
  readySeenMs: Quantiles;
  /** Living nodes that never noticed, of all that should have. */
  missed: number;
  /** Times that a living holder was dropped by somebody. */
  falseDrops: number;
  messagesPerNodeMinute: number;
  bytesPerNodeMinute: number;
  neighboursPerNode: number;
  /** Fraction of time: a shard covered, on average; the pipeline ready. */
  coverage: number;
  ready: number;
  /** Of sampled views those that say what is true of readiness. */
  viewsRight: number;
  joins: number;
  crashes: number;
  goodbyes: number;
  refused: number;
}

const START_MS = 1_800_000_000_000;
const SETTLE_MS = 40_000;
const TICK_MS = 250;
const MESH_MS = 3_000;
const EXPIRE_MS = 5_000;
/** QUIC's idle time-out is 2.75 s after the last packet, or after the keep-alive that follows it within a second. */
const NOTICE_MS = [2_750, 3_750] as const;
const DOWNLOAD_MS = [5_000, 30_000] as const;
const LOAD_MS = 2_000;
const LAYERS_PER_SHARD = 1;
/** Nobody signs here. */
const NOBODY = { record: "", signature: "" };
const NO_VALUE = new Uint8Array(RENEWAL.valueBytes);
const GiB = 1024 ** 3;
const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

interface Shard {
  plan: PlanShard;
  state: NodeState;
  takenOver: boolean;
  record: HolderRecord | undefined;
}

interface SimNode {
  peer: string;
  records: ClusterRecords;
  gossip: Gossip;
  shards: Map<number, Shard>;
  links: Set<SimNode>;
  alive: boolean;
  history: CoverageHistory;
  seq: number;
}

interface Crash {
  atMs: number;
  /** Who should notice, and has not. */
  waiting: Set<SimNode>;
}

export class Simulation {
  readonly #options: SimulationOptions;
  readonly #random: Random;
  readonly #queue = new Queue();
  readonly #nodes = new Map<string, SimNode>();
  readonly #plan: PlanShard[];
  readonly #refusals = new Refusals();
  readonly #crashes = new Map<string, Crash>();
  readonly #loads = new Map<HolderRecord, Crash>();
  readonly #crashNoticed: number[] = [];
  readonly #readySeen: number[] = [];
  #nowMs = START_MS;
  #measuring = false;
  #missed = 0;
  #falseDrops = 0;
  #messages = 0;
  #bytes = 0;
  #nodeSeconds = 0;
  #neighbours = 0;
  #covered = 0;
  #readySeconds = 0;
  #seconds = 0;
  #views = 0;
  #viewsRight = 0;
  #joins = 0;
  #crashed = 0;
  #goodbyes = 0;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#random = new Random(options.seed, "swarm");
    this.#plan = Array.from({ length: options.shards }, (_, index) => ({
      index,
      layerStart: index * LAYERS_PER_SHARD,
      layerEnd: (index + 1) * LAYERS_PER_SHARD,
      weightBytes: GiB,
      kvBytesPerToken: 4096,
      stateBytesPerSession: 0,
      copiedBytes: 0,
      compute: { rowBytes: 65_536, cellBytes: 4, sequenceBytes: 0 },
    }));
  }

  run(): SimulationResult {
    const { nodes, shards, minutes, churnPerMinute } = this.#options;
    // All are there at once, with a shard each, and know each other: how a swarm starts is another question.
    const first = Array.from({ length: nodes }, () => this.#addNode());
    for (const [i, node] of first.entries()) {
      const plan = this.#plan[i % shards];
      if (plan === undefined) continue;
      this.#hold(node, plan, false).state = "ready";
      this.#seal(node, plan.index);
    }
    for (const node of first)
      for (const other of first)
        if (other !== node)
          for (const { record } of other.shards.values())
            if (record !== undefined) node.records.put(record, this.#nowMs);
    for (const node of first) this.#startTimers(node);
    this.#at(SETTLE_MS, () => {
      this.#measuring = true;
      this.#everySecond();
      const perMinute = nodes * churnPerMinute;
      if (perMinute > 0) this.#churn(60_000 / perMinute);
    });
    this.#queue.runUntil(START_MS + SETTLE_MS + minutes * 60_000, (atMs) => {
      this.#nowMs = atMs;
    });
    // What happened in the last 10 s may still be on its way.
    for (const { atMs, waiting } of [
      ...this.#crashes.values(),
      ...this.#loads.values(),
    ])
      if (atMs < this.#nowMs - 10_000)
        for (const node of waiting) if (node.alive) this.#missed++;
    return this.#result();
  }

  #addNode(): SimNode {
    const peer = `12D3KooW${Array.from({ length: 44 }, () => BASE58[this.#random.below(58)]).join("")}`;
    const records = new ClusterRecords();
    const shards = new Map<number, Shard>();
    const node: SimNode = {
      peer,
      records,
      shards,
      links: new Set(),
      alive: true,
      history: NO_HISTORY,
      seq: this.#nowMs,
      gossip: new Gossip({
        self: peer,
        records,
        refusals: this.#refusals,
        own: () => ownRecords(node),
        isWitness: () => shards.size > 0,
        mayAccuse: (other) => records.of(other).length > 0,
        random: () => this.#fraction(),
        proves: () => true,
      }),
    };
    this.#nodes.set(peer, node);
    return node;
  }

  #startTimers(node: SimNode): void {
    const every = (ms: number, fn: () => void): void => {
      const again = (): void => {
        if (!node.alive) return;
        fn();
        this.#at(ms * (0.9 + this.#fraction() / 10), again);
      };
      this.#at(ms * this.#fraction(), again);
    };
    every(TICK_MS, () => {
      const before = node.records.size;
      node.gossip.tick(this.#nowMs);
      if (node.records.size !== before) this.#afterDrop(node);
      this.#flush(node);
    });
    every(ANNOUNCEMENT.renewMs, () => {
      for (const index of node.shards.keys()) this.#again(node, index);
      this.#flush(node);
    });
    every(MESH_MS, () => this.#mesh(node));
    every(EXPIRE_MS, () => {
      node.records.expire(this.#nowMs);
      this.#takeOver(node);
    });
  }

  #mesh(node: SimNode): void {
    const peers = node.records
      .list(this.#nowMs)
      .map(({ announcement }) => announcement.peer);
    const dial = neighboursToDial(
      node.peer,
      peers,
      (peer) => node.gossip.has(peer),
      () => this.#fraction(),
    );
    for (const peer of dial) this.#connect(node, peer);
  }

  /** A dial takes two round trips; one to a dead node fails. */
  #connect(from: SimNode, peer: string): void {
    this.#at(4 * this.#delay(), () => {
      const to = this.#nodes.get(peer);
      if (to === undefined || !from.alive || !to.alive) return;
      if (from.links.has(to)) return;
      from.links.add(to);
      to.links.add(from);
      for (const [a, b] of [
        [from, to],
        [to, from],
      ] as const) {
        a.gossip.connected(b.peer, this.#nowMs);
        this.#flush(a);
      }
    });
  }

  #flush(node: SimNode): void {
    for (const { to, message } of node.gossip.drain()) {
      if (this.#measuring) {
        this.#messages++;
        this.#bytes += estimateBytes(message, this.#options.recordBytes);
      }
      if (this.#fraction() < this.#options.loss) continue;
      this.#at(this.#delay(), () => {
        const target = this.#nodes.get(to);
        if (target?.alive === true && target.links.has(node))
          this.#deliver(target, node.peer, message);
      });
    }
  }

  #deliver(node: SimNode, from: string, message: GossipMessage): void {
    const late = [...message.news];
    for (const record of [...message.records, ...message.changes]) {
      const { announcement } = record;
      if (announcement.peer === node.peer) continue;
      const digest = digestOf(record);
      const base = node.records.get(digest.id)?.announcement.seq;
      if (message.changes.includes(record) && base !== record.previous?.seq) {
        late.push(digest);
        continue;
      }
      const outcome = node.records.put(record, this.#nowMs);
      node.gossip.learned(record, outcome, from, this.#nowMs, true);
      if (outcome === "stale" || outcome === "full") continue;
      if (announcement.state === "gone") node.records.expire(this.#nowMs);
      else this.#linkIfConnected(node, announcement.peer);
      this.#seen(node, record);
    }
    node.gossip.receive(from, { ...message, news: late }, this.#nowMs);
    const above = node.gossip.takeRefutation();
    node.seq = Math.max(node.seq, above ?? 0);
    if (above !== undefined)
      for (const index of node.shards.keys()) this.#announce(node, index, true);
    this.#flush(node);
  }

  /** Who was dropped and is back is a neighbour again, if the connection held. */
  #linkIfConnected(node: SimNode, peer: string): void {
    const other = this.#nodes.get(peer);
    if (other !== undefined && node.links.has(other))
      node.gossip.connected(peer, this.#nowMs);
  }

  #hold(node: SimNode, plan: PlanShard, takenOver: boolean): Shard {
    const shard: Shard = {
      plan,
      state: "downloading",
      takenOver,
      record: undefined,
    };
    node.shards.set(plan.index, shard);
    return shard;
  }

  #seal(node: SimNode, index: number): HolderRecord | undefined {
    const shard = node.shards.get(index);
    if (shard === undefined) return undefined;
    node.seq = Math.max(node.seq + 1, this.#nowMs);
    const sealed = {
      announcement: this.#announcement(node, shard),
      sealed: NOBODY,
      bornMs: this.#nowMs,
    };
    shard.record = after(sealed, shard.record);
    return shard.record;
  }

  /** Renews it, or tells another load. */
  #again(node: SimNode, index: number): void {
    const shard = node.shards.get(index);
    const { loadChangesPerMinute = 0 } = this.#options;
    const changes =
      (loadChangesPerMinute * ANNOUNCEMENT.renewMs) / 60_000 > this.#fraction();
    const step = (shard?.record?.renewed?.step ?? 0) + 1;
    if (shard?.record === undefined || changes || step > RENEWAL.steps) {
      this.#announce(node, index);
      return;
    }
    const { digest: _, ...record } = shard.record;
    const renewed = { step, value: NO_VALUE };
    shard.record = { ...record, renewed, bornMs: this.#nowMs };
    node.seq = Math.max(node.seq, numberOf(shard.record));
    node.gossip.renewed(shard.record);
  }

  #announcement(
    node: SimNode,
    { plan, state, takenOver }: Shard,
  ): Announcement {
    return {
      v: 2,
      cluster: "simulated",
      peer: node.peer,
      manifest: "model",
      model: "model",
      layerCount: this.#plan.length * LAYERS_PER_SHARD,
      layerStart: plan.layerStart,
      layerEnd: plan.layerEnd,
      shard: { index: plan.index, count: this.#plan.length },
      state,
      contextLength: 4096,
      batchTokens: 128,
      sessions: { active: 0, max: 4 },
      capacity: {
        memoryBytes: 8 * GiB,
        freeMemoryBytes: (8 - 2 * node.shards.size) * GiB,
        threads: 4,
      },
      takenOver,
      links: [...node.links]
        .slice(0, LINKS.max)
        .map((other) => other.peer.slice(-LINKS.characters)),
      // As long as they get.
      roundTrips: [...node.links]
        .slice(0, LINKS.max)
        .map(() => LINKS.maxRoundTrip),
      addresses: [],
      version: "0",
      renewal: NO_VALUE,
      seq: node.seq,
      issuedMs: this.#nowMs,
      ttlMs: ANNOUNCEMENT.ttlMs,
    };
  }

  #announce(node: SimNode, index: number, isNews = false): void {
    const record = this.#seal(node, index);
    if (record !== undefined)
      node.gossip.announced(record, isNews, this.#nowMs);
  }

  #enter(node: SimNode, index: number, state: NodeState): void {
    const shard = node.shards.get(index);
    if (!node.alive || shard === undefined) return;
    shard.state = state;
    this.#announce(node, index, true);
    if (state === "ready" && shard.record !== undefined && this.#measuring) {
      const waiting = new Set(this.#living().filter((other) => other !== node));
      this.#loads.set(shard.record, { atMs: this.#nowMs, waiting });
    }
    this.#flush(node);
  }

  #fetch(node: SimNode, plan: PlanShard, takenOver = false): void {
    const shard = this.#hold(node, plan, takenOver);
    const { index } = plan;
    const still = (fn: () => void) => (): void => {
      if (node.alive && node.shards.get(index) === shard) fn();
    };
    this.#enter(node, index, "downloading");
    const downloadMs = this.#between(DOWNLOAD_MS);
    this.#at(
      downloadMs,
      still(() => this.#enter(node, index, "loading")),
    );
    this.#at(
      downloadMs + LOAD_MS,
      still(() => this.#enter(node, index, "ready")),
    );
    // Two that came at once: one goes elsewhere.
    this.#at(
      1_000,
      still(() => {
        if (takenOver) return;
        const other = shouldYield({ ...this.#swarm(node), peer: node.peer });
        if (other === undefined) return;
        this.#release(node, index);
        this.#fetch(node, other.shard);
      }),
    );
  }

  #release(node: SimNode, index: number): void {
    const shard = node.shards.get(index);
    if (shard === undefined) return;
    shard.state = "gone";
    this.#announce(node, index, true);
    node.shards.delete(index);
    this.#flush(node);
  }

  /** As a node does when its view changes; only where the plan has a gap, or had one, or this node stepped in. */
  #takeOver(node: SimNode): void {
    const records = [...node.records.list(this.#nowMs), ...ownRecords(node)];
    const held = new Set(records.map((r) => r.announcement.shard.index));
    const takenOver = [...node.shards.values()].filter((s) => s.takenOver);
    const { history } = node;
    const isCalm =
      held.size === this.#plan.length &&
      history.uncoveredSinceMs.size === 0 &&
      takenOver.length === 0;
    if (isCalm) return;
    const swarm = { ...this.#swarm(node), nowMs: this.#nowMs };
    node.history = observeCoverage(history, swarm);
    const input = { ...swarm, history: node.history };
    for (const { plan } of takenOver)
      if (
        shouldGiveBack({
          ...input,
          peer: node.peer,
          shard: plan,
          standby: false,
        })
      )
        this.#release(node, plan.index);
    const mine = takeOvers(input).find(({ peer }) => peer === node.peer);
    if (mine !== undefined) this.#fetch(node, mine.shard, true);
  }

  #swarm(node: SimNode): {
    manifest: string;
    shards: readonly PlanShard[];
    announcements: Announcement[];
    contextLength: number;
    sessions: number;
  } {
    const records = [...node.records.list(this.#nowMs), ...ownRecords(node)];
    return {
      manifest: "model",
      shards: this.#plan,
      announcements: records.map(({ announcement }) => announcement),
      contextLength: 4096,
      sessions: 4,
    };
  }

  #churn(everyMs: number): void {
    this.#at(everyMs * (0.5 + this.#fraction()), () => {
      this.#leaveOne();
      this.#joinOne();
      this.#churn(everyMs);
    });
  }

  #leaveOne(): void {
    const living = this.#living();
    const node = living[this.#random.below(living.length)];
    if (node === undefined || living.length < 3) return;
    const crashes = this.#fraction() < 0.5;
    if (crashes) this.#crash(node);
    else {
      this.#goodbyes++;
      for (const index of node.shards.keys()) this.#release(node, index);
      this.#at(200, () => this.#cut(node, [0, 50]));
    }
  }

  #crash(node: SimNode): void {
    this.#crashed++;
    const waiting = new Set(
      this.#living().filter((n) => n.records.of(node.peer).length > 0),
    );
    waiting.delete(node);
    this.#crashes.set(node.peer, { atMs: this.#nowMs, waiting });
    this.#cut(node, NOTICE_MS);
  }

  #cut(node: SimNode, noticeMs: readonly [number, number]): void {
    node.alive = false;
    this.#nodes.delete(node.peer);
    for (const other of node.links) {
      this.#at(this.#between(noticeMs), () => {
        other.links.delete(node);
        if (!other.alive) return;
        if (other.gossip.disconnected(node.peer, this.#nowMs))
          this.#afterDrop(other);
        this.#flush(other);
      });
    }
    node.links.clear();
  }

  /** It knows one living member, asks it who is there, and takes a shard. */
  #joinOne(): void {
    const living = this.#living().filter((n) => n.shards.size > 0);
    const through = living[this.#random.below(living.length)];
    if (through === undefined) return;
    this.#joins++;
    const node = this.#addNode();
    this.#at(4 * this.#delay(), () => {
      const records = [
        ...through.records.list(this.#nowMs),
        ...ownRecords(through),
      ];
      for (const record of records) node.records.put(record, this.#nowMs);
      if (this.#measuring)
        this.#bytes += records.length * this.#options.recordBytes.whole;
      this.#connect(node, through.peer);
      this.#startTimers(node);
      const capacity = { freeMemoryBytes: 8 * GiB };
      const swarm = this.#swarm(node);
      const placed = placeShard({ ...swarm, peer: node.peer, capacity });
      if (placed.shard !== undefined) this.#fetch(node, placed.shard);
    });
  }

  #seen(node: SimNode, record: HolderRecord): void {
    const load = this.#loads.get(record);
    if (load?.waiting.delete(node) === true) {
      this.#readySeen.push(this.#nowMs - load.atMs);
      return;
    }
    // A newer record of the same holder says the same.
    const { peer, shard } = record.announcement;
    for (const [loaded, { atMs, waiting }] of this.#loads) {
      const a = loaded.announcement;
      if (a.peer !== peer || a.shard.index !== shard.index) continue;
      if (waiting.delete(node)) this.#readySeen.push(this.#nowMs - atMs);
    }
  }

  #afterDrop(node: SimNode): void {
    for (const [peer, { atMs, waiting }] of this.#crashes)
      if (waiting.has(node) && node.records.of(peer).length === 0) {
        waiting.delete(node);
        this.#crashNoticed.push(this.#nowMs - atMs);
      }
    for (const other of this.#nodes.values())
      for (const record of ownRecords(other)) {
        const grave = node.records.grave(digestOf(record).id);
        if (grave !== undefined && grave.goodbye === undefined)
          this.#falseDrops++;
      }
  }

  #everySecond(): void {
    const living = this.#living();
    const covered = new Set<number>();
    for (const { shards } of living)
      for (const { plan, state } of shards.values())
        if (state === "ready") covered.add(plan.index);
    const ready = covered.size === this.#plan.length;
    this.#seconds++;
    this.#nodeSeconds += living.length;
    this.#neighbours += living.reduce((sum, n) => sum + n.links.size, 0);
    this.#covered += covered.size / this.#plan.length;
    if (ready) this.#readySeconds++;
    for (let i = 0; i < 3; i++) {
      const node = living[this.#random.below(living.length)];
      if (node === undefined) continue;
      const { announcements } = this.#swarm(node);
      this.#views++;
      if ((clusterView(announcements)?.ready ?? false) === ready)
        this.#viewsRight++;
    }
    for (const [key, { atMs }] of this.#crashes)
      if (atMs < this.#nowMs - 120_000 && isDone(this.#crashes, key))
        this.#crashes.delete(key);
    for (const [key] of this.#loads)
      if (isDone(this.#loads, key)) this.#loads.delete(key);
    this.#at(1_000, () => this.#everySecond());
  }

  #living(): SimNode[] {
    return [...this.#nodes.values()];
  }

  #result(): SimulationResult {
    const nodeMinutes = this.#nodeSeconds / 60;
    return {
      crashNoticedMs: quantiles(this.#crashNoticed),
      readySeenMs: quantiles(this.#readySeen),
      missed: this.#missed,
      falseDrops: this.#falseDrops,
      messagesPerNodeMinute: this.#messages / nodeMinutes,
      bytesPerNodeMinute: this.#bytes / nodeMinutes,
      neighboursPerNode: this.#neighbours / this.#nodeSeconds,
      coverage: this.#covered / this.#seconds,
      ready: this.#readySeconds / this.#seconds,
      viewsRight: this.#viewsRight / this.#views,
      joins: this.#joins,
      crashes: this.#crashed,
      goodbyes: this.#goodbyes,
      refused: Object.values(this.#refusals.toObject()).reduce(
        (a, b) => a + b,
        0,
      ),
    };
  }

  #at(inMs: number, fn: () => void): void {
    this.#queue.add(this.#nowMs + Math.round(inMs), fn);
  }

  #fraction(): number {
    return this.#random.next() / 2 ** 32;
  }

  #between([least, most]: readonly [number, number]): number {
    return least + this.#fraction() * (most - least);
  }

  #delay(): number {
    return this.#between(this.#options.delayMs);
  }
}

function isDone<K>(all: ReadonlyMap<K, Crash>, key: K): boolean {
  const waiting = all.get(key)?.waiting;
  if (waiting === undefined) return true;
  for (const node of waiting) if (!node.alive) waiting.delete(node);
  return waiting.size === 0;
}

function ownRecords(node: SimNode): HolderRecord[] {
  const all: HolderRecord[] = [];
  for (const { record } of node.shards.values())
    if (record !== undefined) all.push(record);
  return all;
}

function quantiles(values: number[]): Quantiles {
  const sorted = Float64Array.from(values).sort();
  const at = (q: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** What happens when: a binary heap by time, then by order of arrival. */
class Queue {
  readonly #heap: { atMs: number; order: number; fn: () => void }[] = [];
  #order = 0;

  add(atMs: number, fn: () => void): void {
    const heap = this.#heap;
    const item = { atMs, order: this.#order++, fn };
    let i = heap.length;
    heap.push(item);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent]!;
      if (!isBefore(item, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = item;
  }

  runUntil(endMs: number, onTime: (atMs: number) => void): void {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > endMs) return;
      this.#pop();
      onTime(next.atMs);
      next.fn();
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      const left = heap[child];
      const right = heap[child + 1];
      if (left === undefined) break;
      if (right !== undefined && isBefore(right, left)) child++;
      const least = heap[child]!;
      if (!isBefore(least, last)) break;
      heap[i] = least;
      i = child;
    }
    heap[i] = last;
  }
}

function isBefore(
  a: { atMs: number; order: number },
  b: { atMs: number; order: number },
): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
