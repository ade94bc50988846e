/** Are the files in --model-dir readable, complete, and of the cluster's model? */
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { askManifest, MANIFEST_FILE } from "../weights/index.ts";
import { openModel } from "../gguf/index.ts";
import { ShoalError } from "../lib/index.ts";
import {
  checkShard,
  decodeManifest,
  type LayerRange,
  type Manifest,
  manifestId,
  planLayers,
  readShard,
} from "../model/index.ts";
import type { Check, Examination } from "./examination.ts";
import { note, ok, problem, skipped, type Finding } from "./finding.ts";

/** The shape of the cluster's model, from any holder, for the other checks. */
export const checkManifest: Check = async (examination) => {
  const { status, commands } = examination;
  if (typeof status?.manifest !== "string") return [];
  const holders = status.members.filter((m) => m.manifest === status.manifest);
  examination.manifest = await askManifest(commands, status.manifest, holders);
  return examination.manifest === undefined
    ? [skipped("model", "no holder gave the model's shape")]
    : [];
};

export const checkModelDir: Check = async (examination) => {
  const { modelDir } = examination.options;
  if (modelDir === undefined) return [];
  let names: string[];
  try {
    names = await readdir(modelDir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === "ENOENT"
        ? "it does not exist"
        : code === "ENOTDIR"
          ? "it is not a folder"
          : `it cannot be read (${code ?? "?"})`;
    return [
      problem("model", "MODEL_DIR_UNREADABLE", `${modelDir}: ${why}`, {
        path: modelDir,
      }),
    ];
  }
  const damaged = await damagedFiles(modelDir, names);
  if (damaged.length > 0) return damaged;
  return names.includes(MANIFEST_FILE)
    ? await checkSplit(examination, modelDir)
    : checkOriginals(names, modelDir);
};

/** Headers and sizes of every GGUF, which show truncated and overwritten files. Weights are not read. */
async function damagedFiles(
  modelDir: string,
  names: readonly string[],
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const name of names.filter((n) => n.endsWith(".gguf"))) {
    const path = join(modelDir, name);
    try {
      if (!(await stat(path)).isFile()) continue;
      await openModel(path);
    } catch (error) {
      const { message } = ShoalError.from(error);
      findings.push(
        problem("model", "MODEL_DAMAGED", `${name} is damaged: ${message}`, {
          file: name,
        }),
      );
    }
  }
  return findings;
}

async function checkSplit(
  examination: Examination,
  modelDir: string,
): Promise<Finding[]> {
  const { status, options } = examination;
  let manifest: Manifest;
  let id: string;
  try {
    const bytes = await readFile(join(modelDir, MANIFEST_FILE));
    manifest = decodeManifest(bytes);
    id = manifestId(bytes);
  } catch (error) {
    return [
      problem(
        "model",
        "MODEL_DAMAGED",
        `${MANIFEST_FILE} is damaged: ${ShoalError.from(error).message}`,
        { file: MANIFEST_FILE },
      ),
    ];
  }
  examination.manifest ??= manifest;
  if (typeof status?.manifest === "string" && status.manifest !== id)
    return [
      problem(
        "model",
        "OTHER_MODEL",
        `${modelDir} has ${manifest.name}, the cluster serves ${status.model ?? "another model"}: their bytes differ`,
        { here: id, cluster: status.manifest },
      ),
    ];
  const { shard } = options;
  if (shard === undefined || !("index" in shard))
    return [ok("model", `${modelDir} has ${manifest.name}`)];
  const count = shard.count ?? status?.shardCount ?? undefined;
  const range =
    count === undefined ? undefined : planLayers(manifest, count)[shard.index];
  if (range === undefined)
    return [note("model", `the layers of shard ${shard.index} are not known`)];
  return [
    await checkOneShard(examination, modelDir, shard.index, range, manifest),
  ];
}

async function checkOneShard(
  examination: Examination,
  modelDir: string,
  index: number,
  range: LayerRange,
  manifest: Manifest,
): Promise<Finding> {
  const name = `shard-${index}.gguf`;
  try {
    checkShard(await readShard(join(modelDir, name)), manifest, range);
    examination.hasShard = true;
    return ok("model", `${name} belongs to ${manifest.name} and is complete`);
  } catch (error) {
    const { code, message } = ShoalError.from(error);
    const facts = { file: name };
    if (code === "FILE_NOT_FOUND")
      return problem(
        "model",
        "SHARD_NOT_THERE",
        `${modelDir} has no ${name}`,
        facts,
      );
    return code === "SHARD_FOREIGN"
      ? problem("model", "OTHER_MODEL", message, facts)
      : problem("model", "MODEL_DAMAGED", `${name}: ${message}`, facts);
  }
}

function checkOriginals(names: readonly string[], modelDir: string): Finding[] {
  const models = names.filter((name) => name.endsWith(".gguf"));
  if (models.length === 0)
    return [
      problem(
        "model",
        "SHARD_NOT_THERE",
        `${modelDir} has neither shards nor a model`,
        { path: modelDir },
      ),
    ];
  return [
    ok("model", `${basename(modelDir)} has ${models.join(", ")}`),
    note("model", "only hashing shows whether it is the cluster's model"),
  ];
}
