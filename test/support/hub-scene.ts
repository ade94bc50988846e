/** A hub, a cache and a download between them. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import {
  type FetchContext,
  fetchModel,
  type FoundModel,
} from "../../src/hub/index.ts";
import { type ErrorCode, Events, isShoalError } from "../../src/lib/index.ts";
import { temporaryFolder } from "./folder.ts";
import { sha256, TestHub, type TestHubOptions } from "./hub.ts";
import { until } from "./until.ts";

/** Bytes of the model. */
export const SIZE = 3_000_000;
export const FAST = { retryInitialMs: 5, retryMaxMs: 20, waitMs: 20 };

export interface Scene {
  hub: TestHub;
  model: Buffer;
  home: string;
  cacheDir: string;
  /** What was said. */
  said: string[];
  fetch: (
    reference?: string,
    context?: Partial<FetchContext> & { token?: string; offline?: boolean },
  ) => Promise<FoundModel>;
  /** Files of the repository's blobs. */
  blobs: () => Promise<string[]>;
}

export async function scene(
  t: TestContext,
  options: TestHubOptions = {},
): Promise<Scene> {
  const hub = await TestHub.start(t, options);
  const home = await temporaryFolder(t);
  const model = randomBytes(SIZE);
  hub.repos["o/r"] = {
    files: { "README.md": Buffer.from("#"), "m-Q4_K_M.gguf": model },
  };
  const cacheDir = join(home, "cache");
  const said: string[] = [];
  const events = new Events();
  events.subscribe(({ message }) => said.push(message));
  return {
    hub,
    model,
    home,
    cacheDir,
    said,
    fetch: (
      reference = "hf:o/r",
      { token, offline = false, ...context } = {},
    ) =>
      fetchModel(reference, {
        events,
        paths: { data: join(home, "data") },
        signal: AbortSignal.timeout(60_000),
        settings: { endpoint: hub.endpoint, token, cacheDir, offline },
        ...context,
        limits: { ...FAST, ...context.limits },
      }),
    blobs: () => readdir(join(cacheDir, "models--o--r/blobs")).catch(() => []),
  };
}

/** For `assert.rejects`. */
export const refused =
  (code: ErrorCode, message = /./) =>
  (error: unknown): boolean => {
    assert.ok(isShoalError(error, code), String(error));
    assert.match(error.message, message);
    return true;
  };

/** A download that stands at 1,000,000 bytes, and its end. */
export async function halfDone(
  at: Scene,
): Promise<{ stop: () => Promise<void> }> {
  const { hub, model, cacheDir, fetch } = at;
  hub.storageFaults.push({ stallAfterBytes: 1_000_000 });
  const stop = new AbortController();
  const running = fetch("hf:o/r", { signal: stop.signal });
  running.catch(() => {});
  const folder = join(cacheDir, "models--o--r/blobs");
  await until("a million bytes to be there", async () => {
    for (const name of await readdir(folder).catch(() => [])) {
      const found = await lstat(join(folder, name)).catch(() => undefined);
      if (name.startsWith(sha256(model)) && found?.size === 1_000_000)
        return true;
    }
    return false;
  });
  return {
    stop: async () => {
      stop.abort();
      await assert.rejects(running, refused("ABORTED"));
    },
  };
}
