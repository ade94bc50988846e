/** `shoal serve`: the API in front of clusters. */
import { Command } from "commander";
import { GATEWAY_DEFAULTS } from "../gateway/index.ts";
import { startGateway } from "../roles/index.ts";
import {
  common,
  diagnosticsOf,
  examples,
  type MembershipFlags,
  membershipOf,
  ollamaOption,
  option,
  withDiagnostics,
  withMembership,
} from "./options.ts";
import { type PatienceFlags, withPatience } from "./patience-options.ts";
import {
  requestsOf,
  type RequestFlags,
  withRequests,
} from "./request-options.ts";
import { runRole } from "./run-role.ts";
import { port } from "./values.ts";

interface ServeFlags extends MembershipFlags, PatienceFlags, RequestFlags {
  apiHost: string;
  apiPort: number;
  apiKey?: string;
  apiKeys?: string;
  corsOrigin?: string;
  ollama?: number;
}

export function serveCommand(): Command {
  const command = new Command("serve")
    .description(
      "offer the API, which is OpenAI's, Anthropic's, Ollama's and llama-server's at one address, for the models of clusters",
    )
    .optionsGroup("API options:")
    .addOption(
      option("--api-host <address>", "address of the API").default(
        GATEWAY_DEFAULTS.host,
      ),
    )
    .addOption(
      option(
        "--api-port <port>",
        "port of the API; 0 picks a free one",
        port,
      ).default(GATEWAY_DEFAULTS.port),
    )
    .addOption(
      option("--api-key <key>", "accept only requests that carry this key"),
    )
    .addOption(
      option(
        "--api-keys <file>",
        "accept only requests that carry a key of this file, JSON or YAML, each with limits and models of its own; read again when it changes",
      ),
    )
    .addOption(
      option(
        "--cors-origin <origins>",
        "web origins that may use the API, separated by commas",
      ),
    )
    .addOption(ollamaOption());
  withRequests(command);
  withPatience(command);
  withMembership(
    command,
    'name of the cluster; separate several with commas; "*" is all that the bootstraps tell of',
  );
  withDiagnostics(command, { host: "127.0.0.1" });
  return examples(
    command,
    "shoal serve --bootstrap rendezvous.example.org --cluster friends",
    "shoal serve --bootstrap rendezvous.example.org --cluster '*' --api-keys keys.yaml",
  ).action(async (_, self: Command) => {
    const flags = self.opts<ServeFlags>();
    const options = {
      ...membershipOf(flags),
      apiHost: flags.apiHost,
      apiPort: flags.apiPort,
      apiKey: flags.apiKey,
      apiKeys: flags.apiKeys,
      corsOrigin: flags.corsOrigin,
      ollamaPort: flags.ollama,
      ...requestsOf(flags),
      readyTimeoutMs: flags.readyTimeout * 1000,
      recoveryTimeoutMs: flags.recoveryTimeout * 1000,
      diagnostics: diagnosticsOf(self),
    };
    await runRole(common(self), (context, tell) =>
      startGateway(
        { ...options, onReady: (ready) => tell({ type: "swarm", ready }) },
        context,
      ),
    );
  });
}
