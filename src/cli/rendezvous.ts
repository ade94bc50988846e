/** `shoal rendezvous`: where the members of clusters find each other. */
import { Command } from "commander";
import { DIAGNOSTICS_DEFAULTS } from "../diagnostics/index.ts";
import { NETWORK_DEFAULTS } from "../network/index.ts";
import { startRendezvous } from "../roles/index.ts";
import {
  common,
  diagnosticsOf,
  listens,
  option,
  withCommon,
  withDiagnostics,
} from "./options.ts";
import { runRole } from "./run-role.ts";

interface RendezvousFlags {
  listen: string[];
  api?: string;
}

export function rendezvousCommand(): Command {
  const command = new Command("rendezvous").description(
    "run the server where nodes meet",
  );
  const place = { host: "0.0.0.0", port: DIAGNOSTICS_DEFAULTS.port };
  return withDiagnostics(withCommon(command), place)
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
        (text) => new URL(text).origin,
      ),
    )
    .action(async (_, self: Command) => {
      const { listen, api } = self.opts<RendezvousFlags>();
      const options = { listen, api, diagnostics: diagnosticsOf(self) };
      await runRole(common(self), (context) =>
        startRendezvous(options, context),
      );
    });
}
