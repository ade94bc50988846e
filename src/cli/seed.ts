/** `shoal seed`: publishes a model for a cluster and serves it from its file. */
import { Command } from "commander";
import { localModel } from "../hub/index.ts";
import { startSeeder } from "../roles/index.ts";
import {
  common,
  diagnosticsOf,
  examples,
  type MembershipFlags,
  membershipOf,
  MODEL_HELP,
  option,
  required,
  withDiagnostics,
  withMembership,
} from "./options.ts";
import { type ModeFlags, withMode } from "./mode-options.ts";
import { runRole } from "./run-role.ts";
import type { TransferFlags } from "../weights/index.ts";
import { transfersOf, withTransfers } from "./transfer-options.ts";
import { urls, wholeNumber } from "./values.ts";

interface SeedFlags extends MembershipFlags, TransferFlags, ModeFlags {
  shards?: number;
  replication?: number;
  origin: string[];
}

export function seedCommand(): Command {
  const command = new Command("seed")
    .description("publish a model for a cluster and share it")
    .argument("<model>", MODEL_HELP)
    .optionsGroup("Model options:")
    .addOption(
      option(
        "--shards <n>",
        "number of shards to cut the model into",
        wholeNumber(1, 65_535),
      ),
    )
    .addOption(
      option(
        "--replication <n>",
        "copies of each part that members with --spare should keep (default: 2)",
        wholeNumber(1, 64),
      ),
    )
    .addOption(
      option(
        "--origin <urls>",
        "HTTP(S) URLs of the model's files, in order, separated by commas: one more source for the nodes",
        urls,
      ).default([], "none"),
    );
  withMode(command);
  withDiagnostics(withTransfers(withMembership(command)), {
    host: "127.0.0.1",
  });
  return examples(
    command,
    "shoal seed model.gguf --bootstrap rendezvous.example.org --cluster friends --shards 3",
    "shoal seed hf:owner/repo:Q4_K_M --bootstrap rendezvous.example.org --cluster friends --shards 3",
  ).action(async (model: string, _, self: Command) => {
    const flags = self.opts<SeedFlags>();
    const options = {
      ...membershipOf(flags),
      shards: required(flags.shards, "--shards"),
      model,
      diagnostics: diagnosticsOf(self),
      origin: flags.origin,
      replication: flags.replication,
      kv: flags.kv,
      batch: flags.batch,
      ...transfersOf(flags),
    };
    await runRole(common(self), async (context) => {
      const { shards } = options;
      const path = await localModel(model, { ...context, shards });
      return await startSeeder({ ...options, model: path }, context);
    });
  });
}
