/** `shoal rendezvous`: where the members of clusters find each other. */
import { Command } from "commander";
import { DIAGNOSTICS_DEFAULTS } from "../diagnostics/index.ts";
import { NETWORK_DEFAULTS } from "../network/index.ts";
import { startRendezvous } from "../roles/index.ts";
import { common, listens, option, port, withCommon } from "./options.ts";
import { runRole } from "./run-role.ts";

interface RendezvousFlags {
  listen: string[];
  diagnosticsHost: string;
  diagnosticsPort: number;
}

export function rendezvousCommand(): Command {
  const command = new Command("rendezvous").description(
    "run the server where nodes meet",
  );
  return withCommon(command)
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
        "--diagnostics-host <address>",
        "address of the status over HTTP",
      ).default("0.0.0.0"),
    )
    .addOption(
      option(
        "--diagnostics-port <port>",
        "port of the status over HTTP",
        port,
      ).default(DIAGNOSTICS_DEFAULTS.port),
    )
    .action(async (_, self: Command) => {
      const options = self.opts<RendezvousFlags>();
      await runRole(common(self), (context) =>
        startRendezvous(options, context),
      );
    });
}
