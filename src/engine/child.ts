/**
 * The engine's process: loads one shard (or one vocabulary) and answers the channel until the parent is gone. A failed assertion in
 * llama.cpp aborts only this process. Started by engine-process.ts, never by hand.
 */
import { readShard } from "../model/index.ts";
import { ShoalError } from "../lib/index.ts";
import {
  bytesOf,
  floatsOf,
  type Frame,
  intsOf,
  Kind,
  Op,
  SyncChannel,
  Want,
} from "./channel.ts";
import { describeDevices, deviceNames, gpusFor } from "./native-devices.ts";
import type { Backend } from "./libraries.ts";
import { loadNative } from "./native.ts";
import { LOG_ERROR, LOG_WARNING } from "./native-log.ts";
import type { Native } from "./native-types.ts";
import { Sampler } from "./sampler.ts";
import type { SamplingOptions } from "./sampling.ts";
import { Stage, type StageOptions } from "./stage.ts";
import { Vocabulary } from "./vocabulary.ts";

export interface LoadStageRequest extends StageOptions {
  path: string;
}

export interface StageInfo {
  embeddingLength: number;
  contextLength: number;
  vocabSize: number;
  layers: number;
  isFirst: boolean;
  isLast: boolean;
  loadMs: number;
  dryRunMs: number;
  /** Resident memory after the dry run. */
  rssBytes: number;
  /** Of llama.cpp: "0.5.0". */
  version: string;
  /** "CPU", or the GPUs that compute. */
  device: string;
  /** Memory that it took on them, as far as the driver tells. */
  gpuBytes: number;
}

// A terminal sends Ctrl-C, and systemd SIGTERM, to this process too: sessions that the parent still finishes need it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => {});

const channel = new SyncChannel();
const samplers = new Map<number, Sampler>();
let stage: Stage | undefined;
let vocabulary: Vocabulary | undefined;

for (let frame = channel.read(); frame !== undefined; frame = channel.read()) {
  try {
    const reply = await handle(frame);
    if (reply instanceof Uint8Array) channel.write(Kind.Bytes, frame.id, reply);
    else channel.write(Kind.Json, frame.id, Buffer.from(JSON.stringify(reply)));
  } catch (error) {
    channel.write(
      Kind.Error,
      frame.id,
      Buffer.from(JSON.stringify(ShoalError.from(error).toObject())),
    );
  }
}
process.exit(0);

function handle(frame: Frame): object | Uint8Array | Promise<object> {
  const { body } = frame;
  switch (frame.op) {
    case Op.Decode:
      return decode(body);
    case Op.LoadStage:
      return loadStage(json(body) as LoadStageRequest, frame.id);
    case Op.LoadVocabulary:
      load("cpu");
      vocabulary = new Vocabulary((json(body) as { path: string }).path);
      return vocabulary.describe();
    case Op.Tokenize: {
      if (vocabulary === undefined)
        throw new ShoalError("ENGINE_FAILED", "no vocabulary is loaded");
      return bytesOf(vocabulary.tokenize(body.subarray(4), (body[0] ?? 0) & 3));
    }
    case Op.OpenSequence: {
      const sequence = u32(body, 0);
      free(sequence);
      if (body.length > 4)
        samplers.set(
          sequence,
          new Sampler(loadedStage(), json(body.subarray(4)) as SamplingOptions),
        );
      return {};
    }
    case Op.FreeSequence:
      free(u32(body, 0));
      return {};
    case Op.Memory:
      return { rssBytes: process.memoryUsage.rss() };
    case Op.CheckModel:
      return checkModel((json(body) as { path: string }).path);
    case Op.Devices:
      return describeDevices(
        load((json(body) as { backend: Backend }).backend),
      );
    default:
      throw new ShoalError("ENGINE_FAILED", `unknown engine op ${frame.op}`);
  }
}

/** A process has one library: the first that is loaded. */
function load(backend: Backend): Native {
  return loadNative((level, text) => {
    if (level === LOG_WARNING || level === LOG_ERROR)
      process.stderr.write(text); // the parent keeps the last lines
  }, backend);
}

async function loadStage(
  request: LoadStageRequest,
  id: number,
): Promise<StageInfo> {
  const native = load(request.backend ?? "cpu");
  const gpus = gpusFor(native, request);
  const shard = await readShard(request.path);
  const startedMs = performance.now();
  stage = new Stage(shard, request, (fraction) => {
    channel.write(Kind.Progress, id, bytesOf(Float32Array.of(fraction)));
  });
  const loadedMs = performance.now();
  stage.dryRun();
  return {
    embeddingLength: stage.embeddingLength,
    contextLength: stage.contextLength,
    vocabSize: stage.vocabSize,
    layers: shard.layerEnd - shard.layerStart,
    isFirst: shard.isFirst,
    isLast: shard.isLast,
    loadMs: loadedMs - startedMs,
    dryRunMs: performance.now() - loadedMs,
    rssBytes: process.memoryUsage.rss(),
    version: native.version,
    device: deviceNames(gpus),
    gpuBytes: Math.max(0, freeOf(gpus) - freeOf(gpusFor(native, request))),
  };
}

function freeOf(devices: readonly { freeBytes: number }[]): number {
  return devices.reduce((sum, { freeBytes }) => sum + freeBytes, 0);
}

/** Key-values, vocabulary and the shape of each tensor; nothing is allocated for the weights. */
function checkModel(path: string): object {
  const native = load("cpu");
  const params = native.modelDefaultParams();
  params.no_alloc = true;
  params.load_mode = 0; // LLAMA_LOAD_MODE_NONE: mapping the file would assert that it is allocated
  native.freeModel(native.loadModel(path, params));
  return {};
}

function decode(body: Uint8Array): Uint8Array {
  const current = loadedStage();
  const [sequence, position, count, want] = [
    u32(body, 0),
    u32(body, 4),
    u32(body, 8),
    u32(body, 12),
  ];
  const tokens = intsOf(body.subarray(16, 16 + 4 * count));
  const rest = body.subarray(16 + 4 * count);
  const activations = current.decode(
    sequence,
    position,
    tokens,
    rest.length === 0 ? undefined : floatsOf(rest),
  );
  if (activations !== undefined) return bytesOf(activations);
  const sampler = samplers.get(sequence);
  // A session's own samples were accepted when they were drawn. Only the prompt comes in larger chunks or at the start.
  if (sampler?.expects(position) === false) sampler.accept(tokens);
  switch (want) {
    case Want.Nothing:
      return new Uint8Array();
    case Want.Logits:
      return bytesOf(current.logits());
    case Want.Token: {
      if (sampler === undefined)
        throw new ShoalError(
          "ENGINE_FAILED",
          `sequence ${sequence} was not opened for sampling`,
        );
      const token = sampler.sample(current, position + count);
      return bytesOf(
        Int32Array.of(token, current.isEndOfGeneration(token) ? 1 : 0),
      );
    }
    default:
      throw new ShoalError("ENGINE_FAILED", `unknown want ${want}`);
  }
}

function free(sequence: number): void {
  stage?.freeSequence(sequence);
  samplers.get(sequence)?.[Symbol.dispose]();
  samplers.delete(sequence);
}

function loadedStage(): Stage {
  if (stage === undefined)
    throw new ShoalError("ENGINE_FAILED", "no shard is loaded");
  return stage;
}

function json(body: Uint8Array): unknown {
  return JSON.parse(Buffer.from(body).toString());
}

function u32(body: Uint8Array, at: number): number {
  return new DataView(body.buffer, body.byteOffset, body.byteLength).getUint32(
    at,
    true,
  );
}
