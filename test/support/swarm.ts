/** Real swarms for tests: every role a process of its own, on loopback and free ports. */
import { mkdtemp, rm } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { NOT_BUILT } from "../../bin/built.js";
import {
  type BatchMode,
  Events,
  type KvType,
  resolvePaths,
} from "../../src/lib/index.ts";
import {
  type LocalSwarm,
  type LocalSwarmProgress,
  startLocalSwarm,
} from "../../src/roles/index.ts";

export const ROOT = resolve(import.meta.dirname, "../..");
/** The built program. Whoever starts it calls `assertBuilt` first. */
export const ENTRY = join(ROOT, "bin/shoal.js");
export const DEMO_MODEL = join(ROOT, "models/demo/shoal-demo.gguf");
/** A real model that lies beside the checkout in some places; tests that want it skip by name elsewhere. */
export const STORIES = resolve(ROOT, "../shared/testdata/stories260K.gguf");
export const storiesMissing: string | false = existsSync(STORIES)
  ? false
  : "stories260K.gguf is not here";

/** A test proves nothing about a build that is older than the sources. */
export function assertBuilt(): void {
  if (NOT_BUILT !== undefined)
    throw new Error(`${NOT_BUILT}: run "npm run build" first`);
}

export interface TestSwarm extends LocalSwarm, AsyncDisposable {
  progress: LocalSwarmProgress[];
  pidOf(name: string): number;
}

/** `home` is removed at the end, unless one is given. */
export async function startSwarm(options: {
  nodes: number;
  model?: string;
  contextLength?: number;
  threads?: number;
  kv?: KvType;
  batch?: BatchMode;
  gpu?: string;
  fromSeeder?: boolean;
  /** In seconds. */
  recoveryTimeout?: number;
  readyTimeout?: number;
}): Promise<TestSwarm> {
  assertBuilt();
  const home = await mkdtemp(join(tmpdir(), "shoal-test-"));
  const progress: LocalSwarmProgress[] = [];
  let swarm: LocalSwarm;
  try {
    swarm = await startLocalSwarm(
      {
        entry: ENTRY,
        model: options.model ?? DEMO_MODEL,
        nodes: options.nodes,
        apiPort: 0,
        rendezvousPort: 0,
        diagnosticsPort: 0,
        contextLength: options.contextLength,
        threads: options.threads,
        kv: options.kv,
        batch: options.batch,
        gpu: options.gpu,
        fromSeeder: options.fromSeeder,
        recoveryTimeout: options.recoveryTimeout,
        readyTimeout: options.readyTimeout,
        onProgress: (step) => progress.push(step),
      },
      {
        events: new Events(),
        paths: resolvePaths(home),
        signal: new AbortController().signal,
      },
    );
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
  const stop = async (): Promise<void> => {
    await swarm.stop();
    await rm(home, { recursive: true, force: true });
  };
  return {
    ...swarm,
    progress,
    stop,
    pidOf: (name) => swarm.processes.find((p) => p.name === name)!.pid!,
    [Symbol.asyncDispose]: stop,
  };
}

export interface Completion {
  text: string;
  finish: string;
  tokens: number;
}

/** Waits until the gateway says that it can answer. */
export async function answering(apiUrl: string): Promise<void> {
  const until = Date.now() + 120_000;
  while ((await fetch(`${apiUrl}/health`)).status !== 200) {
    if (Date.now() > until) throw new Error("the gateway is not ready");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** POST /v1/completions, greedy. */
export async function complete(
  apiUrl: string,
  prompt: string | number[],
  maxTokens: number,
  banned = -1,
): Promise<Completion> {
  const signal = AbortSignal.timeout(120_000);
  const { data } = (await (
    await fetch(`${apiUrl}/v1/models`, { signal })
  ).json()) as { data: { id: string }[] };
  const response = await fetch(`${apiUrl}/v1/completions`, {
    method: "POST",
    signal,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: data[0]!.id,
      prompt,
      max_tokens: maxTokens,
      temperature: 0,
      ...(banned >= 0 && { logit_bias: { [banned]: -100 } }),
    }),
  });
  const body = (await response.json()) as {
    choices: { text: string; finish_reason: string }[];
    usage: { completion_tokens: number };
    error?: { message: string };
  };
  if (!response.ok)
    throw new Error(`${response.status}: ${body.error?.message}`);
  return {
    text: body.choices[0]!.text,
    finish: body.choices[0]!.finish_reason,
    tokens: body.usage.completion_tokens,
  };
}
