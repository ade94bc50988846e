/** The architectures that llama.cpp knows and Shoal refuses, each with the reason. Together with the served ones these are all: a test compares them with the library. */
const ENCODER = "it makes vectors, not text";
const SPEECH = "it makes sound, not text";
const DIFFUSION =
  "it makes a text by diffusion, not token by token, as a pipeline does";
const DRAFT = "it only drafts for another model";
const NUMBERED = "llama.cpp computes a layer by its number in the whole model";
const FIRST_LAYER = "every layer reads what the first layer computed";

export const REFUSED: Readonly<Record<string, string>> = {
  arwkv7: FIRST_LAYER,
  baichuan:
    "llama.cpp chooses the positions by the number of layers, which a shard has not",
  bert: ENCODER,
  chameleon: "llama.cpp holds only half of it",
  clip: "it turns pictures into input for another model; the model itself is served as text",
  dflash: DRAFT,
  dream: DIFFUSION,
  eagle3: DRAFT,
  eurobert: ENCODER,
  "gemma-embedding": ENCODER,
  gemma3n: NUMBERED,
  "gemma4-assistant": DRAFT,
  gptj: "llama.cpp names it, but cannot load it",
  graniteswitch: "every layer reads the token ids",
  hrm_text: "its layers run several times a token, so no border exists",
  "jina-bert-v2": ENCODER,
  "jina-bert-v3": ENCODER,
  "kimi-k3": "layers read the outputs of several layers before them",
  llada: DIFFUSION,
  "llada-moe": DIFFUSION,
  "llama-embed": ENCODER,
  minicpm3: NUMBERED,
  "minimax-01": NUMBERED,
  "modern-bert": ENCODER,
  "neo-bert": ENCODER,
  "nomic-bert": ENCODER,
  "nomic-bert-moe": ENCODER,
  plm: "llama.cpp loads it, but aborts when it computes",
  pockettts: SPEECH,
  qwen3tts: SPEECH,
  qwen4exp: "layers read the token ids",
  rnd1: DIFFUSION,
  rwkv6:
    "the treatment of its input ends in a node without a name, where nothing can be put in",
  rwkv7: FIRST_LAYER,
  t5: "it has an encoder beside its layers",
  t5encoder: ENCODER,
  talkie: "every layer reads the embedding again",
  "wavtokenizer-dec": SPEECH,
};
