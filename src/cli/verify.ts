/** `shoal verify`: proves on the real engine that the shards give the whole model's logits, bit for bit. */
import { Command } from "commander";
import { chooseGpu, engineOn, verifyShards } from "../engine/index.ts";
import { localModel } from "../hub/index.ts";
import { ShoalError } from "../lib/index.ts";
import { type GpuFlags, withGpu } from "./gpu-options.ts";
import { common, examples, MODEL_HELP, option } from "./options.ts";
import { printJson, printLines } from "./output.ts";
import { newModelEvents, stopSignal } from "./run-role.ts";
import { wholeNumber } from "./values.ts";

interface VerifyFlags extends GpuFlags {
  shards: number;
  threads: number;
  json?: boolean;
}

export function verifyCommand(): Command {
  const command = new Command("verify")
    .description(
      "prove that the shards give the whole model's logits, bit for bit",
    )
    .argument("<model>", MODEL_HELP)
    .optionsGroup("Verify options:")
    .addOption(
      option(
        "--shards <n>",
        "number of shards",
        wholeNumber(1, 65_535),
      ).default(2),
    )
    .addOption(
      option(
        "--threads <n>",
        "threads that compute",
        wholeNumber(1, 1024),
      ).default(1),
    );
  withGpu(command)
    .optionsGroup("Output options:")
    .addOption(option("--json", "print the differences as JSON"));
  return examples(command, "shoal verify model.gguf --shards 3").action(
    async (model: string, _, self: Command) => {
      const { shards, threads, gpu, gpuLayers, json } =
        self.opts<VerifyFlags>();
      const events = newModelEvents(self, model);
      const signal = stopSignal();
      const { paths } = common(self);
      const path = await localModel(model, { events, paths, signal, shards });
      const choice = await chooseGpu(gpu);
      for (const line of choice.problems) events.warn("ENGINE", line);
      const result = await verifyShards({
        path,
        shards,
        threads,
        on: engineOn(choice, gpuLayers),
        signal,
      });
      const exact =
        result.prefillDifference === 0 && result.decodeDifference === 0;
      const words = `${shards} shards give the whole model's logits, bit for bit`;
      if (json === true) await printJson({ exact, ...result });
      else
        await printLines(
          [
            `prefill: ${result.prefillTokens} tokens, largest difference ${result.prefillDifference}`,
            `decode:  ${result.decodeTokens} tokens, largest difference ${result.decodeDifference}`,
            ...(exact ? [`exact: ${words}`] : []),
          ],
          common(self),
        );
      if (!exact)
        throw new ShoalError(
          "ENGINE_NOT_EXACT",
          `${shards} shards of ${path} do not give the whole model's logits`,
          { ...result },
        );
    },
  );
}
