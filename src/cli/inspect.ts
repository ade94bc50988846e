/** `shoal inspect`: what a file is: a model, a shard of one, or a manifest. */
import { Command } from "commander";
import { inspectModelFile } from "../engine/index.ts";
import { findModel, isRemote } from "../hub/index.ts";
import { formatBytes } from "../lib/index.ts";
import {
  type FileInfo,
  type GgufInfo,
  listOfCounts,
  servedAsText,
} from "../model/index.ts";
import { common, examples, option, quiet } from "./options.ts";
import { printJson, printLines, tell } from "./output.ts";
import { newEvents, stopSignal } from "./run-role.ts";

export function inspectCommand(): Command {
  const command = new Command("inspect")
    .description(
      "show what a file is: a model, a shard or a manifest. Of a file of the model hub, or at an https: address, only the header is read",
    )
    .argument(
      "<file>",
      "GGUF file or manifest, hf:owner/repo:Q4_K_M of the model hub, or an https: address",
    )
    .optionsGroup("Output options:")
    .addOption(option("--json", "print it as JSON"));
  return examples(
    command,
    "shoal inspect model.gguf",
    "shoal inspect shards/manifest.cbor --json",
    "shoal inspect hf:owner/repo:Q4_K_M",
  ).action(async (path: string, _, self: Command) => {
    const info = await inspect(path, self);
    if (self.opts<{ json?: boolean }>().json === true) {
      await printJson(info);
      return;
    }
    const lines = linesOf(info);
    const width = Math.max(...lines.map(([name]) => name.length));
    await printLines(
      lines.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
      common(self),
    );
  });
}

/** Of a model that is not on this machine, llama.cpp is not asked: it would need the file. */
async function inspect(path: string, self: Command): Promise<FileInfo> {
  if (!isRemote(path)) return await inspectModelFile(path);
  const events = newEvents(quiet(self, "warn"), process.stderr);
  const { paths } = common(self);
  const signal = stopSignal();
  const found = await findModel(path, { events, paths, signal });
  const { open, isHere } = found;
  if (open === undefined || isHere)
    return await inspectModelFile(found.path, { signal });
  tell(`${path} is not on this machine: only its header is read`);
  return await inspectModelFile(found.path, { signal, open });
}

type Lines = [name: string, value: string | number][];

function linesOf(info: FileInfo): Lines {
  switch (info.kind) {
    case "model":
      return [
        ["kind", "model"],
        ["name", info.name],
        ...ggufLines(info),
        ["layers", info.layerCount],
        ["embedding length", info.embeddingLength],
        ["context", info.contextLength],
        ["vocabulary", info.vocabSize],
        ["quantization", info.quantization],
        ["shards", listOfCounts(info.shardCounts)],
        ["head", info.tied ? "tied to the embedding" : "separate"],
        ...(info.projectors.length > 0
          ? ([["images", servedAsText(info.projectors)]] satisfies Lines)
          : []),
      ];
    case "shard":
      return [
        ["kind", "shard"],
        ...ggufLines(info),
        ["model", info.manifest ?? "-"],
        [
          "layers",
          `${info.layerStart}-${info.layerEnd - 1} of ${info.layerCount}`,
        ],
        ["input", info.isFirst ? "token ids" : "activations"],
        ["output", info.isLast ? "logits" : "activations"],
      ];
    case "gguf":
      return [
        ["kind", "GGUF"],
        ...ggufLines(info),
        ["cannot be served", info.reason],
      ];
    case "manifest":
      return [
        ["kind", "manifest"],
        ["model", info.manifest],
        ["name", info.name],
        ["architecture", info.architecture],
        ["quantization", info.quantization],
        ["layers", info.layerCount],
        ["parts", info.parts],
        ["size", formatBytes(info.sizeBytes)],
      ];
    default:
      return info satisfies never;
  }
}

function ggufLines(info: GgufInfo): Lines {
  const types = Object.entries(info.tensors);
  const count = types.reduce((sum, [, of]) => sum + of, 0);
  return [
    ["files", info.files],
    ["size", formatBytes(info.sizeBytes)],
    ["architecture", info.architecture ?? "-"],
    ["key-values", info.keyValues],
    [
      "tensors",
      `${count} (${types.map(([t, of]) => `${of} ${t}`).join(", ")})`,
    ],
  ];
}
