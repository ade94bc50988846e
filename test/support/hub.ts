/**
 * A small model hub: an HTTP server that answers as huggingface.co does, and its storage, a second server on another port to which it
 * redirects. Sources: https://huggingface.co/docs/hub/api; hf_api.py, file_download.py and utils/_http.py of huggingface_hub 1.x:
 *
 *     /api/models/{repo}/revision/{rev}      {"sha": …}                                          HfApi.model_info
 *     /api/models/{repo}/tree/{rev}          files with lfs.oid, in pages, Link: rel="next"      HfApi.list_repo_tree, utils/_pagination.py
 *     /{repo}/resolve/{rev}/{file}           302 to the storage; X-Repo-Commit, X-Linked-Size,
 *                                            X-Linked-Etag, ETag                                 get_hf_file_metadata
 *     refusals                               X-Error-Code, X-Error-Message                       hf_raise_for_status
 *
 * huggingface_hub 2.0.0 itself downloads from it, and finds in its cache what Shoal has put there.
 *
 * Faults come on demand: each is a function that may change or break one answer.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

export interface TestRepo {
  files: Record<string, Buffer>;
  /** Its terms must be accepted: nobody without a token. */
  gated?: boolean;
  /** Who has no token does not even learn that it is there. */
  private?: boolean;
}

export interface SeenRequest {
  at: "hub" | "storage";
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  /** Bytes of the body that were sent. */
  sentBytes: number;
}

/** What the storage does with one answer instead of the right one. */
export interface StorageFault {
  /** The connection ends after so many bytes of the body. */
  cutAfterBytes?: number;
  /** After so many bytes nothing comes any more, and the connection stays open. */
  stallAfterBytes?: number;
  /** 200 with the whole file, whatever range was asked for. */
  ignoreRange?: boolean;
  status?: number;
  /** Undefined: not that one. */
  headers?: Record<string, string | undefined>;
  /** In place of the file's bytes. */
  bytes?: Buffer;
  etag?: string;
  /** Each 16 KiB waits so long. */
  delayMs?: number;
}

export interface TestHubOptions {
  token?: string;
  /** Entries of a page of files. */
  pageSize?: number;
}

const CHUNK_BYTES = 16 * 1024;

export class TestHub {
  readonly repos: Record<string, TestRepo> = {};
  readonly requests: SeenRequest[] = [];
  /** For the answer to the next request to the storage, and the next, … */
  readonly storageFaults: StorageFault[] = [];
  /** For each request to the storage that has none of its own. */
  storageFault: StorageFault = {};
  /** Answers of the hub itself, in place of the right ones. */
  readonly hubFaults: { status: number; headers?: Record<string, string> }[] =
    [];
  /** Where the hub says that the next page is. Default: on the hub. */
  nextPageAt: string | undefined;
  /** What the hub says about a file's size. */
  sizeOf = (bytes: Buffer): number => bytes.length;
  /** What the hub says about a file in front of its storage. */
  linkedEtag: string | undefined;
  /** Base addresses. */
  endpoint = "";
  storage = "";
  readonly #options: TestHubOptions;
  readonly #hub: Server;
  readonly #storage: Server;

