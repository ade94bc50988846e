/**
 * A rendezvous as a permanent seed: it keeps copies of its clusters' parts, as a member with spare disk does, and the clusters' records,
 * also across restarts. A new node finds model and weights even if no member is left.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RendezvousService, Sealed } from "../cluster/index.ts";
import { type EventSink, ShoalError, moveFile } from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import type { CatalogService } from "../catalog/index.ts";
import type { Content } from "../store/index.ts";
import type { TransferStats, TransferThread } from "../transfer/index.ts";
import { fetchModel } from "./fetch-model.ts";
import { SharedFiles } from "./shared-files.ts";
import { SpareCopies } from "./spare-copies.ts";
import { CachedStats } from "./cached-stats.ts";
import { keepToOffer, SpareFolder } from "./spare-folder.ts";
import {
  indexLater,
  listingsOf,
  type TransferFlags,
  transferThread,
} from "./member-files.ts";

export interface RendezvousSeedOptions extends TransferFlags {
  /** The folder of the copies. */
  directory: string;
  limitBytes: number;
  /** The rendezvous' own. */
  listen: readonly string[];
  stateDir: string;
  peerId: string;
  service: RendezvousService;
  catalog: CatalogService;
  commands: Commands;
  events: EventSink;
}

/** Clusters kept at once: each costs a check every few seconds. */
const MAX_CLUSTERS = 100;
/** A newly published cluster is noticed within this time. */
const LOOK_MS = 2_000;

export class RendezvousSeed {
  readonly #options: RendezvousSeedOptions;
  readonly #transfer: TransferThread;
  readonly #spare: SpareFolder;
  readonly #clusters = new Map<string, () => Promise<void>>();
  readonly #recordsPath: string;
  readonly #modelsDir: string;
  readonly #stats = new CachedStats(() => this.#transfer.stats());
  #timer: NodeJS.Timeout | undefined;
  #isIndexed = false;
  #endKeeping: () => void = () => {};
  #saved = "";

  constructor(options: RendezvousSeedOptions) {
    this.#options = options;
    const { directory, limitBytes, stateDir, events } = options;
    this.#spare = new SpareFolder(join(directory, "parts"), limitBytes);
    this.#modelsDir = join(directory, "models");
    this.#recordsPath = join(stateDir, "seeded-clusters.json");
    this.#transfer = transferThread(
      {
        ...options,
        keyPath: join(stateDir, "rendezvous-transfer.key"),
        directories: [this.#spare.directory, this.#modelsDir],
      },
      events,
    );
  }

  /** What is here. */
  list(): Content[] {
    return this.#transfer.list();
  }

  /** Running transfers, as of a moment ago. */
  lastStats(): TransferStats | undefined {
    return this.#stats.get();
  }

  async start(): Promise<void> {
    const { service, events } = this.#options;
    await mkdir(this.#spare.directory, { recursive: true });
    await mkdir(this.#modelsDir, { recursive: true });
    for (const sealed of await this.#savedRecords()) {
      await service.keep(sealed).catch((error: unknown) => {
        const { code, message } = ShoalError.from(error);
        events.warn("CLUSTER", `a saved record was refused: ${message}`, {
          code,
        });
      });
    }
    await this.#transfer.start();
    indexLater(this.#transfer, events, () => {
      this.#isIndexed = true;
    });
    this.#endKeeping = keepToOffer(this.#spare, events);
    await this.#look();
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#endKeeping();
    await Promise.all([...this.#clusters.values()].map((stop) => stop()));
    await this.#transfer.stop();
  }

  async #look(): Promise<void> {
    const { service, events } = this.#options;
    const published = service.published();
    for (const { record } of published) {
      if (this.#clusters.size >= MAX_CLUSTERS) break;
      if (!this.#clusters.has(record.cluster)) this.#serve(record.cluster);
    }
    await this.#save(
      published.map(({ sealed }) => sealed).slice(0, MAX_CLUSTERS),
    ).catch((error: unknown) => {
      const { code, message } = ShoalError.from(error);
      events.warn("CLUSTER", `could not save the records: ${message}`, {
        code,
      });
    });
    this.#timer = setTimeout(() => void this.#look(), LOOK_MS);
  }

  #serve(cluster: string): void {
    const { service, catalog, commands, events, peerId } = this.#options;
    const transfer = this.#transfer;
    const record = () =>
      service.published().find((each) => each.record.cluster === cluster)
        ?.record;
    const local = catalog.local(cluster, {
      peer: peerId,
      endpoint: () => files.endpoint(),
      listings: () =>
        listingsOf(
          transfer
            .list()
            .filter(({ manifest }) => manifest === record()?.manifest),
          this.#spare.directory,
        ),
    });
    const files = new SharedFiles({ transfer, catalog: local, events });
    local.changed();
    const unsubscribe = transfer.onChange(() => local.changed());
    const copies = new SpareCopies({
      cluster,
      record,
      files,
      manifestOf: async (id, signal) => {
        const membership = { announcements: () => [], neighbours: () => [] };
        const directory = join(this.#modelsDir, id);
        const how = { commands, membership, files, signal };
        return (await fetchModel({ ...how, id, directory })).manifest;
      },
      spare: this.#spare,
      isIndexed: () => this.#isIndexed,
      wanted: () =>
        new Set(service.published().map((each) => each.record.manifest)),
      events,
    });
    copies.start();
    this.#clusters.set(cluster, async () => {
      unsubscribe();
      await copies.stop();
      await local.stop();
    });
  }

  async #savedRecords(): Promise<Sealed[]> {
    try {
      const text = await readFile(this.#recordsPath, "utf8");
      const saved: unknown = JSON.parse(text);
      return Array.isArray(saved) ? (saved as Sealed[]) : [];
    } catch {
      return []; // none yet, or damaged: members publish again
    }
  }

  async #save(records: readonly Sealed[]): Promise<void> {
    const text = JSON.stringify(records);
    if (text === this.#saved) return;
    await mkdir(this.#options.stateDir, { recursive: true });
    await writeFile(`${this.#recordsPath}.tmp`, text);
    await moveFile(`${this.#recordsPath}.tmp`, this.#recordsPath);
    this.#saved = text;
  }
}
