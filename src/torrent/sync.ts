/**
 * A member's side of the index: tells each rendezvous what it has, at connect and whenever that changes, and asks who has what it
 * lacks. What is logged was confirmed by the rendezvous' answer.
 */
import { type EventSink, ShoalError } from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import type { Endpoint, Listing } from "./catalog.ts";
import {
  type CatalogFile,
  LIST_FILES,
  LIST_PARTS,
  LISTINGS_PER_MESSAGE,
  type PartHolders,
  SYNC_TORRENTS,
  WHO_HAS,
} from "./protocol.ts";
import { PieceSet } from "./piece-set.ts";
import { pieceCount } from "./piece-tree.ts";
import type { Content, Root } from "./types.ts";

/** Who has what, as far as somebody says: a rendezvous, or this process where it is one. */
export interface TorrentIndex {
  /** Who has this content, or any of this model. Empty where nobody is known. */
  whoHas(
    of: { root: Root } | { manifest: string },
  ): Promise<{ sizeBytes: number | undefined; holders: Endpoint[] }>;
  /** Every content listed in the cluster. */
  listFiles(): Promise<CatalogFile[]>;
  /** The parts of a model that anybody lists. Rejects where nobody answers: that is not the same as nobody having any. */
  listParts(manifest: string): Promise<PartHolders[]>;
  /** What is here has changed. */
  changed(): void;
  stop(): Promise<void>;
}

export interface TorrentSyncOptions {
  commands: Commands;
  events: EventSink;
  cluster: string;
  /** Where this member's transfers are answered. */
  endpoint: () => Endpoint;
  /** What is here now. */
  listings: () => readonly Listing[];
}

const CALL_TIMEOUT_MS = 5_000;
/** Pieces come by the dozen a second; others hear of the change once. */
const SETTLE_MS = 500;

export class TorrentSync implements TorrentIndex {
  #options: TorrentSyncOptions;
  #rendezvous = new Set<string>();
  #unanswered = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: TorrentSyncOptions) {
    this.#options = options;
  }

  /** A rendezvous that was just connected: lists everything there. Rejects with what it answered. */
  async syncWith(rendezvous: string): Promise<void> {
    this.#rendezvous.add(rendezvous);
    await this.#sync(rendezvous);
  }

  /** A rendezvous that is asked, and told nothing. */
  ask(rendezvous: string): void {
    this.#rendezvous.add(rendezvous);
  }

  /** A rendezvous that is gone. */
  forget(rendezvous: string): void {
    this.#rendezvous.delete(rendezvous);
  }

  /** What is here has changed: tells every rendezvous, soon and once for a burst. */
  changed(): void {
    if (this.#stopped) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#running = this.#syncAll();
    }, SETTLE_MS);
  }

  /** By the first rendezvous that knows of a holder. */
  async whoHas(
    of: { root: Root } | { manifest: string },
  ): Promise<{ sizeBytes: number | undefined; holders: Endpoint[] }> {
    const { cluster, commands, events } = this.#options;
    let sizeBytes: number | undefined;
    for (const rendezvous of this.#rendezvous) {
      try {
        const answer = await commands.call(
          rendezvous,
          WHO_HAS.name,
          { cluster, of },
          WHO_HAS.result,
          { timeoutMs: CALL_TIMEOUT_MS },
        );
        this.#unanswered.delete(rendezvous);
        sizeBytes ??= answer.sizeBytes ?? undefined;
        if (answer.holders.length > 0)
          return { sizeBytes, holders: answer.holders };
      } catch (error) {
        const { code, message } = ShoalError.from(error);
        // Told once: it is asked again every other second.
        if (this.#unanswered.has(rendezvous)) continue;
        this.#unanswered.add(rendezvous);
        events.warn("MSG", `WHO_HAS was not answered: ${message}`, {
          peer: rendezvous,
          code,
        });
      }
    }
    return { sizeBytes, holders: [] };
  }

  async listFiles(): Promise<CatalogFile[]> {
    const { cluster, commands } = this.#options;
    const files: CatalogFile[] = [];
    for (const rendezvous of this.#rendezvous) {
      for (let offset = 0; ;) {
        const page = await commands.call(
          rendezvous,
          LIST_FILES.name,
          { cluster, offset },
          LIST_FILES.result,
          { timeoutMs: CALL_TIMEOUT_MS },
        );
        files.push(...page.files);
        offset += page.files.length;
        if (page.files.length === 0 || offset >= page.total) return files;
      }
    }
    return files;
  }

  async listParts(manifest: string): Promise<PartHolders[]> {
    const { cluster, commands } = this.#options;
    let last = new ShoalError("BOOTSTRAP_UNREACHABLE", "no rendezvous to ask");
    for (const rendezvous of this.#rendezvous) {
      const parts: PartHolders[] = [];
      try {
        for (;;) {
          const page = await commands.call(
            rendezvous,
            LIST_PARTS.name,
            { cluster, manifest, offset: parts.length },
            LIST_PARTS.result,
            { timeoutMs: CALL_TIMEOUT_MS },
          );
          parts.push(...page.parts);
          if (page.parts.length === 0 || parts.length >= page.total)
            return parts;
        }
      } catch (error) {
        last = ShoalError.from(error);
      }
    }
    throw last;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  async #syncAll(): Promise<void> {
    await Promise.all(
      [...this.#rendezvous].map((rendezvous) =>
        this.#sync(rendezvous).catch((error: unknown) => {
          const { code, message } = ShoalError.from(error);
          this.#options.events.warn(
            "TORRENT_SYNC",
            `the change was not taken: ${message}`,
            { peer: rendezvous, code },
          );
        }),
      ),
    );
  }

  async #sync(rendezvous: string): Promise<void> {
    const { cluster, commands, endpoint, events, listings } = this.#options;
    const all = listings();
    let known = 0;
    for (let at = 0; at === 0 || at < all.length; at += LISTINGS_PER_MESSAGE) {
      const params = {
        cluster,
        endpoint: endpoint(),
        first: at === 0,
        contents: all.slice(at, at + LISTINGS_PER_MESSAGE),
      };
      ({ known } = await commands.call(
        rendezvous,
        SYNC_TORRENTS.name,
        params,
        SYNC_TORRENTS.result,
        { timeoutMs: CALL_TIMEOUT_MS },
      ));
    }
    events.info(
      "TORRENT_SYNC",
      `${all.length} contents listed at the rendezvous, which knows of ${known}`,
      {
        peer: rendezvous,
        listed: all.length,
        known,
      },
    );
  }
}

/** A content as it is listed. */
export function listingOf(content: Content, spare = false): Listing {
  const { metadata, kind, name, manifest } = content;
  return {
    root: metadata.root,
    sizeBytes: metadata.sizeBytes,
    kind,
    name: name.slice(0, 256),
    ...(manifest !== undefined && { manifest }),
    whole: isWhole(content),
    ...(spare && { spare }),
  };
}

/** Every piece is here. */
export function isWhole({ metadata, have }: Content): boolean {
  const pieces = pieceCount(metadata.sizeBytes);
  return new PieceSet(pieces, have).isFull;
}
