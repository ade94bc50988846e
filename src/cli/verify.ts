/** `shoal verify`: proves on the real engine that the shards give the whole model's logits, bit for bit. */
import { Command } from "commander";
import { verifyShards } from "../engine/index.ts";
import { ShoalError } from "../lib/index.ts";
import { common, option, wholeNumber, withCommon } from "./options.ts";
import { print } from "./output.ts";
import { newEvents, stopSignal } from "./run-role.ts";

export function verifyCommand(): Command {
  return withCommon(
    new Command("verify").description(
      "prove that shards give the whole model's logits, bit for bit",
    ),
  )
    .argument("<model>", "the GGUF")
    .addOption(
      option("--shards <n>", "how many", wholeNumber(1, 65_535)).default(2),
    )
    .addOption(
      option(
        "--threads <n>",
        "threads for computing",
        wholeNumber(1, 1024),
      ).default(1),
    )
    .action(async (path: string, _, command: Command) => {
      const { shards, threads } = command.opts<{
        shards: number;
        threads: number;
      }>();
      newEvents(common(command));
      const result = await verifyShards({
        path,
        shards,
        threads,
        signal: stopSignal(),
      });
      await print(
        `prefill: ${result.prefillTokens} tokens, largest difference ${result.prefillDifference}\n` +
          `decode:  ${result.decodeTokens} tokens, largest difference ${result.decodeDifference}`,
      );
      if (result.prefillDifference !== 0 || result.decodeDifference !== 0) {
        throw new ShoalError(
          "ENGINE_NOT_EXACT",
          `${shards} shards of ${path} do not give the whole model's logits`,
          { ...result },
        );
      }
      await print(
        `exact: ${shards} shards give the whole model's logits, bit for bit`,
      );
    });
}
