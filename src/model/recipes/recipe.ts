/**
 * How the models of one architecture are cut, as data. The cutting code knows no architecture's name: one more is one more entry, proven
 * by its certificate (test/integration/certificates.test.ts). What the fields stand for is in llama.cpp v0.5.0, src/models/<architecture>.cpp.
 */

/**
 * Kinds of layers. A rule of an architecture may want a layer of a kind in each shard, because llama.cpp aborts when an input of its graph
 * is read by no layer, or because its loader asserts that there is one.
 */
export type LayerKind =
  /** Keeps a state of fixed size: Mamba, linear attention, a short convolution. */
  | "recurrent"
  | "attention"
  /** Attention over a window of tokens. */
  | "sliding"
  | "full"
  /** Feed-forward of many experts, of which a token takes a few. */
  | "sparse"
  /** Uses some of many experts, told by a number a layer. */
  | "experts"
  /** Finds the tokens that it attends to by an index of its own. */
  | "indexed"
  /** Turns queries and keys by their position (RoPE), told by one value a layer. */
  | "rotating"
  /** Compresses the keys of 4 or of 128 tokens into one. */
  | "compress4"
  | "compress128";

export interface Recipe {
  /** `general.architecture`. */
  name: string;
  /** What people know its models by. */
  models: string;

  /** Older versions of llama.cpp ("0.5.0") do not know it, or read its shards otherwise. Default: all that Shoal takes. */
  since?: string;

  /** The graph's name for the output of layer `#`; `#` is the layer's number in the shard. Default `l_out-#`. */
  boundary: string;
  /** The key, after `<name>.`, of the number of rows that a layer passes on a token. Default: one row of `embedding_length`. */
  boundaryRows?: string;
  /**
   * The graph's node that ends the treatment of the input (scale, norm, learned positions). A stage after the first writes the activations
   * over it, so nothing of the treatment needs to be undone. Default: activations go in as they are.
   */
  inject?: string;
  /** llama.cpp scales looked-up rows by the square root of their width, but not rows that are fed: the first stage does. */
  scalesRows?: boolean;
  /**
   * The graph takes rows that are fed for a picture, so every stage is fed with token ids: the first with the text's, and it holds the
   * table; the others with token 0, and what the graph makes of it is replaced at `inject`. Default: the first is fed with rows of the table.
   */
  takesTokens?: boolean;
  /** The key of the number of first layers that read the token ids. They stay in the first shard. */
  layersOnTokens?: string;
  /** `embedding_scale` is 1 after the first stage; also where the file has no such key. */
  embeddingScale?: boolean;

  /** Sliding layers are told by a period: every `period`-th layer is full. Written as one value a layer, so that a shard may begin anywhere. */
  slidingPeriod?: {
    period: number;
    /** The first layer of a period is the full one; else the last. */
    fullFirst?: boolean;
  };
  /** Sliding layers are told by one value a layer, or by the period above. A shard without any gets a layer that is not there (see shard-metadata.ts). */
  hasSliding?: boolean;
  /** Recurrent layers are told by `full_attention_interval`, whose default this is. Written as one value a layer. */
  attentionInterval?: number;
  /** Recurrent layers are those without heads for keys in `attention.head_count_kv`. */
  recurrentWithoutHeads?: boolean;
  /** The number of heads and the width of the feed-forward may differ from layer to layer. */
  variesByLayer?: boolean;
  /**
   * The key of an array with a number a layer, of the part of a picture that the layer adds. A text adds zeros, so shards leave the key out;
   * 0 would be the text's own rows, and such a model is refused.
   */
  picturesByLayer?: string;
  /** Keys and values that every shard gets if the file lacks them. */
  writes?: readonly { key: string; value: number }[];
  /** A file without `residual_scale` means this number, divided by the root of the number of layers. Every shard gets the whole model's. */
  residualByDepth?: number;

  /**
   * A model of it that pools its last token makes embeddings: what llama.cpp pools is the graph's `result_norm`
   * (test/integration/embeddings.test.ts). Default: such a model is refused.
   */
  embeds?: boolean;

  /** Layers that should predict further tokens are computed like the others if they have no `nextn` tensors. Such a model is refused. */
  computesBareLayers?: boolean;

  /** `output.weight` is required even beside an embedding table, so the last shard has a table that nobody reads. */
  ownHead?: boolean;

  /** Borders only at multiples of this number, or of these keys' values (after `<name>.`). */
  borderStep?: readonly (number | string)[];
  /** Every shard holds a layer of each of these kinds, as far as the model has them. */
  needs?: readonly LayerKind[];
  /** Borders only before a layer of this kind. Of a model that does not tell its layers' kinds all are of it. */
  borderBefore?: LayerKind;
  /** A shard has at least so many layers. */
  leastLayers?: number;
  /** A shard may not have so many layers: llama.cpp would take it for another model. */
  refusedLengths?: readonly number[];
  /** A model of `layers` layers, or of `from` and more, is refused. */
  refusedCounts?: readonly { layers?: number; from?: number; reason: string }[];
  /** A model that lacks the key is refused if it has so many layers, or a context of at least `fromContext` tokens. */
  refusedWithout?: readonly {
    key: string;
    layers?: readonly number[];
    fromContext?: number;
    reason: string;
  }[];
  /** A model whose value is above `above`, or is `equal`, is refused. */
  refusedKeys?: readonly {
    key: string;
    above?: number;
    equal?: number;
    reason: string;
  }[];
}

const DEFAULTS = { boundary: "l_out-#" } as const;

export function recipe(
  name: string,
  models: string,
  rest: Partial<Omit<Recipe, "name" | "models">> = {},
): Recipe {
  return { ...DEFAULTS, name, models, ...rest };
}