  static async start(
    t: TestContext,
    options: TestHubOptions = {},
  ): Promise<TestHub> {
    const hub = new TestHub(options);
    t.after(() => hub.stop());
    hub.endpoint = await listening(hub.#hub);
    // By another name too: huggingface_hub takes one host for one server.
    const storage = await listening(hub.#storage);
    hub.storage = storage.replace("127.0.0.1", "localhost");
    return hub;
  }

  private constructor(options: TestHubOptions) {
    this.#options = options;
    this.#hub = createServer((request, response) => {
      this.#answer(request, response);
    });
    this.#storage = createServer((request, response) => {
      void this.#send(request, response);
    });
  }

  /** A repository's commit: another one once its files change. */
  commitOf(repo: string): string {
    const hash = createHash("sha1");
    for (const [path, bytes] of Object.entries(this.repos[repo]?.files ?? {}))
      hash.update(`${path} ${sha256(bytes)}\n`);
    return hash.digest("hex");
  }

  requestsTo(at: SeenRequest["at"]): SeenRequest[] {
    return this.requests.filter((request) => request.at === at);
  }

  async stop(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #see(at: SeenRequest["at"], request: IncomingMessage): SeenRequest {
    const { method = "", url = "", headers } = request;
    const seen = { at, method, path: url, headers, sentBytes: 0 };
    this.requests.push(seen);
    return seen;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.#see("hub", request);
    const fault = this.hubFaults.shift();
    if (fault !== undefined) {
      response.writeHead(fault.status, fault.headers).end();
      return;
    }
    const { pathname, searchParams } = new URL(
      request.url ?? "",
      this.endpoint,
    );
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/;
    const [, repo = "", what, revision = ""] = api.exec(pathname) ?? [];
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(pathname);
    const name = repo || (file?.[1] ?? "");
    const refused = this.#refusal(name, request.headers);
    if (refused !== undefined) return refuse(response, ...refused);
    const commit = this.commitOf(name);
    const wanted = decodeURIComponent(revision || (file?.[2] ?? ""));
    if (wanted !== "main" && wanted !== commit)
      return refuse(
        response,
        404,
        "RevisionNotFound",
        `Invalid rev id: ${wanted}`,
      );
    if (what === "revision") {
      response.setHeader("content-type", "application/json; charset=utf-8");
      response.end(JSON.stringify({ id: name, sha: commit, gated: false }));
    } else if (what === "tree") {
      this.#tree(
        name,
        commit,
        Number(searchParams.get("cursor") ?? 0),
        response,
      );
    } else
      this.#resolve(
        name,
        commit,
        decodeURIComponent(file?.[3] ?? ""),
        response,
      );
  }

  #refusal(
    repo: string,
    { authorization }: IncomingHttpHeaders,
  ): [status: number, code: string, message: string] | undefined {
    const { token } = this.#options;
    const found = this.repos[repo];
    const isKnown = token !== undefined && authorization === `Bearer ${token}`;
    if (authorization !== undefined && !isKnown)
      return [401, "", "Invalid credentials in Authorization header"];
    if (found === undefined || (found.private === true && !isKnown))
      return [isKnown ? 404 : 401, "RepoNotFound", "Repository not found"];
    if (found.gated === true && !isKnown)
      return [401, "GatedRepo", `Access to model ${repo} is restricted.`];
    return undefined;
  }

  #tree(
    repo: string,
    commit: string,
    cursor: number,
    response: ServerResponse,
  ): void {
    const { pageSize = 1000 } = this.#options;
    const paths = Object.entries(this.repos[repo]?.files ?? {});
    const folders = new Set(
      paths.flatMap(([path]) =>
        path.includes("/") ? [path.slice(0, path.lastIndexOf("/"))] : [],
      ),
    );
    const entries = [
      ...[...folders].map((path) => ({
        type: "directory",
        oid: sha1(path),
        size: 0,
        path,
      })),
      ...paths.map(([path, bytes]) => this.#entry(path, bytes)),
    ];
    const end = cursor + pageSize;
    if (end < entries.length)
      response.setHeader(
        "link",
        `<${this.nextPageAt ?? this.endpoint}/api/models/${repo}/tree/${commit}?recursive=true&cursor=${end}>; rel="next"`,
      );
    response.setHeader("content-type", "application/json; charset=utf-8");
    response.end(JSON.stringify(entries.slice(cursor, end)));
  }

  /** Large files are in LFS, named by their SHA-256; small ones by git's SHA-1 of a blob. */
  #entry(path: string, bytes: Buffer): object {
    const size = this.sizeOf(bytes);
    if (!isLarge(path))
      return { type: "file", oid: gitBlob(bytes), size, path };
    const lfs = { oid: sha256(bytes), size, pointerSize: 132 };
    return { type: "file", oid: sha1(path), size, lfs, path };
  }

  #resolve(
    repo: string,
    commit: string,
    path: string,
    response: ServerResponse,
  ): void {
    const bytes = this.repos[repo]?.files[path];
    response.setHeader("x-repo-commit", commit);
    if (bytes === undefined)
      return refuse(response, 404, "EntryNotFound", "Entry not found");
    const checksum = isLarge(path) ? sha256(bytes) : gitBlob(bytes);
    response.writeHead(302, {
      location: `${this.storage}/${repo}/${encodeURIComponent(path)}?X-Amz-Signature=secret`,
      "x-linked-size": bytes.length,
      "x-linked-etag": `"${this.linkedEtag ?? checksum}"`,
      etag: `"${checksum}"`,
      "accept-ranges": "bytes",
    });
    response.end();
  }

  async #send(
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const seen = this.#see("storage", request);
    const fault = this.storageFaults.shift() ?? this.storageFault;
    const { pathname } = new URL(request.url ?? "", this.storage);
    const [, owner, name, path] = pathname.split("/");
    const right =
      this.repos[`${owner}/${name}`]?.files[decodeURIComponent(path ?? "")];
    const bytes = fault.bytes ?? right;
    if (fault.status !== undefined || bytes === undefined) {
      response
        .writeHead(fault.status ?? 404, present(fault.headers ?? {}))
        .end();
      return;
    }
    const etag = fault.etag ?? `"${sha256(bytes).slice(0, 32)}"`;
    const body = rangeOf(request.headers, bytes, etag, fault);
    response.writeHead(
      body.status,
      present({
        etag,
        "content-length": String(body.bytes.length),
        "accept-ranges": "bytes",
        ...body.headers,
        ...fault.headers,
      }),
    );
    if (request.method === "HEAD" || body.bytes.length === 0) {
      response.end();
      return;
    }
    for (let at = 0; at < body.bytes.length; at += CHUNK_BYTES) {
      const { cutAfterBytes = Infinity, stallAfterBytes = Infinity } = fault;
      const limit = Math.min(cutAfterBytes, stallAfterBytes) - at;
      const chunk = body.bytes.subarray(at, at + Math.min(CHUNK_BYTES, limit));
      await new Promise((resolve) => response.write(chunk, resolve));
      seen.sentBytes += chunk.length;
      if (limit <= CHUNK_BYTES) {
        if (stallAfterBytes > cutAfterBytes) response.destroy();
        return;
      }
      if (fault.delayMs !== undefined)
        await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
      if (response.destroyed) return;
    }
    response.end();
  }
}

