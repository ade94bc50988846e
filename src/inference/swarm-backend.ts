/**
 * The gateway's backend: the cluster's model, through the pipeline of its current holders. It learns the model from the members'
 * announcements and its tokenizer from the metadata part.
 */
import { join } from "node:path";
import type {
  Announcement,
  ClusterView,
  Membership,
} from "../cluster/index.ts";
import { fetchParts, type ModelParts } from "../weights/index.ts";
import { ENGINE_DEFAULTS, Tokenizer } from "../engine/index.ts";
import type {
  Backend,
  GeneratedToken,
  GenerateRequest,
  ServedModel,
} from "./backend.ts";
import { readGguf } from "../gguf/index.ts";
import { Pipeline } from "./pipeline.ts";
import { type Candidate, planRoute } from "./route.ts";
import type { SessionEntry, SessionLog } from "./session-log.ts";
import {
  backoffMs,
  type EventSink,
  ShoalError,
  sleep,
  systemClock,
} from "../lib/index.ts";
import type { Commands, Host } from "../network/index.ts";
import { Admission } from "./admission.ts";
import { Reroutes, AvoidedPeers } from "./reroute.ts";
import { notReady } from "./readiness.ts";

export interface SwarmBackendOptions {
  host: Host;
  commands: Commands;
  membership: Membership;
  events: EventSink;
  /** Where models' metadata is kept. */
  dataDir: string;
  /** Records each request. */
  sessions: SessionLog;
}

interface Loaded {
  manifest: string;
  name: string;
  createdMs: number;
  modelContext: number;
  chatTemplate: string | undefined;
  tokenizer: Tokenizer;
}

export class SwarmBackend implements Backend {
  #options: SwarmBackendOptions;
  #pipeline: Pipeline;
  #admission = new Admission();
  #shunned = new AvoidedPeers(systemClock);
  #view: ClusterView | undefined;
  #loaded: Loaded | undefined;
  #loading: string | undefined;
  #loadError: ShoalError | undefined;
  #stopping = new AbortController();
  #unsubscribe: (() => void) | undefined;
  #onReady: (ready: boolean) => void;

  constructor(
    options: SwarmBackendOptions,
    onReady: (ready: boolean) => void = () => {},
  ) {
    this.#options = options;
    this.#pipeline = new Pipeline(options.host);
    this.#onReady = onReady;
  }

  start(): void {
    this.#unsubscribe = this.#options.membership.onChange((view) => {
      this.#view = view;
      if (view !== undefined && view.complete) void this.#load(view.manifest);
      this.#tell();
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#unsubscribe?.();
    await this.#pipeline.stop();
    await this.#loaded?.tokenizer.stop();
  }

  notReady(): ShoalError | undefined {
    if (this.#view?.ready !== true) return notReady(this.#view);
    if (this.#loaded?.manifest === this.#view.manifest) return undefined;
    return (
      this.#loadError ??
      new ShoalError(
        "SWARM_NOT_READY",
        "the model's vocabulary is being downloaded",
        { missingShards: [] },
      )
    );
  }

  model(): ServedModel | undefined {
    const loaded = this.#loaded;
    if (loaded === undefined) return undefined;
    const { tokenizer } = loaded;
    return {
      id: loaded.name,
      manifestId: loaded.manifest,
      createdMs: loaded.createdMs,
      contextLength: Math.min(
        loaded.modelContext,
        ...this.#holders().map((a) => a.contextLength),
      ),
      chatTemplate: loaded.chatTemplate,
      tokenizer,
      generate: (request) => this.#generate(loaded, request),
    };
  }

  async *#generate(
    loaded: Loaded,
    request: GenerateRequest,
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const { requestId, tokens, signal } = request;
    const entry = this.#options.sessions.begin(requestId, tokens.length);
    try {
      for await (const token of this.#run(loaded, request, entry)) {
        if (token.finish !== "stop") entry.token();
        if (token.finish !== undefined) entry.end();
        yield token;
      }
    } catch (error) {
      entry.end(error);
      throw error;
    } finally {
      // Returned before its end: the reader had enough (a stop string) or is gone.
      entry.end(signal.aborted ? signal.reason : undefined);
    }
  }

  async *#run(
    loaded: Loaded,
    request: GenerateRequest,
    entry: SessionEntry,
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const holders = this.#holders();
    const limit = Math.max(1, Math.min(...capacityPerLayer(holders)));
    const leave = await this.#admission.enter(limit, request.signal);
    try {
      yield* this.#alongSomeRoute(loaded, request, entry);
    } finally {
      leave();
    }
  }

  /** Until the first token, refusing and lost stages can be avoided. */
  async *#alongSomeRoute(
    loaded: Loaded,
    request: GenerateRequest,
    entry: SessionEntry,
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const detours = new Reroutes(
      (avoided) => this.#route(avoided) !== undefined,
      this.#shunned.list(),
    );
    for (let refusal: ShoalError | undefined; ;) {
      const route = this.#route(detours.avoided);
      if (route === undefined) throw refusal ?? notReady(this.#view);
      let begun = false;
      try {
        for await (const token of this.#along(loaded, route, request, entry)) {
          begun = true;
          yield token;
        }
        return;
      } catch (error) {
        if (begun || request.signal.aborted) throw error;
        refusal = ShoalError.from(error);
        const detour = detours.after(refusal, route);
        if (detour === undefined) throw error;
        const { peer, words } = detour;
        const what = `trying ${words}: ${refusal.message}`;
        const { code } = refusal;
        if (code === "STAGE_LOST" && detours.avoided.has(peer))
          this.#shunned.add(peer);
        this.#options.events.info("SESSION", what, { code, peer });
      }
    }
  }

