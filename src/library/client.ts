import { z } from "zod";
import type { ReplyRequest } from "../gateway/index.ts";
import { ShoalError } from "../lib/index.ts";
import {
  type ClientRole,
  getFile,
  type GetFileOptions,
  startClient,
} from "../roles/index.ts";
import type { ClusterStatus } from "../status/index.ts";
import { changesOf } from "./changes.ts";
import { callback, check, signal, text } from "./check.ts";
import {
  type ChatMessage,
  chatRequest,
  type GenerateOptions,
  generateRequest,
} from "./generate-options.ts";
import {
  memberFields,
  type MemberOptions,
  membershipOf,
  patienceFields,
  patienceOf,
  type PatienceOptions,
} from "./member-options.ts";
import { Readiness, type ReadyOptions } from "./readiness.ts";
import {
  handleOf,
  inContext,
  type RunningRole,
  type StartContext,
} from "./run.ts";

/** A file that a cluster shares. */
export interface SharedFile {
  /** Its id: the Merkle root of its bytes. */
  root: string;
  name: string;
  kind: "part" | "shard" | "file";
  sizeBytes: number;
  /** Members that have some of it. */
  holders: number;
  /** Members that have all of it. */
  wholeHolders: number;
}

export interface DownloadOptions {
  onProgress?: ((progress: DownloadProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
}

export interface DownloadProgress {
  doneBytes: number;
  /** Undefined while nobody has said it. */
  sizeBytes: number | undefined;
  bytesPerSecond: number;
}

export interface ClientOptions extends MemberOptions, PatienceOptions {}

/** A member that holds nothing: it asks, watches and downloads. */
export interface Client extends RunningRole {
  /** Resolves once prompts can be answered; rejects with SWARM_NOT_READY and the reason. */
  ready(options?: ReadyOptions): Promise<void>;
  /** Continues `prompt`, piece by piece. Leaving the loop ends the generation. */
  generate(prompt: string, options?: GenerateOptions): AsyncIterable<string>;
  /** The reply to a conversation, piece by piece, by the model's chat template; a string is one message of the user. */
  chat(
    messages: string | readonly ChatMessage[],
    options?: GenerateOptions,
  ): AsyncIterable<string>;
  /** The cluster as this member sees it now. */
  status(): ClusterStatus;
  /** The status now, and again after each change; a slow reader gets the last one. Ends when the client stops. */
  watch(options?: {
    signal?: AbortSignal | undefined;
  }): AsyncIterable<ClusterStatus>;
  /** What the cluster shares. */
  files(): Promise<SharedFile[]>;
  /** Downloads a file by its name or its root to `path`, a file or an existing folder, and verifies it. Resolves with where it is. */
  download(
    name: string,
    path: string,
    options?: DownloadOptions,
  ): Promise<string>;
}

const schema = z.strictObject({ ...memberFields, ...patienceFields });
const watchSchema = z.strictObject({ signal: signal.optional() });
const downloadSchema = z.strictObject({
  name: text("a name or a root"),
  path: text("a file or a folder"),
  onProgress: callback<(progress: DownloadProgress) => void>().optional(),
  signal: signal.optional(),
});

/** Joins a cluster as a client. Resolves once it has joined; the cluster may not be ready by then: see `ready`. */
export async function connect(
  options: ClientOptions,
  context: StartContext = {},
): Promise<Client> {
  const given = check("connect", schema, options);
  const member = membershipOf(given);
  const readiness = new Readiness();
  const onReady = (ready: boolean): void => readiness.set(ready);
  const stopped = new AbortController();
  const { value, ended } = await inContext("connect", context, async (c) => {
    const role = await startClient(
      { ...member, ...patienceOf(given), onReady },
      c,
    );
    return { role, context: c };
  });
  const { role } = value;
  const handle = handleOf(role, ended);
  /** Each in a member of its own, which is gone after it. */
  const get = (
    wanted: Pick<GetFileOptions, "wanted" | "out" | "onProgress">,
    ending?: AbortSignal,
  ): ReturnType<typeof getFile> => {
    const signals = [stopped.signal, ...(ending === undefined ? [] : [ending])];
    const c = { ...value.context, signal: AbortSignal.any(signals) };
    return getFile({ ...member, ...wanted }, c);
  };
  const stop = async (): Promise<void> => {
    stopped.abort(new ShoalError("ABORTED", "the client was stopped"));
    await handle.stop();
  };
  return {
    ...handle,
    stop,
    [Symbol.asyncDispose]: stop,
    ready: (wait) =>
      readiness.wait("client.ready", () => role.notReady(), wait),
    generate: (prompt, how) =>
      reply(role, generateRequest(prompt, how), how?.signal),
    chat: (messages, how) =>
      reply(role, chatRequest(messages, how), how?.signal),
    status: () => role.status(),
    watch: (how = {}) => {
      const { signal: ending } = check("client.watch", watchSchema, how);
      const signals = [
        stopped.signal,
        ...(ending === undefined ? [] : [ending]),
      ];
      const until = AbortSignal.any(signals);
      return changesOf(
        (changed) => role.onChange(changed),
        () => role.status(),
        until,
      );
    },
    files: async () => (await get({})).files.map(asShared),
    download: async (name, path, how = {}) => {
      const wanted = { name, path, ...how };
      const { onProgress, signal: ending } = check(
        "client.download",
        downloadSchema,
        wanted,
      );
      const got = await get(
        { wanted: name, out: path, ...(onProgress && { onProgress }) },
        ending,
      );
      return got.path ?? path;
    },
  };
}

/** The reply's text alone. */
async function* reply(
  role: ClientRole,
  request: ReplyRequest,
  signal = new AbortController().signal,
): AsyncGenerator<string, void, undefined> {
  for await (const { deltas } of role.generate(request, signal))
    for (const delta of deltas) if (delta.kind === "content") yield delta.text;
}

function asShared(file: GotFile): SharedFile {
  const { root, name, kind, sizeBytes, holders, wholeHolders } = file;
  return { root, name, kind, sizeBytes, holders, wholeHolders };
}

type GotFile = Awaited<ReturnType<typeof getFile>>["files"][number];
