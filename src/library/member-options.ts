/** Options that several roles share. */
import { isIP } from "node:net";
import { z } from "zod";
import { parseListen, parseTarget } from "../network/index.ts";
import {
  durationMs,
  flag,
  parsed,
  port,
  someBytes,
  text,
  whole,
} from "./check.ts";

/** Where a role listens for other members. */
export interface ListenOptions {
  /** The IP address to listen on, over QUIC and TCP. Default: "0.0.0.0", all IPv4 interfaces. */
  host?: string | undefined;
  /** The port, the same for UDP and TCP; 0 is any free one. Default: 51820 for a rendezvous, 0 for all others. */
  port?: number | undefined;
}

/** How a member finds its cluster. */
export interface MemberOptions extends ListenOptions {
  /**
   * The rendezvous, or any members: "host", "host:port" or a multiaddr, each with or without "/p2p/<peer id>". The `addresses` of a role
   * that runs in this process can be given as they are. Default: members in the local network are found by mDNS.
   */
  bootstrap?: string | readonly string[] | undefined;
  /** The cluster's name. */
  cluster: string;
  /** Give up if no bootstrap answers for so long. Default: 30 s. */
  bootstrapTimeoutMs?: number | undefined;
}

/** A role's own page: its status, events and metrics over HTTP. */
export interface DiagnosticsOptions {
  /** The page's port; 0 is any free one. Without it the role has no page. */
  diagnosticsPort?: number | undefined;
  /** The page's address. Default: "127.0.0.1". */
  diagnosticsHost?: string | undefined;
}

/** How long prompts wait. */
export interface PatienceOptions {
  /** Seconds that a prompt waits while the cluster is not ready; 0 fails at once. Default: 30. */
  readyTimeout?: number | undefined;
  /** Seconds that a reply waits after a machine was lost, until others go on with it; 0 fails at once. Default: 60. */
  recoveryTimeout?: number | undefined;
}

/** How pieces of the model move. */
export interface TransferOptions {
  /** TCP port of the transfers; 0, the default, is any free one. */
  transferPort?: number | undefined;
  /** Default: no limit. */
  uploadBytesPerSecond?: number | undefined;
  /** Default: no limit. */
  downloadBytesPerSecond?: number | undefined;
  /** Peers that are served at once; the others take turns. Default: 8. */
  uploadSlots?: number | undefined;
}

/** More are typed by nobody. */
const MAX_BOOTSTRAPS = 64;
const ADDRESSES = "must be an address or a list of addresses";

const bootstrap = z
  .union([text("an address"), z.array(text("an address")).readonly()], {
    error: ADDRESSES,
  })
  .transform((given, context) => {
    const all = typeof given === "string" ? [given] : [...given];
    if (all.length === 0 || all.length > MAX_BOOTSTRAPS)
      context.addIssue({
        code: "custom",
        message: `must have 1 to ${MAX_BOOTSTRAPS} addresses`,
      });
    for (const one of all) parsed(parseTarget)(one, context);
    return all;
  });

/** As a URL and parseListen have it. */
const address = z
  .string({ error: "must be an IP address" })
  .refine((host) => isIP(host) !== 0, { error: "must be an IP address" });

export const listenFields = {
  host: address.default("0.0.0.0"),
  port: port.default(0),
};

export const memberFields = {
  ...listenFields,
  bootstrap: bootstrap.optional(),
  cluster: text("the cluster's name", 128),
  bootstrapTimeoutMs: durationMs.default(30_000),
};

export const diagnosticsFields = {
  diagnosticsPort: port.optional(),
  diagnosticsHost: text("an address").default("127.0.0.1"),
};

const patience = whole(0, 3600).optional();
export const patienceFields = {
  readyTimeout: patience,
  recoveryTimeout: patience,
};

export const transferFields = {
  transferPort: port.optional(),
  uploadBytesPerSecond: someBytes.optional(),
  downloadBytesPerSecond: someBytes.optional(),
  uploadSlots: whole(1, 1024).optional(),
};

export const share = flag.default(true);

export function listenOf(given: { host: string; port: number }): string[] {
  const host = isIP(given.host) === 6 ? `[${given.host}]` : given.host;
  return parseListen(`${host}:${given.port}`);
}

/** As the roles have it. */
export function membershipOf(given: {
  host: string;
  port: number;
  bootstrap?: string[] | undefined;
  cluster: string;
  bootstrapTimeoutMs: number;
}): {
  bootstraps: string[];
  cluster: string;
  listen: string[];
  bootstrapTimeoutMs: number;
} {
  const { bootstrap = [], cluster, bootstrapTimeoutMs } = given;
  return {
    bootstraps: bootstrap,
    cluster,
    bootstrapTimeoutMs,
    listen: listenOf(given),
  };
}

export function diagnosticsOf(given: {
  diagnosticsPort?: number | undefined;
  diagnosticsHost: string;
}): { host: string; port: number } | undefined {
  const { diagnosticsHost: host, diagnosticsPort: port } = given;
  return port === undefined ? undefined : { host, port };
}

function inMs(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000;
}

export function patienceOf(given: PatienceOptions): {
  readyTimeoutMs: number | undefined;
  recoveryTimeoutMs: number | undefined;
} {
  return {
    readyTimeoutMs: inMs(given.readyTimeout),
    recoveryTimeoutMs: inMs(given.recoveryTimeout),
  };
}

export function transfersOf(given: TransferOptions): {
  transferPort: number | undefined;
  uploadLimit: number | undefined;
  downloadLimit: number | undefined;
  uploadSlots: number | undefined;
} {
  return {
    transferPort: given.transferPort,
    uploadLimit: given.uploadBytesPerSecond,
    downloadLimit: given.downloadBytesPerSecond,
    uploadSlots: given.uploadSlots,
  };
}
