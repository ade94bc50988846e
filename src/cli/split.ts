/** `shoal split`: cuts a model into shards that stock llama.cpp loads. */
import { Command } from "commander";
import { checkModel } from "../engine/index.ts";
import { localModel } from "../hub/index.ts";
import { formatBytes } from "../lib/index.ts";
import { splitModel } from "../model/index.ts";
import { common, examples, MODEL_HELP, option, required } from "./options.ts";
import { printJson, printLines } from "./output.ts";
import { newModelEvents, stopSignal } from "./run-role.ts";
import { wholeNumber } from "./values.ts";

interface SplitFlags {
  shards?: number;
  out?: string;
  json?: boolean;
}

export function splitCommand(): Command {
  const command = new Command("split")
    .description("cut a GGUF into shards and write its manifest")
    .argument("<model>", MODEL_HELP)
    .optionsGroup("Split options:")
    .addOption(
      option("--shards <n>", "number of shards", wholeNumber(1, 65_535)),
    )
    .addOption(option("--out <dir>", "folder to write to"))
    .addOption(option("--json", "print what was written as JSON"));
  return examples(
    command,
    "shoal split model.gguf --shards 3 --out shards/",
  ).action(async (model: string, _, self: Command) => {
    const { shards, out, json } = self.opts<SplitFlags>();
    const events = newModelEvents(self, model);
    const outDir = required(out, "--out");
    const count = required(shards, "--shards");
    const signal = stopSignal();
    const { paths } = common(self);
    const path = await localModel(model, {
      events,
      paths,
      signal,
      shards: count,
    });
    await checkModel(path);
    const result = await splitModel({
      path,
      shards: count,
      outDir,
      signal,
    });
    const written = result.shards.map((shard, index) => ({
      file: `shard-${index}.gguf`,
      layerStart: shard.layerStart,
      layerEnd: shard.layerEnd,
      sizeBytes: shard.sizeBytes,
    }));
    if (json === true) {
      await printJson({ manifest: result.id, shards: written });
      return;
    }
    const lines = written.map(
      ({ file, layerStart, layerEnd, sizeBytes }) =>
        `${file}  layers ${layerStart}-${layerEnd - 1}  ${formatBytes(sizeBytes)}`,
    );
    await printLines([...lines, `manifest.cbor  ${result.id}`], common(self));
  });
}
