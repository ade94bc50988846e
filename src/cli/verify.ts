/** `shoal verify`: proves on the real engine that the shards give the whole model's logits, bit for bit. */
import { Command } from "commander";
import { verifyShards } from "../engine/index.ts";
import { localModel } from "../hub/index.ts";
import { ShoalError } from "../lib/index.ts";
import { common, examples, MODEL_HELP, option } from "./options.ts";
import { printJson, printLines } from "./output.ts";
import { newModelEvents, stopSignal } from "./run-role.ts";
import { wholeNumber } from "./values.ts";

interface VerifyFlags {
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
    )
    .addOption(option("--json", "print the differences as JSON"));
  return examples(command, "shoal verify model.gguf --shards 3").action(
    async (model: string, _, self: Command) => {
      const { shards, threads, json } = self.opts<VerifyFlags>();
      const events = newModelEvents(self, model);
      const signal = stopSignal();
      const { paths } = common(self);
      const path = await localModel(model, { events, paths, signal, shards });
      const result = await verifyShards({
        path,
        shards,
        threads,
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
