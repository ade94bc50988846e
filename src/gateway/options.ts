/** The gateway's options and their defaults. */
import { z } from "zod";
import {
  ShoalError,
  systemClock,
  type Clock,
  type EventSink,
} from "../lib/index.ts";
import type { Backend } from "../inference/index.ts";
import type { ParseContext } from "./api.ts";
import type { Keys } from "./keys/keys.ts";
import { unknownFields } from "./unknown-fields.ts";

export interface GatewayOptions {
  backend: Backend;
  events: EventSink;
  /** Address to listen on. "localhost" is 127.0.0.1. */
  host?: string;
  /** 0 takes any free port; `address` tells which. */
  port?: number;
  /** Also listen on 127.0.0.1 at this port, where Ollama's clients look; "/" says there what Ollama's does. Taken: a warning, no more. 0 takes any free one. */
  ollamaPort?: number;
  /** If set, everything except /health answers only requests with `Authorization: Bearer <apiKey>` or `X-Api-Key: <apiKey>`. */
  apiKey?: string;
  /** Several keys, each with limits; a request needs one of them, or `apiKey`. */
  keys?: Keys;
  /** The origins whose pages may use the API from a browser, comma-separated, or "*". If unset, none may. */
  corsOrigin?: string;
  /** Port of this gateway's own page, which may use the API too when requested by the same host name. */
  pagePort?: number;
  /** Names in a request's Host besides the machine's own: lower case, without a port. */
  allowHosts?: readonly string[];
  /** Refuse requests with fields that are not known here; else they are told once each. */
  strict?: boolean;
  /** Largest request body. */
  bodyLimitBytes?: number;
  /** Requests handled at once, each with its body in memory; the next gets BUSY. */
  maxRequests?: number;
  /** Of their bodies together; the next gets BUSY. */
  maxBodiesBytes?: number;
  /** From the prompt to its first token. */
  firstTokenTimeoutMs?: number;
  /** From one token to the next. */
  tokenTimeoutMs?: number;
  /** Between two signs of life of a stream without text. */
  aliveMs?: number;
  /** How long a client may leave its answer unread. */
  writeTimeoutMs?: number;
  /** How long `stop()` lets running requests continue. */
  drainMs?: number;
  clock?: Clock;
  /** The seed of a request that gives none: an unsigned 32-bit number. */
  randomSeed?: () => number;
}

/** The defaults, with the reason for each. */
export const GATEWAY_DEFAULTS = Object.freeze({
  /** This machine only: without `apiKey` the API has no authentication. */
  host: "127.0.0.1",
  port: 51822,
  allowHosts: Object.freeze([]),
  strict: false,
  /** A million words; contexts are shorter. */
  bodyLimitBytes: 4 * 1024 * 1024,
  /** More than wait for one cluster, so that a full queue refuses, which knows whose turn it is. */
  maxRequests: 512,
  maxBodiesBytes: 512 * 1024 * 1024,
  /** Queue and prefill of a long prompt on slow machines; the openai client gives up after the same 10 minutes. */
  firstTokenTimeoutMs: 600_000,
  /** Longer than an engine's longest decode, and than a recovery that computes all so far again: this deadline is the last resort. */
  tokenTimeoutMs: 600_000,
  /** Proxies and clients often give up after 15 s or more without a byte. */
  aliveMs: 5_000,
  /** A client that sleeps longer occupies KV that others wait for. */
  writeTimeoutMs: 30_000,
  /** A stopping program has 5 s; aborting and reporting take the rest. */
  drainMs: 3_000,
  clock: systemClock,
  randomSeed: () => Math.floor(Math.random() * 2 ** 32),
});

/** A stream's headers leave so long after its reply began, at the latest. A stage that is full or lost says so sooner. */
export const OPEN_AFTER_MS = 500;
/** And so long after its request came. Proxies give up after 30 to 300 s. */
export const SILENCE_MS = 15_000;
/** How long the tokenizer may take for the largest body. */
export const TOKENIZE_TIMEOUT_MS = 30_000;
/** A client has this long to send its headers, and its whole request (4 MiB at 70 KB/s). */
export const HEADERS_TIMEOUT_MS = 15_000;
export const REQUEST_TIMEOUT_MS = 60_000;
/** In the path of /v1/models/…; Fastify's default of 100 is shorter than some repositories' names. */
export const MAX_MODEL_NAME_CHARS = 512;
/** Names that an operator lists. */
const MAX_HOSTS = 64;
/** Open sockets; most are idle keep-alives. Beyond this the system refuses. */
export const MAX_CONNECTIONS = 1024;

type Unset = "apiKey" | "keys" | "corsOrigin" | "pagePort" | "ollamaPort";

export type GatewaySettings = Required<Omit<GatewayOptions, Unset>> &
  Pick<GatewayOptions, Unset> & {
    parsing: ParseContext;
  };

function whole(min: number, max: number): z.ZodNumber {
  const error = `to be ${min} to ${max}`;
  return z
    .number({ error })
    .int({ error })
    .min(min, { error })
    .max(max, { error });
}
const duration = whole(1, 2 ** 31 - 1);

const checked = z.object({
  host: z.string({ error: "to be an address" }).min(1, "to be an address"),
  port: whole(0, 65_535),
  apiKey: z
    .string({ error: "to be a string" })
    .min(1, "not to be empty")
    .optional(),
  corsOrigin: z
    .string({ error: "to be an origin" })
    .regex(
      /^(\*|https?:\/\/[^/\s,]+(,https?:\/\/[^/\s,]+)*)$/,
      'to be "*" or an origin such as http://localhost:3000',
    )
    .optional(),
  pagePort: whole(1, 65_535).optional(),
  ollamaPort: whole(0, 65_535).optional(),
  allowHosts: z
    .array(
      z
        .string()
        .regex(/^[a-z0-9._-]{1,253}$/, "to be host names without ports"),
      { error: "to be a list of host names" },
    )
    .max(MAX_HOSTS, `to have at most ${MAX_HOSTS} names`),
  strict: z.boolean({ error: "to be true or false" }),
  bodyLimitBytes: whole(1024, 2 ** 30),
  maxRequests: whole(1, 100_000),
  maxBodiesBytes: whole(1024, 2 ** 40),
  firstTokenTimeoutMs: duration,
  tokenTimeoutMs: duration,
  aliveMs: duration,
  writeTimeoutMs: duration,
  drainMs: whole(0, 2 ** 31 - 1),
});

/** Throws USAGE, naming the option. */
export function gatewaySettings(options: GatewayOptions): GatewaySettings {
  const settings = { ...GATEWAY_DEFAULTS, ...options };
  const result = checked.safeParse(settings);
  const issue = result.error?.issues[0];
  if (issue !== undefined) {
    const option = issue.path.join(".");
    throw new ShoalError(
      "USAGE",
      `Expected gateway option \`${option}\` ${issue.message}`,
      { option },
    );
  }
  return { ...settings, parsing: unknownFields(settings) };
}
