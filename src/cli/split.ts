/** `shoal split`: cuts a model into shards that stock llama.cpp loads. */
import { Command } from "commander";
import { formatBytes } from "../lib/index.ts";
import { splitModel } from "../model/index.ts";
import {
  common,
  option,
  required,
  wholeNumber,
  withCommon,
} from "./options.ts";
import { print } from "./output.ts";
import { newEvents, stopSignal } from "./run-role.ts";

export function splitCommand(): Command {
  return withCommon(
    new Command("split").description(
      "cut a GGUF into shards and write its manifest",
    ),
  )
    .argument("<model>", "the GGUF; of a model in several files, any one")
    .addOption(option("--shards <n>", "how many", wholeNumber(1, 65_535)))
    .addOption(option("--out <dir>", "folder to write to"))
    .action(async (path: string, _, command: Command) => {
      const { shards, out } = command.opts<{ shards?: number; out?: string }>();
      newEvents(common(command));
      const outDir = required(out, "--out");
      const result = await splitModel({
        path,
        shards: required(shards, "--shards"),
        outDir,
        signal: stopSignal(),
      });
      for (const [index, shard] of result.shards.entries()) {
        await print(
          `shard-${index}.gguf  layers ${shard.layerStart}-${shard.layerEnd - 1}  ${formatBytes(shard.sizeBytes)}`,
        );
      }
      await print(`manifest.cbor  ${result.id}`);
    });
}
