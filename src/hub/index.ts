/**
 * Models by reference: `hf:owner/repo:Q4_K_M` of the model hub, an `https:` address, or a path. What is not on this machine is fetched:
 * its size and the free disk are said first, a download continues where it stopped, the hub's checksum is verified before a file gets its
 * name, and files of the hub lie in the hub's own cache, which huggingface_hub and llama.cpp share.
 *
 *     const { path } = await fetchModel("hf:owner/repo:Q4_K_M", { events, paths, signal });
 *     const model = await openModel(path);
 *
 * reference.ts reads a reference, choose-files.ts picks the files, plan-*.ts say what has to be fetched, download.ts fetches.
 */
export {
  type FetchContext,
  fetchModel,
  findModel,
  type FoundModel,
} from "./fetch-model.ts";
export {
  localFiles,
  localModel,
  type LocalModelContext,
} from "./local-model.ts";
export { isRemote } from "./reference.ts";
export type { FileProgress } from "./remote-file.ts";
export { type HubSettings, hubSettings } from "./settings.ts";
