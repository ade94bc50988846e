/** `shoal rendezvous`: where the members of clusters find each other. */
import { Command, Option } from "commander";
import { DIAGNOSTICS_DEFAULTS } from "../diagnostics/index.ts";
import { NETWORK_DEFAULTS } from "../network/index.ts";
import { startRendezvous } from "../roles/index.ts";
import {
  common,
  diagnosticsOf,
  examples,
  option,
  relayLimitOption,
  required,
  withDiagnostics,
} from "./options.ts";
import { runRole } from "./run-role.ts";
import type { TransferFlags } from "../weights/index.ts";
import { transfersOf, withTransfers } from "./transfer-options.ts";
import { bytes, listens, url } from "./values.ts";

interface RendezvousFlags extends TransferFlags {
  listen: string[];
  api?: string;
  seedDir?: string;
  seedLimit?: number;
  relay: boolean;
  relayLimit?: number;
}

export function rendezvousCommand(): Command {
  const command = new Command("rendezvous")
    .description("run the server where the members of clusters meet")
    .optionsGroup("Rendezvous options:")
    .addOption(
      option(
        "--listen <addresses>",
        "addresses to listen on over QUIC and TCP: IP, IP:port or multiaddr",
        (text) => listens(text, NETWORK_DEFAULTS.port),
      ).default(
        listens("0.0.0.0", NETWORK_DEFAULTS.port),
        `all interfaces, port ${NETWORK_DEFAULTS.port}`,
      ),
    )
    .addOption(
      option(
        "--api <url>",
        "URL of a gateway that the page offers to try; the gateway must allow the page's origin (--cors-origin)",
        (text) => url(text).origin,
      ),
    )
    .optionsGroup("Relay options:")
    .addOption(
      new Option(
        "--no-relay",
        "do not connect members with each other that cannot reach each other",
      ),
    )
    .addOption(relayLimitOption())
    .optionsGroup("Seed options:")
    .addOption(
      option(
        "--seed-dir <dir>",
        "keep parts of the clusters' models in this folder and share them",
      ),
    )
    .addOption(
      option(
        "--seed-limit <size>",
        "maximum size of --seed-dir, such as 100GB (anyone can register a cluster here)",
        bytes,
      ),
    );
  withDiagnostics(withTransfers(command), {
    host: "0.0.0.0",
    port: DIAGNOSTICS_DEFAULTS.port,
  });
  return examples(
    command,
    "shoal rendezvous",
    "shoal rendezvous --listen 0.0.0.0:4000 --seed-dir /srv/shoal --seed-limit 100GB",
  ).action(async (_, self: Command) => {
    const { listen, api, seedDir, seedLimit, relay, relayLimit, ...flags } =
      self.opts<RendezvousFlags>();
    const options = {
      listen,
      api,
      relay: relay ? { bytesPerSecond: relayLimit } : undefined,
      diagnostics: diagnosticsOf(self),
      ...(seedDir !== undefined && {
        seed: {
          directory: seedDir,
          limitBytes: required(seedLimit, "--seed-limit"),
          ...transfersOf(flags),
        },
      }),
    };
    await runRole(common(self), (context) => startRendezvous(options, context));
  });
}
