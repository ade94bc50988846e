/** `shoal seed`: publishes a model for a cluster and serves it from its file. */
import { Command } from "commander";
import { startSeeder } from "../roles/index.ts";
import {
  common,
  diagnosticsOf,
  examples,
  type MembershipFlags,
  membershipOf,
  option,
  required,
  withDiagnostics,
  withMembership,
} from "./options.ts";
import { runRole } from "./run-role.ts";
import type { TransferFlags } from "../weights/index.ts";
import { transfersOf, withTransfers } from "./transfer-options.ts";
import { urls, wholeNumber } from "./values.ts";

interface SeedFlags extends MembershipFlags, TransferFlags {
  shards?: number;
  replication?: number;
  origin: string[];
}

export function seedCommand(): Command {
  const command = new Command("seed")
    .description("publish a model for a cluster and share it")
    .argument("<model>", "GGUF file; of a model in several files, any one")
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
  withDiagnostics(withTransfers(withMembership(command)), {
    host: "127.0.0.1",
  });
  return examples(
    command,
    "shoal seed model.gguf --bootstrap rendezvous.example.org --cluster friends --shards 3",
  ).action(async (model: string, _, self: Command) => {
    const flags = self.opts<SeedFlags>();
    const options = {
      ...membershipOf(flags),
      shards: required(flags.shards, "--shards"),
      model,
      diagnostics: diagnosticsOf(self),
      origin: flags.origin,
      replication: flags.replication,
      ...transfersOf(flags),
    };
    await runRole(common(self), (context) => startSeeder(options, context));
  });
}