  #route(avoided: ReadonlySet<string>): Candidate[] | undefined {
    const holders = this.#holders().filter((a) => !avoided.has(a.peer));
    return this.#view && routeOfOneContext(holders, this.#view.layerCount);
  }

  #along(
    { manifest }: Loaded,
    candidates: readonly Candidate[],
    { tokens, maxTokens, sampling, signal }: GenerateRequest,
    entry: SessionEntry,
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const chunkTokens = Math.min(
      ...this.#holders().map((a) => a.batchTokens),
      ENGINE_DEFAULTS.batchTokens,
    );
    const route = candidates.map(
      ({ peer, layerStart, layerEnd, addresses }) => ({
        peer,
        layerStart,
        layerEnd,
        addresses,
      }),
    );
    entry.routed(route);
    return this.#pipeline.generate({
      manifest,
      route,
      tokens,
      maxTokens,
      sampling,
      chunkTokens,
      signal,
      onTimes: (stage, times) => entry.stageTimes(stage, times),
    });
  }

  /** Sessions that fit into the cluster at once; 0 while there is none. */
  maxSessions(): number {
    const capacity = capacityPerLayer(this.#holders());
    return capacity.length === 0 ? 0 : Math.min(...capacity);
  }

  #holders(): Announcement[] {
    return (this.#view?.shards ?? []).flatMap((shard) =>
      shard.holders.filter((a) => a.state === "ready"),
    );
  }

  /** Downloads manifest and vocabulary of `manifest` until it has them or another model replaces it. */
  async #load(manifest: string): Promise<void> {
    if (this.#loaded?.manifest === manifest || this.#loading === manifest)
      return;
    this.#loading = manifest;
    const { commands, dataDir, events } = this.#options;
    const { signal } = this.#stopping;
    for (
      let attempt = 0;
      this.#loading === manifest && !signal.aborted;
      attempt++
    ) {
      try {
        const parts = await fetchParts(
          commands,
          manifest,
          this.#holders(),
          join(dataDir, "models", manifest),
        );
        const loaded = await openVocabulary(manifest, parts);
        const old = this.#loaded;
        this.#loaded = loaded;
        this.#loading = undefined;
        this.#loadError = undefined;
        if (signal.aborted) await loaded.tokenizer.stop();
        await old?.tokenizer.stop();
        events.info("API", `serving ${loaded.name}`, {
          model: manifest,
          vocabulary: loaded.tokenizer.vocabSize,
        });
        this.#tell();
        return;
      } catch (error) {
        const { code, message } = ShoalError.from(error);
        this.#loadError = new ShoalError(
          "SWARM_NOT_READY",
          `the model's vocabulary is not available yet: ${message}`,
          { cause: code },
        );
        events.warn("API", this.#loadError.message, { code });
        await sleep(backoffMs(attempt), signal).catch(() => {});
      }
    }
  }

  #tell(): void {
    this.#onReady(this.notReady() === undefined);
  }
}

async function openVocabulary(
  manifest: string,
  parts: ModelParts,
): Promise<Loaded> {
  const { metadata } = await readGguf(parts.metadataPath);
  const template = metadata.get("tokenizer.chat_template")?.value;
  return {
    manifest,
    name: parts.manifest.name,
    createdMs: Date.now(),
    modelContext: parts.manifest.contextLength,
    chatTemplate: typeof template === "string" ? template : undefined,
    tokenizer: await Tokenizer.load(parts.metadataPath),
  };
}

/** Sessions that fit at each layer range, its holders together. */
function capacityPerLayer(holders: readonly Announcement[]): number[] {
  const groups = Map.groupBy(holders, (a) => `${a.layerStart}-${a.layerEnd}`);
  return [...groups.values()].map((group) =>
    group.reduce((sum, a) => sum + a.sessions.max, 0),
  );
}

/**
 * The cheapest route whose stages all have the same context length, the longest there is: only then are models that choose their rope
 * factors by it (phi3, long-context llama) exact.
 */
function routeOfOneContext(
  holders: readonly Announcement[],
  layerCount: number,
): Candidate[] | undefined {
  const groups = [...Map.groupBy(holders, (a) => a.contextLength)];
  for (const [, group] of groups.sort(([a], [b]) => b - a)) {
    const route = planRoute(group.map(toCandidate), layerCount);
    if (route !== undefined) return route;
  }
  return undefined;
}

function toCandidate(a: Announcement): Candidate {
  const { peer, layerStart, layerEnd, addresses, sessions, msPerToken } = a;
  return {
    peer,
    layerStart,
    layerEnd,
    addresses,
    freeSessions: sessions.max - sessions.active,
    msPerToken,
  };
}
