import type { Events, Paths } from "../lib/index.ts";
import { checkShardCount, describeModel } from "../model/index.ts";
import { fetchModel, type FoundModel } from "./fetch-model.ts";
import { isRemote } from "./reference.ts";
import type { FileProgress } from "./remote-file.ts";

export interface LocalModelContext {
  events: Events;
  paths: Paths;
  signal: AbortSignal;
  /** Into how many shards it will be cut: too many are refused before it is fetched. */
  shards?: number | undefined;
  onProgress?: ((progress: FileProgress) => void) | undefined;
}

/** The path of a model that a person named. One that is not on this machine is fetched, unless its header says that it cannot be served. */
export async function localModel(
  reference: string,
  context: LocalModelContext,
): Promise<string> {
  if (!isRemote(reference)) return reference;
  return (await localFiles(reference, context)).path;
}

/** The same, with all files of the model. */
export function localFiles(
  reference: string,
  context: LocalModelContext,
): Promise<FoundModel> {
  const { shards } = context;
  return fetchModel(reference, {
    ...context,
    check: (model) => {
      const described = describeModel(model);
      if (shards !== undefined) checkShardCount(described, shards);
    },
  });
}
