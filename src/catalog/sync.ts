/**
 * A member's side of the catalog: exchanges with each rendezvous what both have and know, at connect and after changes (sync-link.ts), and
 * asks who has what it lacks. If no rendezvous answers, their earlier answers count. Logged facts were confirmed by an answer.
 */
import {
  isShoalError,
  ShoalError,
  systemClock,
  type Clock,
} from "../lib/index.ts";
import type { Endpoint, Listing } from "./catalog.ts";
import {
  type CatalogFile,
  LIST_FILES,
  LIST_PARTS,
  type PartHolders,
  WHO_HAS,
} from "./protocol.ts";
import {
  type Remembered,
  SYNC_DEFAULTS,
  SyncLink,
  type SyncLinkOptions,
} from "./sync-link.ts";
import {
  PieceSet,
  pieceCount,
  type Content,
  type Root,
} from "../store/index.ts";

/** Who has what, according to a rendezvous, which may be this process itself. */
export interface CatalogReader {
  /** Who has this content, or any content of this model. Empty if nobody is known. */
  whoHas(
    of: { root: Root } | { manifest: string },
  ): Promise<{ sizeBytes: number | undefined; holders: Endpoint[] }>;
  /** Every content listed in the cluster. */
  listFiles(): Promise<CatalogFile[]>;
  /** The parts of a model that anybody lists. Rejects if nobody answers, which is not the same as nobody having any. */
  listParts(manifest: string): Promise<PartHolders[]>;
  /** The contents changed. */
  changed(): void;
  stop(): Promise<void>;
}

export interface TorrentSyncOptions extends Omit<SyncLinkOptions, "clock"> {
  clock?: Clock | undefined;
}

const CALL_TIMEOUT_MS = SYNC_DEFAULTS.callTimeoutMs;
/** Dozens of pieces arrive per second; others hear of the change once. */
const SETTLE_MS = 500;

export class CatalogSync implements CatalogReader {
  #options: SyncLinkOptions;
  /** The rendezvous that are asked. */
  #rendezvous = new Set<string>();
  /** Of those that are told what is here. */
  #links = new Map<string, SyncLink>();
  #unanswered = new Set<string>();
  #cancelSettling: (() => void) | undefined;
  #cancelAsking: (() => void) | undefined;
  #stopped = false;

  constructor({ clock = systemClock, ...options }: TorrentSyncOptions) {
    this.#options = { ...options, clock };
  }

  /**
   * Called for a newly connected rendezvous: lists everything there and asks what it knows. Rejects with its answer. A member answers
   * COMMAND_UNKNOWN, because it has no catalog, and is not asked again.
   */
  async syncWith(rendezvous: string): Promise<void> {
    if (this.#stopped) return;
    const link =
      this.#links.get(rendezvous) ?? new SyncLink(rendezvous, this.#options);
    this.#links.set(rendezvous, link);
    this.#rendezvous.add(rendezvous);
    this.#askLater();
    try {
      await link.sync();
    } catch (error) {
      if (isShoalError(error, "COMMAND_UNKNOWN")) {
        this.#rendezvous.delete(rendezvous);
        this.#links.delete(rendezvous);
      }
      throw error;
    }
  }

  /** A rendezvous that is asked but gets no listing. */
  ask(rendezvous: string): void {
    this.#rendezvous.add(rendezvous);
  }

  /** The contents changed: tells every rendezvous, soon and once for a burst. */
  changed(): void {
    if (this.#stopped) return;
    this.#cancelSettling ??= this.#options.clock.after(SETTLE_MS, () => {
      this.#cancelSettling = undefined;
      for (const link of this.#links.values()) void link.change();
    });
  }

  /** What rendezvous said about others' content: all of them, or these. */
  remembered(
    root: Root,
    of: Iterable<string> = this.#links.keys(),
  ): Remembered | undefined {
    const known = [...of].flatMap(
      (rendezvous) => this.#links.get(rendezvous)?.get(root) ?? [],
    );
    const [first] = known;
    if (first === undefined) return undefined;
    const holders = new Map(
      known.flatMap((each) => each.holders).map((each) => [each.peer, each]),
    );
    return { ...first, holders: [...holders.values()] };
  }

  /** From the first rendezvous that knows a holder, else from the earlier answers of those that do not answer. */
  async whoHas(
    of: { root: Root } | { manifest: string },
  ): Promise<{ sizeBytes: number | undefined; holders: Endpoint[] }> {
    const { cluster, commands, events } = this.#options;
    let sizeBytes: number | undefined;
    const silent: string[] = [];
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
        silent.push(rendezvous);
        const { code, message } = ShoalError.from(error);
        // Reported once: it is asked every other second.
        if (this.#unanswered.has(rendezvous)) continue;
        this.#unanswered.add(rendezvous);
        events.warn("MSG", `no answer to WHO_HAS: ${message}`, {
          peer: rendezvous,
          code,
        });
      }
    }
    const before = "root" in of ? this.remembered(of.root, silent) : undefined;
    return {
      sizeBytes: sizeBytes ?? before?.sizeBytes,
      holders: [...(before?.holders ?? [])],
    };
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
    this.#cancelSettling?.();
    this.#cancelAsking?.();
    await Promise.all([...this.#links.values()].map((link) => link.stop()));
  }

  #askLater(): void {
    this.#cancelAsking ??= this.#options.clock.after(
      SYNC_DEFAULTS.askMs,
      () => {
        this.#cancelAsking = undefined;
        for (const link of this.#links.values()) void link.ask();
        if (!this.#stopped) this.#askLater();
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
