/** What is known of a model besides how it is computed: for people and programs that list models. */
import { CID } from "multiformats/cid";
import type { GgufMetadata } from "../gguf/index.ts";
import { embeddingKind, type Manifest, SERVED } from "../model/index.ts";

export interface ModelFacts {
  /** `general.architecture`: "qwen3". */
  architecture: string;
  /** "Q4_K_M". */
  quantization: string;
  /** Weights of all tensors; one that serves twice counts once. */
  parameterCount: number;
  /** Of the model's files. */
  sizeBytes: number;
  embeddingLength: number;
  /** It makes embeddings: one vector of a text. */
  embeds: boolean;
  /** That the model was trained for; the cluster may serve less. */
  contextLength: number;
  /** SHA-256 of the manifest, in hex. */
  digest: string;
  /** The file's own key-values: numbers, booleans and short texts, no lists. */
  metadata: Readonly<Record<string, string | number | boolean>>;
}

/** As many as a list of facts needs; files have some forty, and a hostile one has thousands. */
const MAX_ENTRIES = 256;
/** Licenses and templates are longer, names and addresses are not. */
const MAX_TEXT_CHARS = 1024;

export function factsOf(
  manifestId: string,
  manifest: Manifest,
  metadata: GgufMetadata,
): ModelFacts {
  const tensors = manifest.parts.flatMap((part) => part.tensors);
  const counts = new Map(
    tensors.map(({ fileIndex, offset, shape }) => [
      `${fileIndex}:${offset}`,
      shape.reduce((product, size) => product * size, 1),
    ]),
  );
  // A newer seeder may have a model that this program cannot compute: a gateway need not.
  const { architecture: name } = manifest;
  const recipe = SERVED.find((one) => one.name === name) ?? { name };
  return {
    architecture: name,
    quantization: manifest.quantization,
    parameterCount: [...counts.values()].reduce((sum, count) => sum + count, 0),
    sizeBytes: manifest.files.reduce((sum, file) => sum + file.sizeBytes, 0),
    embeddingLength: manifest.embeddingLength,
    embeds: embeddingKind(recipe, metadata) === "last",
    contextLength: manifest.contextLength,
    digest: Buffer.from(CID.parse(manifestId).multihash.digest).toString("hex"),
    metadata: Object.fromEntries(entriesOf(metadata)),
  };
}

function entriesOf(
  metadata: GgufMetadata,
): [string, string | number | boolean][] {
  const entries: [string, string | number | boolean][] = [];
  for (const [key, { value }] of metadata) {
    if (entries.length === MAX_ENTRIES) break;
    if (key.startsWith("tokenizer.chat_template")) continue;
    if (typeof value === "bigint") entries.push([key, Number(value)]);
    else if (typeof value === "number") {
      // JSON has no NaN and no infinity.
      if (Number.isFinite(value)) entries.push([key, value]);
    } else if (typeof value === "boolean") entries.push([key, value]);
    else if (typeof value === "string" && value.length <= MAX_TEXT_CHARS)
      entries.push([key, value]);
  }
  return entries;
}
