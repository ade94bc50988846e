/**
 * Random models of any architecture, without knowing the shape of one tensor: llama.cpp itself is asked for a model with this metadata
 * (`llama_model_init_from_user`) and calls back with each tensor that it wants.
 */
import { readdirSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { loadNative } from "../../../src/engine/native.ts";
import type { Pointer } from "../../../src/engine/native-types.ts";
import {
  encodeHeader,
  type GgufValue,
  type TensorSource,
  uintOf,
  writeGguf,
} from "../../../src/gguf/index.ts";
import { Random } from "../random.ts";
import { settingsOf, type TinyOptions } from "./settings.ts";

/** GGML_TYPE_F32 and GGML_TYPE_I32 (ggml/include/ggml.h). */
const F32 = 0;
const I32 = 26;
/** Standard deviation of the weights. */
const DEVIATION = 0.1;

/** What llama.cpp said since the last model was written. */
export const nativeLog: string[] = [];
// At once: only the first to load the library hears its log.
const native = loadNative((_, text) => nativeLog.push(text));
let bound: ReturnType<typeof bind> | undefined;

function bind() {
  const files = readdirSync(native.directory);
  const open = (prefix: string) =>
    koffi.load(
      join(
        native.directory,
        files.find((file) => file.startsWith(prefix)) ?? prefix,
      ),
    );
  const base = open("libggml-base");
  const llama = open("libllama.v");
  koffi.proto("void shoal_set_tensor(void *tensor, void *user)");
  koffi.struct("shoal_gguf_params", { no_alloc: "bool", ctx: "void*" });
  return {
    readHeader: base.func(
      "void* gguf_init_from_file(const char* path, shoal_gguf_params params)",
    ),
    freeHeader: base.func("void gguf_free(void* header)"),
    initFromUser: llama.func(
      "void* llama_model_init_from_user(void* header, shoal_set_tensor* set, void* user, llama_model_params params)",
    ),
  };
}

/** Throws what llama.cpp says if it does not take the metadata. */
export async function writeTinyModel(
  path: string,
  architecture: string,
  options: TinyOptions = {},
): Promise<void> {
  bound ??= bind();
  const { readHeader, freeHeader, initFromUser } = bound;
  const { metadata, optional } = settingsOf(architecture, options);
  const tensors = new Map<string, TensorSource>();
  const set = koffi.register((tensor: Pointer) => {
    const source = randomTensor(native.tensorName(tensor), shapeOf(tensor));
    const bytes = source.data as Uint8Array;
    native.writeTensor(tensor, new Float32Array(bytes.buffer), bytes.length);
    tensors.set(source.name, source);
  }, "shoal_set_tensor *");
  /** Whether it was made; else the number of tensors that it wants. */
  const attempt = (names: readonly string[]): number | undefined => {
    const specs = names.map((name) => ({
      name,
      // Tables of experts by token.
      type: name.includes("tid2eid") ? ("I32" as const) : ("F32" as const),
      shape: [1],
    }));
    const { header, endOffset } = encodeHeader({ metadata, tensors: specs });
    const file = new Uint8Array(endOffset);
    file.set(header);
    const temporary = `${path}.header`;
    writeFileSync(temporary, file);
    const gguf = readHeader(temporary, {
      no_alloc: true,
      ctx: null,
    }) as Pointer;
    unlinkSync(temporary);
    nativeLog.length = 0;
    const model = initFromUser(
      gguf,
      set,
      null,
      native.modelDefaultParams(),
    ) as Pointer | null;
    freeHeader(gguf);
    if (model !== null) {
      native.freeModel(model);
      return undefined;
    }
    const said = nativeLog.join("");
    const wanted = /expected \d+, got (\d+)/.exec(said)?.[1];
    if (wanted === undefined)
      throw new Error(`${architecture}: ${said.trim().slice(-400)}`);
    return Number(wanted);
  };
  try {
    let names = optional;
    // The loader only counts: names that nobody has stand for those that it wants besides.
    for (let tries = 0; tries < 3; tries++) {
      const wanted = attempt(names);
      if (wanted === undefined) break;
      const more = Math.max(0, wanted - optional.length);
      names = [
        ...optional,
        ...Array.from({ length: more }, (_, i) => `wanted.${i}`),
      ];
    }
  } finally {
    koffi.unregister(set);
  }
  if (tensors.size === 0)
    throw new Error(`${architecture}: llama.cpp asked for no tensor`);
  const all = [...tensors.values()];
  if (options.predicts === true)
    all.push(...furtherLayer(architecture, metadata, all));
  await writeGguf(path, { metadata, tensors: all });
}

/** The last layer again and what makes it predict; the key-values count it. llama.cpp skips it, so it asks for none of this. */
function furtherLayer(
  architecture: string,
  metadata: Map<string, GgufValue>,
  tensors: readonly TensorSource[],
): TensorSource[] {
  const set = (key: string, value: number): unknown =>
    metadata.set(`${architecture}.${key}`, { type: "uint32", value });
  const layers = uintOf(metadata, `${architecture}.block_count`) ?? 0;
  const width = uintOf(metadata, `${architecture}.embedding_length`) ?? 0;
  set("block_count", layers + 1);
  set("nextn_predict_layers", 1);
  for (const [key, entry] of metadata) {
    if (entry.type !== "array" || entry.element !== "uint32") continue;
    if (entry.value.length !== layers) continue;
    const value = Uint32Array.of(...entry.value, 0);
    metadata.set(key, { ...entry, value });
  }
  const last = `blk.${layers - 1}.`;
  const further = `blk.${layers}.`;
  return [
    ...tensors
      .filter(({ name }) => name.startsWith(last))
      .map((of) => ({ ...of, name: further + of.name.slice(last.length) })),
    ...[
      { name: "eh_proj", shape: [2 * width, width] },
      { name: "enorm", shape: [width] },
      { name: "hnorm", shape: [width] },
    ].map(({ name, shape }) =>
      randomTensor(`${further}nextn.${name}.weight`, { type: F32, shape }),
    ),
  ];
}

/** `ggml_tensor`: type at byte 0, ne[4] at byte 16. */
function shapeOf(tensor: Pointer): { type: number; shape: number[] } {
  const fields = new DataView(koffi.view(tensor, 48));
  const shape = [0, 1, 2, 3].map((i) =>
    Number(fields.getBigInt64(16 + 8 * i, true)),
  );
  while (shape.length > 1 && shape.at(-1) === 1) shape.pop();
  return { type: fields.getInt32(0, true), shape };
}

/** Random numbers for all: a tensor takes those from a place that its name gives. */
const pool = new Float32Array(1 << 20);

function randomTensor(
  name: string,
  { type, shape }: { type: number; shape: number[] },
): TensorSource {
  const count = shape.reduce((product, n) => product * n, 1);
  const values = new Float32Array(count);
  if (type === I32) {
    const numbers = new Int32Array(values.buffer);
    for (let i = 0; i < count; i++) numbers[i] = i % 2;
  } else if (type === F32) fill(values, name);
  else throw new Error(`${name} is of type ${type}`);
  const data = new Uint8Array(values.buffer);
  return { name, type: type === F32 ? "F32" : "I32", shape, data };
}

function fill(values: Float32Array, name: string): void {
  if (pool[0] === 0) {
    const random = new Random(1, "pool");
    const some = (): number => random.fraction() - 0.5;
    // The sum of four has a standard deviation of 0.58.
    for (let i = 0; i < pool.length; i++)
      pool[i] = (DEVIATION / 0.58) * (some() + some() + some() + some());
  }
  const start = new Random(1, name).below(pool.length);
  for (let done = 0; done < values.length;) {
    const from = (start + done) % pool.length;
    const part = pool.subarray(from, from + values.length - done);
    values.set(part, done);
    done += part.length;
  }
  const change = changeOf(name);
  if (change === undefined) return;
  for (const [i, value] of values.entries()) values[i] = change(value);
}

/** Norms are around one, rope factors above it, decays below zero. */
function changeOf(name: string): ((value: number) => number) | undefined {
  if (name.includes("ssm_a")) return (value) => -Math.abs(value) * 5 - 0.01;
  if (/norm.*weight$/.test(name)) return (value) => 1 + value;
  if (name.includes("rope_f")) return (value) => 1 + Math.abs(value);
  return undefined;
}