/** RFC 9110, section 14: one range, as S3 and its like answer it. */
function rangeOf(
  { range, "if-range": ifRange }: IncomingHttpHeaders,
  bytes: Buffer,
  etag: string,
  { ignoreRange = false }: StorageFault,
): { status: number; bytes: Buffer; headers: Record<string, string> } {
  const [, from = "", to = ""] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
  const isMeant = ifRange === undefined || ifRange === etag;
  if (from === "" || !isMeant || ignoreRange)
    return { status: 200, bytes, headers: {} };
  const start = Number(from);
  const end = Math.min(to === "" ? Infinity : Number(to), bytes.length - 1);
  const size = bytes.length;
  if (start > end) {
    const headers = { "content-range": `bytes */${size}` };
    return { status: 416, bytes: Buffer.alloc(0), headers };
  }
  const headers = { "content-range": `bytes ${start}-${end}/${size}` };
  return { status: 206, bytes: bytes.subarray(start, end + 1), headers };
}

function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
): void {
  response.writeHead(status, {
    ...(code !== "" && { "x-error-code": code }),
    "x-error-message": message,
    "content-type": "application/json; charset=utf-8",
  });
  response.end(JSON.stringify({ error: message }));
}

function present(
  headers: Record<string, string | undefined>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  );
}

/** What a repository's .gitattributes puts into LFS. */
function isLarge(path: string): boolean {
  return path.endsWith(".gguf") && !path.includes("small");
}

export function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function sha1(text: string): string {
  return createHash("sha1").update(text).digest("hex");
}

function gitBlob(bytes: Buffer): string {
  const hash = createHash("sha1").update(`blob ${bytes.length}\0`);
  return hash.update(bytes).digest("hex");
}

async function listening(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return `http://127.0.0.1:${port}`;
}
