/**
 * The gateway's backend: the cluster's model, through the pipeline of its current holders. It learns the model from the members'
 * announcements and its tokenizer from the metadata part.
 */
import type {
  Announcement,
  ClusterView,
  Membership,
} from "../cluster/index.ts";
import type {
  Arrival,
  Backend,
  GeneratedToken,
  GenerateRequest,
  ModelNames,
  ServedModel,
} from "./backend.ts";
import { Changes } from "./changes.ts";
import { abortOnceGone } from "./gone.ts";
import { Pipeline } from "./pipeline.ts";
import { hasRoute, type RoutePlan } from "../routing/index.ts";
import { type Candidate, capacityOf, OwnSessions } from "./holders.ts";
import type { SessionEntry, SessionLog } from "./session-log.ts";
import {
  type ComputeMode,
  computeModeOf,
  type EventSink,
  ShoalError,
  steadyClock,
  systemClock,
} from "../lib/index.ts";
import type { Commands, Host } from "../network/index.ts";
import { Admission } from "./admission.ts";
import { holdersFor, longestContext } from "./contexts.ts";
import { kindsOf, otherKind } from "./computed-by.ts";
import { newSessionId } from "./gateway-session.ts";
import { HandOver, movesOf, takenBy } from "./hand-over.ts";
import { systemFingerprint } from "./fingerprint.ts";
import { KeptRoutes, MOST_SLOWER, planAlong } from "./kept-routes.ts";
import { type Loaded, ModelLoader } from "./loaded-model.ts";
import { Recovery, RECOVERY_DEFAULTS } from "./recovery.ts";
import { AvoidedPeers } from "./reroute.ts";
import { awaited, notReady } from "./readiness.ts";
import { READY_DEFAULTS, WaitingRoom } from "./waiting-room.ts";

export interface SwarmBackendOptions {
  host: Host;
  commands: Commands;
  membership: Membership;
  events: EventSink;
  /** Where models' metadata is kept. */
  dataDir: string;
  /** Records each request. */
  sessions: SessionLog;
  /** From a stage's loss to the next token; default: RECOVERY_DEFAULTS. */
  recoveryTimeoutMs?: number | undefined;
  /** From a request's arrival to its first route, while the cluster is not ready; default: READY_DEFAULTS. */
  readyTimeoutMs?: number | undefined;
}

type Plan = RoutePlan<Candidate>;

/** What a session goes on from. */
interface Known {
  loaded: Loaded;
  generated: readonly number[];
  /** What the last one came with. */
  mu: number | undefined;
  /** The route that it would take without these peers. */
  next: (leaving: ReadonlySet<string>) => Plan | undefined;
}

export class SwarmBackend implements Backend {
  #options: SwarmBackendOptions;
  #pipeline: Pipeline;
  #admission = new Admission();
  #shunned = new AvoidedPeers(steadyClock);
  #own = new OwnSessions();
  #keptRoutes = new KeptRoutes();
  #changes = new Changes();
  #waitingRoom: WaitingRoom;
  #readyTimeoutMs: number;
  #view: ClusterView | undefined;
  readonly #model: ModelLoader;
  #unsubscribe: (() => void) | undefined;
  #onReady: (ready: boolean) => void;

