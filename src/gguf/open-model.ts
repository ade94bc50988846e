/** Opens a model of one GGUF or several (`name-00001-of-00003.gguf` …, as llama.cpp's gguf-split writes them). */
import { basename, dirname, join } from "node:path";
import { ShoalError } from "../lib/index.ts";
import { MAX_SPLIT_FILES } from "./limits.ts";
import {
  readGguf,
  type GgufFile,
  type GgufTensor,
  type ReadOptions,
} from "./read.ts";
import { uintOf, type GgufMetadata } from "./values.ts";

export interface GgufModel {
  files: readonly { path: string; sizeBytes: number }[];
  /** Where the first file's tensor data begins. */
  dataOffset: number;
  /** The first file's, without the `split.*` keys. */
  metadata: GgufMetadata;
  /** File by file, each in its table's order. */
  tensors: readonly GgufTensor[];
}

const SPLIT_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/;

/** `path`: a single file, or any one of a model's files. */
export async function openModel(
  path: string,
  options: ReadOptions = {},
): Promise<GgufModel> {
  const given = await readGguf(path, options);
  const count = uintOf(given.metadata, "split.count") ?? 1;
  const files =
    count <= 1 ? [given] : await readSplits(splitPaths(path, count), options);
  const [first = given] = files;
  return {
    files: files.map((file) => ({
      path: file.path,
      sizeBytes: file.sizeBytes,
    })),
    dataOffset: first.dataOffset,
    metadata: new Map(
      [...first.metadata].filter(([key]) => !key.startsWith("split.")),
    ),
    tensors: files.flatMap((file) => file.tensors),
  };
}

/** Names of all files of the model that `path`, one of `count` files, belongs to. */
function splitPaths(path: string, count: number): string[] {
  if (count > MAX_SPLIT_FILES) {
    throw splitError(
      "GGUF_LIMIT",
      path,
      `a model of ${count} files, more than ${MAX_SPLIT_FILES}`,
    );
  }
  const match = SPLIT_NAME.exec(basename(path));
  if (match === null || Number(match[3]) !== count) {
    throw splitError(
      "GGUF_SPLIT_MISSING",
      path,
      `one of ${count} files, but its name does not end in -00001-of-${digits(count)}.gguf, so the others cannot be found`,
    );
  }
  return Array.from({ length: count }, (_, i) =>
    join(
      dirname(path),
      `${match[1] ?? ""}-${digits(i + 1)}-of-${digits(count)}.gguf`,
    ),
  );
}

async function readSplits(
  paths: readonly string[],
  options: ReadOptions,
): Promise<GgufFile[]> {
  const files: GgufFile[] = [];
  const names = new Set<string>();
  for (const [fileIndex, path] of paths.entries()) {
    const file = await readSplit(path, { ...options, fileIndex });
    const number = uintOf(file.metadata, "split.no");
    const count = uintOf(file.metadata, "split.count");
    if (number !== fileIndex || count !== paths.length) {
      throw splitError(
        "GGUF_CORRUPT",
        path,
        `says it is file ${number ?? "?"} of ${count ?? "?"} (from 0), its name says ${fileIndex} of ${paths.length}`,
      );
    }
    for (const { name } of file.tensors) {
      if (names.has(name))
        throw splitError(
          "GGUF_CORRUPT",
          path,
          `tensor ${JSON.stringify(name)} is in an earlier file too`,
        );
      names.add(name);
    }
    files.push(file);
  }
  const expected = files[0] && uintOf(files[0].metadata, "split.tensors.count");
  if (expected !== names.size) {
    throw splitError(
      "GGUF_CORRUPT",
      paths[0] ?? "",
      `split.tensors.count says ${expected ?? "nothing"}, the files hold ${names.size} tensors`,
    );
  }
  return files;
}

async function readSplit(
  path: string,
  options: ReadOptions,
): Promise<GgufFile> {
  try {
    return await readGguf(path, options);
  } catch (error) {
    if (error instanceof ShoalError && error.code === "FILE_NOT_FOUND")
      throw splitError("GGUF_SPLIT_MISSING", path, "this file is missing");
    throw error;
  }
}

function splitError(
  code: "GGUF_SPLIT_MISSING" | "GGUF_CORRUPT" | "GGUF_LIMIT",
  path: string,
  what: string,
): ShoalError {
  return new ShoalError(code, `${basename(path)}: ${what}`, { path });
}

function digits(n: number): string {
  return String(n).padStart(5, "0");
}
