/** `shoal inspect`: what a file is: a model, a shard of one, or a manifest. */
import { Command } from "commander";
import { formatBytes } from "../lib/index.ts";
import { type FileInfo, type GgufInfo, inspectFile } from "../model/index.ts";
import { print } from "./output.ts";

export function inspectCommand(): Command {
  return new Command("inspect")
    .description("show what a file is: a model, a shard or a manifest")
    .argument("<file>", "a GGUF or a manifest")
    .action(async (path: string) => {
      const lines = linesOf(await inspectFile(path));
      const width = Math.max(...lines.map(([name]) => name.length));
      for (const [name, value] of lines)
        await print(`${name.padEnd(width)}  ${value}`);
    });
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
        ["head", info.tied ? "tied to the embedding" : "of its own"],
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
        ["takes", info.isFirst ? "token ids" : "activations"],
        ["gives", info.isLast ? "logits" : "activations"],
      ];
    case "gguf":
      return [
        ["kind", "GGUF"],
        ...ggufLines(info),
        ["not servable", info.reason],
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
