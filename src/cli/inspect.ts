/** `shoal inspect`: what a file is: a model, a shard of one, or a manifest. */
import { readFile } from "node:fs/promises";
import { Command } from "commander";
import { openModel, stringOf } from "../gguf/index.ts";
import { formatBytes, isShoalError, ShoalError } from "../lib/index.ts";
import {
  decodeManifest,
  describeModel,
  type Manifest,
  manifestId,
  MAX_MANIFEST_BYTES,
  readShard,
} from "../model/index.ts";
import { print } from "./output.ts";

export function inspectCommand(): Command {
  return new Command("inspect")
    .description("show what a file is: a model, a shard or a manifest")
    .argument("<file>", "a GGUF or a manifest")
    .action(async (path: string) => {
      const lines = path.endsWith(".cbor")
        ? await manifestLines(path)
        : await ggufLines(path);
      const width = Math.max(...lines.map(([name]) => name.length));
      for (const [name, value] of lines)
        await print(`${name.padEnd(width)}  ${value}`);
    });
}

type Lines = [name: string, value: string | number][];

async function ggufLines(path: string): Promise<Lines> {
  const model = await openModel(path);
  const { metadata, tensors, files } = model;
  const types = Map.groupBy(tensors, ({ type }) => type);
  const file: Lines = [
    ["files", files.length],
    ["size", formatBytes(files.reduce((sum, f) => sum + f.sizeBytes, 0))],
    ["architecture", stringOf(metadata, "general.architecture") ?? "-"],
    ["key-values", metadata.size],
    [
      "tensors",
      `${tensors.length} (${[...types].map(([name, of]) => `${of.length} ${name}`).join(", ")})`,
    ],
  ];
  if (stringOf(metadata, "shoal.manifest") !== undefined)
    return [["kind", "shard"], ...file, ...(await shardLines(path))];
  try {
    const about = describeModel(model);
    return [
      ["kind", "model"],
      ["name", about.name],
      ...file,
      ["layers", about.layerCount],
      ["embedding length", about.embeddingLength],
      ["context", about.contextLength],
      ["vocabulary", about.vocabSize],
      ["quantization", about.quantization],
      ["head", about.tied ? "tied to the embedding" : "of its own"],
    ];
  } catch (error) {
    if (!isShoalError(error)) throw error;
    return [["kind", "GGUF"], ...file, ["not servable", error.message]];
  }
}

async function shardLines(path: string): Promise<Lines> {
  const shard = await readShard(path);
  return [
    ["model", shard.manifestId ?? "-"],
    [
      "layers",
      `${shard.layerStart}-${shard.layerEnd - 1} of ${shard.layerCount}`,
    ],
    ["takes", shard.isFirst ? "token ids" : "activations"],
    ["gives", shard.isLast ? "logits" : "activations"],
  ];
}

async function manifestLines(path: string): Promise<Lines> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw new ShoalError(
      "FILE_NOT_FOUND",
      `can not read ${path}`,
      { path },
      error,
    );
  });
  if (bytes.length > MAX_MANIFEST_BYTES)
    throw new ShoalError(
      "MANIFEST_INVALID",
      `${path} has ${bytes.length} bytes: too many for a manifest`,
    );
  const manifest: Manifest = decodeManifest(bytes);
  return [
    ["kind", "manifest"],
    ["model", manifestId(bytes)],
    ["name", manifest.name],
    ["architecture", manifest.architecture],
    ["quantization", manifest.quantization],
    ["layers", manifest.layerCount],
    ["parts", manifest.parts.length],
    [
      "size",
      formatBytes(
        manifest.parts.reduce((sum, part) => sum + part.sizeBytes, 0),
      ),
    ],
  ];
}
