/**
 * Keeps as many copies of a cluster's parts as its record wants: checks every few seconds who has what, copies rare parts to the spare disk
 * (catalog/plan-spare-copies.ts decides), and reports when the number of parts with too few copies changes.
 */
import type { ClusterRecord } from "../cluster/index.ts";
import {
  type EventSink,
  formatBytes,
  ShoalError,
  sleep,
} from "../lib/index.ts";
import type { Manifest } from "../model/index.ts";
import {
  type KnownPart,
  planSpareCopies,
  spareCost,
} from "../catalog/index.ts";
import { type Root, toRoot } from "../store/index.ts";
import type { SharedFiles } from "./shared-files.ts";
import { SpareFolder } from "./spare-folder.ts";

export interface SpareCopiesOptions {
  cluster: string;
  /** What the cluster serves; undefined while unknown. */
  record: () => ClusterRecord | undefined;
  files: Pick<SharedFiles, "endpoint" | "fetch" | "holds" | "listParts">;
  /** By its CID. */
  manifestOf: (id: string, signal: AbortSignal) => Promise<Manifest>;
  /** Whether this member has the part in its own shard, listed yet or not. */
  holds?: (part: string) => boolean;
  /** Undefined if it only watches. */
  spare?: SpareFolder | undefined;
  /** True once the spare folder was scanned after the start; a file that is still not shared then is damaged. */
  isIndexed?: () => boolean;
  /** Models that may be kept there; others are deleted. */
  wanted?: () => ReadonlySet<string>;
  events: EventSink;
  everyMs?: number;
  random?: () => number;
}

const SPARE_COPIES_DEFAULTS = Object.freeze({
  /** A lost copy is noticed within this time; each member with spare disk asks a rendezvous 12 times a minute. */
  everyMs: 5_000,
  /** Parts downloaded at once: others copy parts meanwhile, and the rarest come first. */
  atOnce: 2,
  /** The next check notices a lost holder. */
  unavailableMs: 20_000,
});

interface Model {
  id: string;
  manifest: Manifest;
  /** Ids of parts by their roots. */
  names: ReadonlyMap<Root, string>;
}

export class SpareCopies {
  readonly #options: SpareCopiesOptions;
  readonly #over = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #model: Model | undefined;
  #told: string | undefined;
  #warned: string | undefined;

  constructor(options: SpareCopiesOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#over.abort(new ShoalError("ABORTED", "the member stops"));
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#over;
    const { everyMs = SPARE_COPIES_DEFAULTS.everyMs, random = Math.random } =
      this.#options;
    while (!signal.aborted) {
      try {
        // While there is something to copy, each copy is followed by another check.
        while (await this.#look()) signal.throwIfAborted();
        this.#warned = undefined;
      } catch (error) {
        if (!signal.aborted) this.#warn(ShoalError.from(error));
      }
      // Not all at once, or all would copy the same.
      await sleep(everyMs * (0.75 + random() / 2), signal).catch(() => {});
    }
  }

  /** True if something was copied. */
  async #look(): Promise<boolean> {
    const { record, files, spare, wanted } = this.#options;
    const served = record();
    if (served === undefined) return false;
    const model = await this.#modelOf(served.manifest);
    const parts = await this.#parts(model);
    // The limit was lowered: models that nobody wants any more go first.
    if (spare !== undefined && wanted !== undefined && (await isOver(spare)))
      await spare.removeOthers(wanted());
    const here = (await spare?.parts(model.id)) ?? new Map<string, never>();
    const kept = new Set(
      parts
        .map(({ root }) => root)
        .filter((root) => here.has(model.names.get(root) ?? "")),
    );
    const plan = planSpareCopies({
      self: files.endpoint().peer,
      target: served.replication,
      parts,
      kept,
      freeBytes: (await spare?.freeBytes()) ?? 0,
      atOnce: spare === undefined ? 0 : SPARE_COPIES_DEFAULTS.atOnce,
    });
    this.#tell(model, plan.underTarget, served.replication);
    if (spare === undefined) return false;
    for (const root of await this.#makeRoom(spare, model, plan.drop))
      kept.delete(root);
    const isWhole = (root: Root): boolean | undefined =>
      here.get(model.names.get(root) ?? "")?.isWhole;
    const copy = async (roots: readonly Root[]): Promise<boolean> => {
      const came = await Promise.all(
        roots
          .slice(0, SPARE_COPIES_DEFAULTS.atOnce)
          .map((root) => this.#copy(spare, model, parts, root)),
      );
      return came.includes(true);
    };
    // Downloads of an earlier run come first, because their room is taken already.
    const begun = [...kept].filter((root) => isWhole(root) === false);
    if (begun.length > 0) return await copy(begun);
    // Complete but not shared: damaged meanwhile.
    const { isIndexed = () => false } = this.#options;
    const damaged = isIndexed()
      ? [...kept].filter((root) => isWhole(root) && !files.holds(root))
      : [];
    // The store finds it by itself, so no immediate scan is needed.
    if (damaged.length > 0) await copy(damaged);
    if (plan.copy.length === 0 && plan.underTarget.length > 0 && wanted)
      return (await spare.removeOthers(wanted())).length > 0;
    return await copy(plan.copy);
  }

  /** Returns the dropped ones: no more than necessary if others make room at the same time. */
  async #makeRoom(
    spare: SpareFolder,
    model: Model,
    roots: readonly Root[],
  ): Promise<Root[]> {
    const gone: Root[] = [];
    const wasOver = await isOver(spare);
    for (const root of roots) {
      if (wasOver && !(await isOver(spare))) break;
      await this.#drop(spare, model, root, wasOver);
      gone.push(root);
    }
    return gone;
  }

  async #modelOf(id: string): Promise<Model> {
    if (this.#model?.id === id) return this.#model;
    const manifest = await this.#options.manifestOf(id, this.#over.signal);
    const names = new Map(
      manifest.parts
        .filter((part) => SpareFolder.isSafe(part.id))
        .map((part) => [toRoot(part.root), part.id]),
    );
    this.#model = { id, manifest, names };
    return this.#model;
  }

  /** All parts of the model, including unlisted ones. */
  async #parts({ id, manifest, names }: Model): Promise<KnownPart[]> {
    const listed = await this.#options.files.listParts(id);
    const holders = new Map(listed.map((part) => [part.root, part.holders]));
    const { files, holds = () => false } = this.#options;
    const own = { peer: files.endpoint().peer, whole: true, spare: false };
    return manifest.parts
      .filter(({ root }) => names.has(toRoot(root)))
      .map((part) => {
        const root = toRoot(part.root);
        const known = holders.get(root) ?? [];
        const isTold = known.some(({ peer }) => peer === own.peer);
        return {
          root,
          sizeBytes: part.sizeBytes,
          holders: holds(part.id) && !isTold ? [...known, own] : known,
        };
      });
  }

