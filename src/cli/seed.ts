/** `shoal seed`: publishes a model for a cluster and serves it from its file. */
import { Command } from "commander";
import { startSeeder } from "../roles/index.ts";
import {
  common,
  diagnosticsOf,
  type MembershipFlags,
  membershipOf,
  option,
  required,
  urls,
  wholeNumber,
  withCommon,
  withDiagnostics,
  withMembership,
} from "./options.ts";
import { runRole } from "./run-role.ts";
import type { TransferFlags } from "../weights/index.ts";
import { transfersOf, withTransfers } from "./transfer-options.ts";

interface SeedFlags extends MembershipFlags, TransferFlags {
  shards?: number;
  replication?: number;
  origin: string[];
}

export function seedCommand(): Command {
  const command = new Command("seed").description(
    "publish a model for a cluster, and serve it from its file",
  );
  return withDiagnostics(withTransfers(withCommon(withMembership(command))), {
    host: "127.0.0.1",
  })
    .argument("<model>", "the GGUF; of a model in several files, any one")
    .addOption(
      option(
        "--shards <n>",
        "into how many shards the cluster cuts it",
        wholeNumber(1, 65_535),
      ),
    )
    .addOption(
      option(
        "--replication <n>",
        "copies of each part that members with --spare keep (default: 2)",
        wholeNumber(1, 64),
      ),
    )
    .addOption(
      option(
        "--origin <urls>",
        "HTTP(S) URLs of the model's files, in order, separated by commas: nodes use them as one more source",
        urls,
      ).default([], "none"),
    )
    .action(async (model: string, _, self: Command) => {
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
