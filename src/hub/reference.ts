/**
 * How a model is named that is not a path:
 *
 *     hf:owner/repo                              of a repository, the usual quantization
 *     hf:owner/repo:Q4_K_M                       … this quantization
 *     hf:owner/repo/folder/file.gguf             … this file
 *     hf:owner/repo@revision:Q4_K_M              … of a branch, tag or commit
 *     https://example.org/model.gguf#sha256=…    any server's file, with its checksum if you know it
 */
import { ShoalError } from "../lib/index.ts";
import { DEFAULTS } from "./defaults.ts";
import { isPrivate } from "./settings.ts";

export interface HubReference {
  kind: "hub";
  /** "owner/name" */
  repo: string;
  revision: string;
  /** At most one of the two. */
  tag?: string | undefined;
  file?: string | undefined;
}

export interface AddressReference {
  kind: "address";
  /** Without its fragment. */
  url: string;
  /** In lower case. */
  sha256?: string | undefined;
}

export type ModelReference = HubReference | AddressReference;

const HUB_HOSTS = new Set(["huggingface.co", "hf.co"]);
const REPO = /^[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9_][\w.-]{0,95}$/;
/** In a revision a slash is only clear as part of refs/pr/1, or as %2F; otherwise a path begins there. */
const REVISION = String.raw`refs/[^/@:]+/[^/@:]+|[^/@:]+`;
const FORM = new RegExp(
  String.raw`^hf:(?://)?([^/@:]+/[^/@:]+)(?:@(${REVISION}))?(?::([^/@:]+)|/(.+?))?(?:@(${REVISION}))?$`,
  "i",
);
const DEFAULT_REVISION = "main";

/** Whether it has to be looked up, and perhaps fetched. */
export function isRemote(text: string): boolean {
  return /^(hf:|https?:\/\/)/i.test(text);
}

/** Of a text that is remote. Throws USAGE. Addresses of files on the hub (`endpoint` or huggingface.co) become references to the hub. */
export function parseReference(text: string, endpoint: string): ModelReference {
  if (/^hf:/i.test(text)) return parseHub(text);
  return parseAddress(text, endpoint);
}

function parseHub(text: string): HubReference {
  const [, repo = "", early, tag, file, late] = FORM.exec(text) ?? [];
  const isTwice = early !== undefined && late !== undefined;
  const revision = decoded(early ?? late) ?? DEFAULT_REVISION;
  if (
    !REPO.test(repo) ||
    /--|\.\./.test(repo) ||
    isTwice ||
    !isRevision(revision) ||
    (tag !== undefined && !/^[\w.-]{1,64}$/.test(tag)) ||
    (file !== undefined && !isGgufPath(file))
  )
    throw new ShoalError(
      "USAGE",
      `${shown(text)} is no model of the hub: write hf:owner/repo, hf:owner/repo:Q4_K_M or hf:owner/repo/file.gguf, with @revision after the repository if you want another than main`,
    );
  return { kind: "hub", repo, revision, tag, file };
}

function parseAddress(
  text: string,
  endpoint: string,
): HubReference | AddressReference {
  const url = URL.parse(text);
  const hub = new URL(endpoint);
  const isHub =
    url !== null && (HUB_HOSTS.has(url.hostname) || url.origin === hub.origin);
  if (
    url === null ||
    url.username !== "" ||
    url.password !== "" ||
    (!isHub && !isPrivate(url))
  )
    throw new ShoalError(
      "USAGE",
      `${shown(text)} is no address to fetch a model from: it must be https:, without user name and password (http: only on this machine)`,
    );
  if (isHub) {
    const base = url.origin === hub.origin ? hub.pathname : "/";
    const reference = onHub(url.pathname.slice(base === "/" ? 0 : base.length));
    if (reference !== undefined) return reference;
  }
  const sha256 = sha256In(url.hash);
  url.hash = "";
  if (!isGgufPath(lastSegment(url)))
    throw new ShoalError("USAGE", `${shown(text)} does not name a .gguf file`);
  return { kind: "address", url: url.href, sha256 };
}

/** A page or a file of the hub: /owner/repo, /owner/repo/blob/main/file.gguf, /owner/repo/resolve/main/file.gguf. */
function onHub(pathname: string): HubReference | undefined {
  const [owner, name, how, revision, ...path] = pathname
    .split("/")
    .slice(1)
    .map((segment) => decoded(segment) ?? "");
  const repo = `${owner}/${name}`;
  if (!REPO.test(repo)) return undefined;
  if (how === undefined || how === "")
    return { kind: "hub", repo, revision: DEFAULT_REVISION };
  const file = path.join("/");
  if (
    !["blob", "resolve"].includes(how) ||
    !isRevision(revision ?? "") ||
    !isGgufPath(file)
  )
    return undefined;
  return { kind: "hub", repo, revision: revision ?? "", file };
}

function sha256In(hash: string): string | undefined {
  if (hash === "") return undefined;
  const [, hex] = /^#sha256=([0-9a-f]{64})$/i.exec(hash) ?? [];
  if (hex === undefined)
    throw new ShoalError(
      "USAGE",
      "what follows # in the address must be sha256= and 64 hexadecimal digits",
    );
  return hex.toLowerCase();
}

/** The file's name. */
export function lastSegment(url: URL): string {
  return decoded(url.pathname.split("/").at(-1)) ?? "";
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text);
  } catch {
    return "";
  }
}

function isGgufPath(path: string): boolean {
  return isSafePath(path) && /\.gguf$/i.test(path);
}

/** A branch, tag or commit, as the hub and its cache take it. */
function isRevision(text: string): boolean {
  return isSafePath(text) && !/[\s~^:?*[\\]/.test(text);
}

/** A path from a stranger that stays where it is put, on every system. */
export function isSafePath(path: string): boolean {
  return (
    path.length > 0 &&
    path.length <= DEFAULTS.pathChars &&
    path.split("/").every(
      (name) =>
        name !== "" &&
        name.length <= 255 &&
        !/^\.+$/.test(name) &&
        // eslint-disable-next-line no-control-regex
        !/[\\:*?"<>|\u0000-\u001f\u007f]/.test(name) &&
        !/[. ]$/.test(name),
    )
  );
}

/** Never the whole address: its query, and what stands before @, may be secrets. */
function shown(text: string): string {
  const [start = ""] = text.split(/[?#]/);
  return JSON.stringify(start.replace(/\/\/[^/]*@/, "//").slice(0, 200));
}