  async #copy(
    spare: SpareFolder,
    model: Model,
    parts: readonly KnownPart[],
    root: Root,
  ): Promise<boolean> {
    const { events, files } = this.#options;
    const part = model.names.get(root) ?? "";
    const sizeBytes = parts.find((p) => p.root === root)?.sizeBytes ?? 0;
    const name = `${part} of ${model.manifest.name}`;
    const release = await spare.reserve(model.id, part, spareCost(sizeBytes));
    if (release === undefined) return false;
    try {
      await files.fetch({
        root,
        sizeBytes,
        path: spare.pathOf(model.id, part),
        name,
        kind: "part",
        manifest: model.id,
        unavailableMs: SPARE_COPIES_DEFAULTS.unavailableMs,
        reuseLocal: true,
        signal: this.#over.signal,
      });
      events.info("TORRENT", `keeping a spare copy of ${name}`, {
        root,
        size: formatBytes(sizeBytes),
        free: formatBytes(Math.max(0, await spare.freeBytes())),
      });
      return true;
    } catch (error) {
      if (!this.#over.signal.aborted) this.#warn(ShoalError.from(error));
      return false;
    } finally {
      release();
    }
  }

  async #drop(
    spare: SpareFolder,
    model: Model,
    root: Root,
    isOver: boolean,
  ): Promise<void> {
    const part = model.names.get(root) ?? "";
    await spare.remove(model.id, part);
    this.#options.events.info(
      "TORRENT",
      `removed ${part} of ${model.manifest.name}: ${isOver ? "the spare-disk limit was lowered" : "making room for rarer parts"}`,
      { root },
    );
  }

  /** On change. */
  #tell(model: Model, underTarget: readonly Root[], target: number): void {
    const names = underTarget.map((root) => model.names.get(root) ?? root);
    const said = `${model.id} ${target} ${names.toSorted().join(" ")}`;
    if (said === this.#told) return;
    this.#told = said;
    const count = names.length;
    const fields = {
      cluster: this.#options.cluster,
      model: model.manifest.name,
      target,
      underTarget: count,
      parts: names.slice(0, 16),
    };
    const { events } = this.#options;
    if (count === 0)
      events.info("TORRENT", `every part has ${target} copies`, fields);
    else
      events.warn(
        "TORRENT",
        `${count} ${count === 1 ? "part" : "parts"} under target`,
        fields,
      );
  }

  /** Once for each reason. */
  #warn({ code, message }: ShoalError): void {
    if (message === this.#warned) return;
    this.#warned = message;
    this.#options.events.warn("TORRENT", `spare copies wait: ${message}`, {
      cluster: this.#options.cluster,
      code,
    });
  }
}

async function isOver(spare: SpareFolder): Promise<boolean> {
  return (await spare.freeBytes()) < 0;
}
