/**
 * Where the hub is, who asks it and where its cache lies: the variables of huggingface_hub, so that both programs share one cache.
 * Source: https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
 */
import { readFile, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { ShoalError } from "../lib/index.ts";
import { DEFAULTS } from "./defaults.ts";

export interface HubSettings {
  /** Without a slash at its end. */
  endpoint: string;
  /** Sent to the endpoint's host and to nobody else. Never in an error or a log. */
  token: string | undefined;
  cacheDir: string;
  offline: boolean;
}

export async function hubSettings(
  env: NodeJS.ProcessEnv = process.env,
): Promise<HubSettings> {
  const value = (name: string): string | undefined =>
    env[name]?.trim() === "" ? undefined : env[name]?.trim();
  const folder = (name: string): string | undefined =>
    expanded(value(name), env);
  const cache = folder("XDG_CACHE_HOME") ?? join(homedir(), ".cache");
  const home = folder("HF_HOME") ?? join(cache, "huggingface");
  const endpoint = endpointOf(value("HF_ENDPOINT"));
  const token =
    value("HF_TOKEN") ??
    value("HUGGING_FACE_HUB_TOKEN") ??
    (await tokenIn(folder("HF_TOKEN_PATH") ?? join(home, "token")));
  return {
    endpoint,
    token: checkToken(token),
    cacheDir:
      folder("HF_HUB_CACHE") ??
      folder("HUGGINGFACE_HUB_CACHE") ??
      join(home, "hub"),
    offline: /^(1|on|yes|true)$/i.test(value("HF_HUB_OFFLINE") ?? ""),
  };
}

function endpointOf(text = "https://huggingface.co"): string {
  const url = URL.parse(text);
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:";
  if (url === null || !isWeb || url.username !== "" || url.password !== "")
    throw new ShoalError(
      "USAGE",
      "HF_ENDPOINT must be an address like https://huggingface.co, without user name and password",
    );
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

/** Whether a secret may go there, and what comes from there can be trusted: anybody on the way reads and changes plain HTTP. */
export function isPrivate({ protocol, hostname }: URL): boolean {
  return (
    protocol === "https:" ||
    // As URL writes them: "127.1" is "127.0.0.1" there.
    (protocol === "http:" &&
      /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname))
  );
}

function expanded(
  path: string | undefined,
  env: NodeJS.ProcessEnv,
): string | undefined {
  if (path === undefined) return undefined;
  const known = path
    .replace(/^~(?=$|[/\\])/, homedir())
    .replaceAll(/\$(?:(\w+)|\{(\w+)\})/g, (text, a?: string, b?: string) => {
      return env[a ?? b ?? ""] ?? text;
    });
  return resolve(known);
}

async function tokenIn(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() !== true || found.size > DEFAULTS.tokenBytes)
    return undefined;
  const text = await readFile(path, "utf8").catch(() => "");
  return text.trim() === "" ? undefined : text.trim();
}

function checkToken(token: string | undefined): string | undefined {
  if (token === undefined || /^[\x21-\x7e]{1,4096}$/.test(token)) return token;
  throw new ShoalError(
    "USAGE",
    "the token in HF_TOKEN or in the hub's token file has characters that no token has",
  );
}