  constructor(
    options: SwarmBackendOptions,
    onReady: (ready: boolean) => void = () => {},
  ) {
    this.#options = options;
    this.#pipeline = new Pipeline(options.host);
    this.#readyTimeoutMs = options.readyTimeoutMs ?? READY_DEFAULTS.timeoutMs;
    this.#waitingRoom = new WaitingRoom({
      clock: systemClock,
      timeoutMs: this.#readyTimeoutMs,
      admission: this.#admission,
      changes: this.#changes,
      sessions: options.sessions,
    });
    this.#onReady = onReady;
    this.#model = new ModelLoader({
      ...options,
      holders: () => this.#holders(),
      onChange: () => this.#tell(),
    });
  }

  start(): void {
    this.#unsubscribe = this.#options.membership.onChange((view) => {
      this.#view = view;
      if (view !== undefined && view.complete)
        void this.#model.load(view.manifest);
      this.#tell();
    });
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    await this.#pipeline.stop();
    await this.#model.stop();
  }

  each(): readonly Backend[] {
    return [this];
  }

  names(): ModelNames {
    const { loaded } = this.#model;
    const { cluster } = this.#options.membership;
    const published = this.#options.membership.published();
    return {
      cluster,
      model: loaded?.name ?? (this.#view ?? published)?.model,
      manifest: loaded?.manifest ?? (this.#view ?? published)?.manifest,
    };
  }

  notReady(): ShoalError | undefined {
    if (this.#view?.ready !== true) return notReady(this.#view);
    return this.#model.missing(this.#view.manifest);
  }

  async whenReady<T extends object>(
    find: () => T | ShoalError,
    arrival: Arrival,
  ): Promise<T> {
    return await this.#waitingRoom.until(find, arrival);
  }

  model(): ServedModel | undefined {
    const { loaded } = this.#model;
    if (loaded === undefined) return undefined;
    const { tokenizer } = loaded;
    return {
      id: loaded.name,
      manifestId: loaded.manifest,
      createdMs: loaded.createdMs,
      fingerprint: systemFingerprint({
        manifest: loaded.manifest,
        ...this.#mode(),
        engines: this.#holders().map((a) => a.engine),
      }),
      contextLength: Math.min(
        loaded.modelContext,
        longestContext(
          this.#holders(),
          this.#view?.layerCount ?? 0,
          loaded.isOneContext,
        ) || loaded.modelContext,
      ),
      chatTemplate: loaded.chatTemplate,
      namedTemplates: loaded.namedTemplates,
      facts: loaded.facts,
      tokenizer,
      generate: (request) => this.#generate(loaded, request),
    };
  }

  async *#generate(
    loaded: Loaded,
    request: GenerateRequest,
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const { requestId, tokens, signal } = request;
    const entry = this.#options.sessions.begin(
      requestId,
      tokens.length,
      request,
    );
    request.onSession?.(() => entry.status());
    try {
      const capacity = capacityOf(this.#holders());
      const inTurn = this.#admission.run(capacity, request, () =>
        this.#alongSomeRoute(loaded, request, entry),
      );
      for await (const token of inTurn) {
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

  /** A lost session goes on elsewhere: what was generated is computed again there, and no token is given twice. */
  async *#alongSomeRoute(
    loaded: Loaded,
    request: GenerateRequest,
    entry: SessionEntry,
  ): AsyncGenerator<GeneratedToken, void, undefined> {
    const length = request.tokens.length + request.maxTokens;
    const around = (avoided: ReadonlySet<string>): Candidate[][] =>
      this.#candidates(length, loaded.isOneContext, avoided);
    const recovery = new Recovery({
      clock: steadyClock,
      timeoutMs: this.#options.recoveryTimeoutMs ?? RECOVERY_DEFAULTS.timeoutMs,
      firstRouteByMs:
        steadyClock.now() +
        (request.arrivedMs + this.#readyTimeoutMs - systemClock.now()),
      events: this.#options.events,
      signal: request.signal,
      shunned: this.#shunned,
      hasRoute: (avoided) => {
        const { layerCount = 0 } = this.#view ?? {};
        return around(avoided).some((group) => hasRoute(group, layerCount));
      },
      changed: (signal) => this.#changes.next(signal),
      onWaiting: (error, route) =>
        entry.waiting(awaited(this.notReady() ?? error, route)),
    });
    const generated: number[] = [];
    let mu: number | undefined;
    let kinds: (string | undefined)[] = [];
    // Stages keep nothing of what they embed, and take nothing over for it.
    let kept: ReadonlySet<string> =
      request.embeds === true
        ? new Set()
        : this.#keptRoutes.nodesWith(request.tokens);
    for (let failure: ShoalError | undefined; ;) {
      const { layerCount = 0 } = this.#view ?? {};
      const { begins, goesOn } = MOST_SLOWER;
      const plan = planAlong(
        around(recovery.avoided),
        layerCount,
        kept,
        generated.length === 0 ? begins : goesOn,
      );
      if (plan === undefined) {
        await recovery.after(failure ?? notReady(this.#view));
        continue;
      }
      const now = kindsOf(plan.stages, this.#holders());
      if (generated.length === 0) kinds = now;
      else this.#tellOther(kinds, now, entry);
      try {
        const next = (leaving: ReadonlySet<string>): Plan | undefined => {
          const peers = new Set(plan.stages.map(({ peer }) => peer));
          return planAlong(around(leaving), layerCount, peers, goesOn);
        };
        const known = { loaded, generated, mu, next };
        const along = this.#along(plan, request, known, entry);
        for await (const token of along) {
          recovery.progress();
          generated.push(token.token);
          ({ mu } = token);
          yield token;
        }
        return;
      } catch (error) {
        failure = ShoalError.from(error);
        kept = new Set([
          ...plan.stages.map(({ peer }) => peer),
          ...takenBy(failure),
        ]);
        await recovery.after(failure, plan.stages);
      }
    }
  }

  /** The same text is no longer promised. */
  #tellOther(
    before: readonly (string | undefined)[],
    after: readonly (string | undefined)[],
    entry: SessionEntry,
  ): void {
    const what = otherKind(before, after);
    if (what === undefined) return;
    entry.recomputed();
    const words = `a reply is computed by ${what}: from here on it may differ`;
    this.#options.events.warn("SESSION", words);
  }

  /** Groups of holders through which a session of `length` tokens may pass: the first with a route counts. */
  #candidates(
    length: number,
    isOneContext: boolean,
    avoided: ReadonlySet<string>,
  ): Candidate[][] {
    const holders = this.#holders().filter((a) => !avoided.has(a.peer));
    return holdersFor(holders, length, isOneContext).map((group) =>
      group.map((a) => this.#own.candidate(a, length)),
    );
  }

  #mode(): ComputeMode {
    return computeModeOf(this.#view ?? {});
  }

  async *#along(
    { stages, prediction }: Plan,
    { tokens, maxTokens, sampling, embeds, signal }: GenerateRequest,
    { loaded: { manifest }, generated, mu, next }: Known,
    entry: SessionEntry,
  ): AsyncGenerator<GeneratedToken & { mu?: number }, void, undefined> {
    const route = stages.map(({ peer, layerStart, layerEnd, addresses }) => ({
      peer,
      layerStart,
      layerEnd,
      addresses,
    }));
    entry.routed(route, prediction);
    const ended = this.#own.begin(route);
    const [gone, opened] = [new AbortController(), new AbortController()];
    void abortOnceGone(gone, route, {
      changes: this.#changes,
      view: () => this.#view,
      signal: opened.signal,
    });
    const session = newSessionId();
    using handOver = new HandOver({
      ...this.#options,
      manifest,
      session,
      moves: () =>
        embeds === true
          ? []
          : movesOf(route, this.#known(), (leaving) => next(leaving)?.stages),
      changed: (ending) => this.#changes.next(ending),
    });
    try {
      const replies = this.#pipeline.generate({
        session,
        manifest,
        route,
        tokens,
        generated: [...generated],
        maxTokens,
        sampling,
        embeds,
        mu,
        mode: this.#mode(),
        signal: AbortSignal.any([signal, gone.signal]),
        onResumed: (cachedTokens) => {
          opened.abort();
          entry.resumed(cachedTokens);
        },
        onTimes: (stage, times) => entry.stageTimes(stage, times),
      });
      for await (const token of replies) {
        yield token;
        if (token.finish === undefined) handOver.onToken();
      }
    } finally {
      opened.abort();
      ended();
      if (embeds !== true)
        this.#keptRoutes.note(
          Int32Array.from([...tokens, ...generated]),
          route,
        );
    }
  }

  /** Sessions that fit into the cluster at once; 0 while there is none. */
  maxSessions(): number {
    return capacityOf(this.#holders()).sessions;
  }

  #holders(): Announcement[] {
    return this.#known().filter((a) => a.state === "ready");
  }

  /** Holders in every state. */
  #known(): Announcement[] {
    return (this.#view?.shards ?? []).flatMap(({ holders }) => holders);
  }

  #tell(): void {
    this.#admission.resize(capacityOf(this.#holders()));
    this.#changes.tell();
    this.#onReady(this.notReady() === undefined);
  }
}
