import { z } from "zod";
import { NETWORK_DEFAULTS } from "../network/index.ts";
import { startRendezvous as startRole } from "../roles/index.ts";
import { check, flag, port, someBytes, text } from "./check.ts";
import {
  type DiagnosticsOptions,
  diagnosticsFields,
  diagnosticsOf,
  type ListenOptions,
  listenFields,
  listenOf,
  type TransferOptions,
  transferFields,
  transfersOf,
} from "./member-options.ts";
import { running, type RunningRole, type StartContext } from "./run.ts";

export interface RendezvousOptions
  extends ListenOptions, DiagnosticsOptions, TransferOptions {
  /** A gateway's URL, which the page offers to try. */
  api?: string | undefined;
  /** Connects members with each other that cannot reach each other. Default: true. */
  relay?: boolean | undefined;
  /** Bytes per second that it relays at most, divided among those that send. Default: 32 MiB. */
  relayLimit?: number | undefined;
  /** A folder in which it keeps parts of the clusters' models as a permanent seed. Default: it keeps none. */
  seedDir?: string | undefined;
  /** How large that folder may grow. Needed with `seedDir`: anyone can register a cluster. */
  seedLimitBytes?: number | undefined;
}

const schema = z
  .strictObject({
    ...listenFields,
    port: port.default(NETWORK_DEFAULTS.port),
    ...diagnosticsFields,
    ...transferFields,
    api: z.url({ error: "must be a URL" }).optional(),
    relay: flag.default(true),
    relayLimit: someBytes.optional(),
    seedDir: text("a folder").optional(),
    seedLimitBytes: someBytes.optional(),
  })
  .refine(
    ({ seedDir, seedLimitBytes }) =>
      (seedDir === undefined) === (seedLimitBytes === undefined),
    {
      path: ["seedLimitBytes"],
      error: "must be given together with `seedDir`",
    },
  );

/** Starts the server where the members of clusters meet. Resolves once it listens. */
export async function startRendezvous(
  options: RendezvousOptions = {},
  context: StartContext = {},
): Promise<RunningRole> {
  const given = check("startRendezvous", schema, options);
  const { api, seedDir, seedLimitBytes, relay, relayLimit } = given;
  const role = {
    listen: listenOf(given),
    diagnostics: diagnosticsOf(given),
    api: api === undefined ? undefined : new URL(api).origin,
    relay: relay ? { bytesPerSecond: relayLimit } : undefined,
    ...(seedDir !== undefined &&
      seedLimitBytes !== undefined && {
        seed: {
          directory: seedDir,
          limitBytes: seedLimitBytes,
          ...transfersOf(given),
        },
      }),
  };
  return await running("startRendezvous", context, (c) => startRole(role, c));
}
