/** `shoal rendezvous`: where the members of clusters find each other. */
import { Command } from "commander";
import { DIAGNOSTICS_DEFAULTS } from "../diagnostics/index.ts";
import { NETWORK_DEFAULTS } from "../network/index.ts";
import { startRendezvous } from "../roles/index.ts";
import {
  bytes,
  common,
  diagnosticsOf,
  listens,
  option,
  required,
  url,
  withCommon,
  withDiagnostics,
} from "./options.ts";
import { runRole } from "./run-role.ts";
import type { TransferFlags } from "../weights/index.ts";
import { transfersOf, withTransfers } from "./transfer-options.ts";

interface RendezvousFlags extends TransferFlags {
  listen: string[];
  api?: string;
  seedDir?: string;
  seedLimit?: number;
}

export function rendezvousCommand(): Command {
  const command = new Command("rendezvous").description(
    "run the server where nodes meet",
  );
  const place = { host: "0.0.0.0", port: DIAGNOSTICS_DEFAULTS.port };
  return withDiagnostics(withTransfers(withCommon(command)), place)
    .addOption(
      option(
        "--listen <addresses>",
        "IP, IP:port or multiaddrs to listen on by QUIC and TCP",
        listens,
      ).default(
        listens(`0.0.0.0:${NETWORK_DEFAULTS.port}`),
        `all interfaces, port ${NETWORK_DEFAULTS.port}`,
      ),
    )
    .addOption(
      option(
        "--api <url>",
        "a gateway's API that the page offers to try; it must allow the page's origin",
        (text) => url(text).origin,
      ),
    )
    .addOption(
      option(
        "--seed-dir <dir>",
        "be a permanent seed: keep parts of the clusters' models there",
      ),
    )
    .addOption(
      option(
        "--seed-limit <size>",
        "disk for that, such as 100GB: anybody may bring a cluster",
        bytes,
      ),
    )
    .action(async (_, self: Command) => {
      const { listen, api, seedDir, seedLimit, ...flags } =
        self.opts<RendezvousFlags>();
      const options = {
        listen,
        api,
        diagnostics: diagnosticsOf(self),
        ...(seedDir !== undefined && {
          seed: {
            directory: seedDir,
            limitBytes: required(seedLimit, "--seed-limit"),
            ...transfersOf(flags),
          },
        }),
      };
      await runRole(common(self), (context) =>
        startRendezvous(options, context),
      );
    });
}
