import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

/** The house: what each folder may import of ours. Arrows only go down (docs/ARCHITECTURE.md). */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  gguf: ["lib"],
  model: ["lib", "gguf"],
  ring: ["lib"],
  jinja: [],
  grammar: ["lib"],
  chat: ["lib", "jinja", "grammar"],
  engine: ["lib", "gguf", "model", "ring", "grammar"],
  network: ["lib"],
  status: ["lib"],
  reach: ["lib", "network"],
  routing: [],
  store: ["lib", "gguf", "model"],
  transfer: ["lib", "network", "store"],
  catalog: ["lib", "network", "store"],
  hub: ["lib", "gguf", "model"],
  cluster: ["lib", "network", "status"],
  placement: ["lib", "model", "status", "cluster", "routing"],
  weights: [
    "lib",
    "gguf",
    "model",
    "network",
    "store",
    "transfer",
    "catalog",
    "cluster",
  ],
  inference: [
    "lib",
    "chat",
    "gguf",
    "model",
    "ring",
    "engine",
    "network",
    "status",
    "cluster",
    "weights",
    "routing",
  ],
  page: ["lib"],
  gateway: ["lib", "grammar", "chat", "engine", "inference", "page"],
  diagnostics: ["lib", "network", "status", "cluster", "routing", "page"],
  doctor: [
    "lib",
    "gguf",
    "model",
    "engine",
    "network",
    "status",
    "cluster",
    "placement",
    "weights",
  ],
  roles: [
    "lib",
    "gguf",
    "model",
    "ring",
    "engine",
    "network",
    "reach",
    "status",
    "store",
    "transfer",
    "catalog",
    "cluster",
    "placement",
    "weights",
    "inference",
    "gateway",
    "diagnostics",
  ],
  library: [
    "lib",
    "hub",
    "model",
    "engine",
    "network",
    "status",
    "gateway",
    "diagnostics",
    "doctor",
    "roles",
  ],
  "index.ts": ["library"],
  cli: [
    "lib",
    "gguf",
    "hub",
    "model",
    "engine",
    "network",
    "status",
    "weights",
    "gateway",
    "diagnostics",
    "doctor",
    "roles",
  ],
};

const src = resolve(import.meta.dirname, "../src");

interface Import {
  file: string;
  from: string;
  to: string;
  specifier: string;
}

function sources(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => join(entry.parentPath, entry.name));
}

function importsAcrossFolders(): Import[] {
  return sources(src).flatMap((file) => {
    const text = readFileSync(file, "utf8");
    const specifiers = [
      ...text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g),
    ].map((match) => match[1]!);
    return specifiers.flatMap((specifier) => {
      const target = relative(src, resolve(dirname(file), specifier));
      const from = relative(src, file).split("/")[0]!;
      const to = target.split("/")[0]!;
      return from === to || to === ".."
        ? []
        : [{ file: relative(src, file), from, to, specifier }];
    });
  });
}

test("every folder is a room of the house", () => {
  const folders = readdirSync(src, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
  assert.deepEqual(
    folders.filter((folder) => !Object.hasOwn(ALLOWED, folder)),
    [],
  );
});

test("imports only go down", () => {
  const wrong = importsAcrossFolders().filter(
    ({ from, to }) => !ALLOWED[from]?.includes(to),
  );
  assert.deepEqual(wrong, []);
});

test("folders are entered through their index.ts", () => {
  const wrong = importsAcrossFolders().filter(
    ({ specifier, file }) =>
      !specifier.endsWith("/index.ts") && !file.endsWith(".test.ts"),
  );
  assert.deepEqual(wrong, []);
});

/** llama.cpp's symbols, libc's and OpenSSL's. */
const NATIVE = [
  "engine/native.ts",
  "engine/native-layouts.ts",
  "engine/native-files.ts",
  "engine/native-pages.ts",
  "engine/native-samplers.ts",
  "engine/native-tensors.ts",
  "network/quic/udp-sockets.ts",
  "ring/libc.ts",
  "ring/openssl.ts",
];

test("native symbols are named in few files only", () => {
  const wrong = sources(src).filter(
    (file) =>
      !NATIVE.some((native) => file.endsWith(native)) &&
      /from "koffi"/.test(readFileSync(file, "utf8")),
  );
  assert.deepEqual(wrong, []);
});
