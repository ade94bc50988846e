/** `shoal rendezvous`: where the members of clusters find each other. */
import { Command } from "commander";
import { NETWORK_DEFAULTS } from "../network/index.ts";
import { startRendezvous } from "../roles/index.ts";
import { common, listens, option, withCommon } from "./options.ts";
import { runRole } from "./run-role.ts";

export function rendezvousCommand(): Command {
  const listen = option(
    "--listen <addresses>",
    "IP, IP:port or multiaddrs to listen on by QUIC and TCP",
    listens,
  ).default(
    listens(`0.0.0.0:${NETWORK_DEFAULTS.port}`),
    `all interfaces, port ${NETWORK_DEFAULTS.port}`,
  );
  return withCommon(
    new Command("rendezvous")
      .description("run the server where nodes meet")
      .addOption(listen),
  ).action(async (_, command: Command) => {
    const options = command.opts<{ listen: string[] }>();
    await runRole(common(command), (context) =>
      startRendezvous({ listen: options.listen }, context),
    );
  });
}
