/** What a gateway has of the cluster's model: its manifest's facts and its vocabulary. */
import { join } from "node:path";
import type { Announcement } from "../cluster/index.ts";
import type { NamedTemplates } from "../chat/index.ts";
import { Tokenizer } from "../engine/index.ts";
import { readGguf } from "../gguf/index.ts";
import { backoffMs, type EventSink, ShoalError, sleep } from "../lib/index.ts";
import type { Commands } from "../network/index.ts";
import { fetchParts, type ModelParts } from "../weights/index.ts";
import { needsOneContext } from "./contexts.ts";
import { factsOf, type ModelFacts } from "./model-facts.ts";

export interface Loaded {
  manifest: string;
  name: string;
  createdMs: number;
  modelContext: number;
  /** All stages of a route need the same context. */
  isOneContext: boolean;
  chatTemplate: string | undefined;
  namedTemplates: NamedTemplates;
  facts: ModelFacts;
  tokenizer: Tokenizer;
}

/** What a request waits for while it is fetched. */
const VOCABULARY = "the model's vocabulary";

export interface ModelLoaderOptions {
  commands: Commands;
  events: EventSink;
  /** Where models' metadata is kept. */
  dataDir: string;
  /** Who has it. */
  holders: () => readonly Announcement[];
  /** Told when it is loaded, and when that failed. */
  onChange: () => void;
}

export class ModelLoader {
  readonly #options: ModelLoaderOptions;
  readonly #stopping = new AbortController();
  #loading: string | undefined;
  #error: ShoalError | undefined;
  loaded: Loaded | undefined;

  constructor(options: ModelLoaderOptions) {
    this.#options = options;
  }

  /** Why the model is not there yet; undefined if it is. */
  missing(manifest: string): ShoalError | undefined {
    if (this.loaded?.manifest === manifest) return undefined;
    return (
      this.#error ??
      new ShoalError(
        "SWARM_NOT_READY",
        "the model's vocabulary is being downloaded",
        { missingShards: [], waitingFor: VOCABULARY },
      )
    );
  }

  /** Downloads manifest and vocabulary of `manifest` until it has them or another model replaces it. */
  async load(manifest: string): Promise<void> {
    if (this.loaded?.manifest === manifest || this.#loading === manifest)
      return;
    this.#loading = manifest;
    const { commands, dataDir, events, holders, onChange } = this.#options;
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
          [...holders()],
          join(dataDir, "models", manifest),
        );
        const loaded = await openVocabulary(manifest, parts);
        const old = this.loaded;
        this.loaded = loaded;
        this.#loading = undefined;
        this.#error = undefined;
        if (signal.aborted) await loaded.tokenizer.stop();
        await old?.tokenizer.stop();
        events.info("API", `serving ${loaded.name}`, {
          model: manifest,
          vocabulary: loaded.tokenizer.vocabSize,
        });
        onChange();
        return;
      } catch (error) {
        const { code, message } = ShoalError.from(error);
        this.#error = new ShoalError(
          "SWARM_NOT_READY",
          `the model's vocabulary is not available yet: ${message}`,
          { cause: code, waitingFor: VOCABULARY },
        );
        onChange();
        events.warn("API", this.#error.message, { code });
        await sleep(backoffMs(attempt), signal).catch(() => {});
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.loaded?.tokenizer.stop();
  }
}

async function openVocabulary(
  manifest: string,
  parts: ModelParts,
): Promise<Loaded> {
  const { metadata } = await readGguf(parts.metadataPath);
  return {
    manifest,
    name: parts.manifest.name,
    createdMs: Date.now(),
    modelContext: parts.manifest.contextLength,
    isOneContext: needsOneContext(parts.manifest),
    ...templatesOf(metadata),
    facts: factsOf(manifest, parts.manifest, metadata),
    tokenizer: await Tokenizer.load(parts.metadataPath),
  };
}

/** A model's chat templates: the one for all requests, and those for requests with tools or documents. */
export function templatesOf(
  metadata: ReadonlyMap<string, { value: unknown }>,
): Pick<Loaded, "chatTemplate" | "namedTemplates"> {
  const template = (suffix: string): string | undefined => {
    const value = metadata.get(`tokenizer.chat_template${suffix}`)?.value;
    return typeof value === "string" ? value : undefined;
  };
  return {
    chatTemplate: template(""),
    namedTemplates: { tool_use: template(".tool_use"), rag: template(".rag") },
  };
}
