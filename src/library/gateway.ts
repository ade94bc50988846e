import { z } from "zod";
import { GATEWAY_DEFAULTS } from "../gateway/index.ts";
import { ShoalError } from "../lib/index.ts";
import { startGateway as startRole } from "../roles/index.ts";
import { check, port, text } from "./check.ts";
import {
  type DiagnosticsOptions,
  diagnosticsFields,
  diagnosticsOf,
  memberFields,
  type MemberOptions,
  membershipOf,
  patienceFields,
  patienceOf,
  type PatienceOptions,
} from "./member-options.ts";
import { Readiness, type ReadyOptions } from "./readiness.ts";
import { running, type RunningRole, type StartContext } from "./run.ts";

export interface GatewayOptions
  extends MemberOptions, DiagnosticsOptions, PatienceOptions {
  /** The API's address. Default: "127.0.0.1". */
  apiHost?: string | undefined;
  /** The API's port; 0 is any free one. Default: 51822. */
  apiPort?: number | undefined;
  /** Answer only requests that carry this key. Default: anyone who reaches it may use it. */
  apiKey?: string | undefined;
  /** A file of keys with limits and models of their own: see docs/OPERATIONS.md. Read again when it changes. */
  apiKeys?: string | undefined;
  /** Origins whose pages may use the API from a browser, separated by commas, or "*". Default: none. */
  corsOrigin?: string | undefined;
  /** Host names under which it may be asked without a key, besides the machine's own. Default: none. */
  allowHosts?: readonly string[] | undefined;
  /** Refuse requests with unknown fields or another model's name. Default: false, as others do. */
  strict?: boolean | undefined;
}

export interface RunningGateway extends RunningRole {
  /** Where it answers; OpenAI's clients want `${url}/v1`. */
  readonly url: string;
  /** Resolves once prompts can be answered; rejects with SWARM_NOT_READY and the reason. */
  ready(options?: ReadyOptions): Promise<void>;
}

const schema = z.strictObject({
  ...memberFields,
  ...diagnosticsFields,
  ...patienceFields,
  apiHost: text("an address").default(GATEWAY_DEFAULTS.host),
  apiPort: port.default(GATEWAY_DEFAULTS.port),
  apiKey: text("a key").optional(),
  apiKeys: text("a file").optional(),
  corsOrigin: text("an origin").optional(),
  allowHosts: z.array(text("a host name"), "must be a list").optional(),
  strict: z.boolean("must be true or false").optional(),
});

/** Starts the API in front of a cluster. Resolves once it listens and has joined: see `ready`. */
export async function startGateway(
  options: GatewayOptions,
  context: StartContext = {},
): Promise<RunningGateway> {
  const given = check("startGateway", schema, options);
  const { apiHost, apiPort, apiKey, apiKeys, corsOrigin } = given;
  const readiness = new Readiness();
  const role = {
    ...membershipOf(given),
    ...patienceOf(given),
    diagnostics: diagnosticsOf(given),
    apiHost,
    apiPort,
    apiKey,
    apiKeys,
    corsOrigin,
    allowHosts: given.allowHosts?.map((name) => name.toLowerCase()),
    strict: given.strict,
    onReady: (ready: boolean) => readiness.set(ready),
  };
  const gateway = await running("startGateway", context, (c) =>
    startRole(role, c),
  );
  const { url = "" } = gateway;
  return {
    ...gateway,
    url,
    ready: (wait) => readiness.wait("ready", () => reasonOf(url), wait),
  };
}

/** It is in this process: it answers at once or not at all. */
const HEALTH_MS = 2_000;

/** What the gateway itself says. */
async function reasonOf(url: string): Promise<ShoalError | undefined> {
  const health = await fetch(`${url}/health`, {
    signal: AbortSignal.timeout(HEALTH_MS),
  }).then(
    (response): Promise<unknown> => response.json(),
    () => undefined,
  );
  const said = z.object({ reason: z.string() }).safeParse(health);
  return said.success
    ? new ShoalError("SWARM_NOT_READY", said.data.reason)
    : undefined;
}
