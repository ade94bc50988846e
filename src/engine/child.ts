/**
 * The engine's process: loads one shard (or one vocabulary), answers the channel and computes its sessions until the parent is gone. A failed
 * assertion in llama.cpp aborts only this process. Started by engine-process.ts, never by hand.
 */
import { join } from "node:path";
import { readShard } from "../model/index.ts";
import {
  type BatchMode,
  COMPUTE_MODE_DEFAULTS,
  ShoalError,
} from "../lib/index.ts";
import { hasDataSockets } from "../ring/index.ts";
import {
  bytesOf,
  EngineChannel,
  floatsOf,
  type Frame,
  intsOf,
  Kind,
  Op,
  Want,
} from "./channel.ts";
import { type KeptFacts, KeptFiles, type KeptPlace } from "./kept-files.ts";
import { KeptSessions } from "./kept-sessions.ts";
import { EngineLoop } from "./loop.ts";
import type { DialRequest, ExpectRequest } from "./ring-links.ts";
import { writeSession } from "./session-record.ts";
import type { SessionRequest } from "./session-request.ts";
import { describeDevices, deviceNames, gpusFor } from "./native-devices.ts";
import type { Backend } from "./libraries.ts";
import { loadNative } from "./native.ts";
import { LOG_ERROR, LOG_WARNING } from "./native-log.ts";
import type { Native } from "./native-types.ts";
import { Sampler } from "./sampler.ts";
import { SentRowsMemory } from "./sent-rows.ts";
import type { SamplingOptions } from "./sampling.ts";
import { Stage, type StageOptions } from "./stage.ts";
import {
  NO_TABLES,
  policyOf,
  stageKey,
  type StageTables,
  tablesOf,
} from "./tables.ts";
import { Vocabulary } from "./vocabulary.ts";

export interface LoadStageRequest extends StageOptions {
  /** Its number in this process. */
  stage: number;
  path: string;
  batch?: BatchMode;
  /** Where what is measured at load is kept; undefined: nothing is measured, and no two sessions share a decode. */
  tablesPath?: string;
  /** Where sessions that ended are kept, of all stages of the node, and how much of them; undefined: in no file. */
  kept?: { folder: string; bytes: number } | undefined;
  /** What sessions send on is kept, for a stage that takes the next one's place. Default: true. */
  keepsSentRows?: boolean;
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
  /** To measure the tables, or to find what was measured before. */
  measureMs: number;
  tables: StageTables;
  /** Resident memory after the dry run: of the process, or what this stage added to it. */
  rssBytes: number;
  /** Of llama.cpp: "0.5.0". */
  version: string;
  /** "CPU AVX2", or the GPUs that compute. */
  device: string;
  /** Memory that it took on them, as far as the driver tells. */
  gpuBytes: number;
  /** Undefined: it keeps no files. */
  kept?: KeptPlace | undefined;
}

/** What another node handed over lies at a path in the stage's folder. */
export interface AdoptRequest {
  stage: number;
  path: string;
  facts: KeptFacts;
}

interface Loaded {
  stage: Stage;
  kept: KeptSessions;
  samplers: Map<number, Sampler>;
}

/** What sessions sent on is kept in memory up to here, then in a file. */
const SENT_ROWS_BYTES = 8 * 1024 * 1024;

// A terminal sends Ctrl-C, and systemd SIGTERM, to this process too: sessions that the parent still finishes need it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => {});

const channel = new EngineChannel();
const loop = new EngineLoop(
  channel,
  hasDataSockets && !process.argv.includes("--no-sockets"),
  (frame) => answer(frame),
);
/** By number; with the samplers of sequences that decode one by one. */
const stages = new Map<number, Loaded>();
let vocabulary: Vocabulary | undefined;
let sent: SentRowsMemory | undefined;

await loop.run();
loop.stop();
process.exit(0);

function answer(frame: Frame): void | Promise<void> {
  const { id } = frame;
  try {
    if (frame.op === Op.Frame) {
      loop.onRelayed(id, frame.body);
      return;
    }
    const reply = handle(frame);
    if (!(reply instanceof Promise)) write(id, reply);
    else
      return reply.then(
        (value) => write(id, value),
        (error: unknown) => refuse(id, error),
      );
  } catch (error) {
    refuse(id, error);
  }
}

function write(id: number, reply: object | Uint8Array): void {
  if (reply instanceof Uint8Array) channel.write(Kind.Bytes, id, reply);
  else channel.write(Kind.Json, id, Buffer.from(JSON.stringify(reply)));
}

function refuse(id: number, error: unknown): void {
  const text = JSON.stringify(ShoalError.from(error).toObject());
  channel.write(Kind.Error, id, Buffer.from(text));
}

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
      const [id, sequence] = [u32(body, 0), u32(body, 4)];
      free(id, sequence);
      const { stage, samplers } = loaded(id);
      const sampling = body.subarray(8);
      if (sampling.length > 0)
        samplers.set(
          sequence,
          new Sampler(stage, json(sampling) as SamplingOptions),
        );
      return {};
    }
    case Op.FreeSequence:
      free(u32(body, 0), u32(body, 4));
      return {};
    case Op.Memory:
      return { rssBytes: process.memoryUsage.rss() };
    case Op.CheckModel:
      return checkModel((json(body) as { path: string }).path);
    case Op.Devices:
      return describeDevices(
        load((json(body) as { backend: Backend }).backend),
      );
    case Op.OpenSession:
      return loop.open(json(body) as SessionRequest);
    case Op.CloseSession:
      loop.close((json(body) as { handle: number }).handle);
      return {};
    case Op.WriteSession:
      return writeSession(
        loop.session((json(body) as { handle: number }).handle),
      );
    case Op.AdoptSession: {
      const { stage, path, facts } = json(body) as AdoptRequest;
      loaded(stage).kept.adopt(path, facts);
      return {};
    }
    case Op.UnloadStage:
      unload((json(body) as { stage: number }).stage);
      return {};
    case Op.ExpectConnection:
      return { port: loop.links.expect(json(body) as ExpectRequest) };
    case Op.DialConnection:
      loop.links.dial(json(body) as DialRequest);
      return {};
    case Op.CutLink:
      loop.links.cut((json(body) as { link: number }).link);
      return {};
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
  const othersBytes = stages.size === 0 ? 0 : process.memoryUsage.rss();
  const stage = new Stage(shard, request, (fraction) => {
    channel.write(Kind.Progress, id, bytesOf(Float32Array.of(fraction)));
  });
  const loadedMs = performance.now();
  try {
    stage.dryRun();
  } catch (error) {
    stage[Symbol.dispose]();
    throw error;
  }
  unload(request.stage);
  const batch = request.batch ?? COMPUTE_MODE_DEFAULTS.batch;
  const measuredMs = performance.now();
  const tables =
    request.tablesPath === undefined
      ? NO_TABLES
      : tablesOf(stage, request, native.version);
  const policy = policyOf(tables, batch, stage.contextLength);
  const rules = {
    kv: request.kv ?? "f16",
    anyBits: batch === "fast",
    sameRows: policy.sameBits(2),
  };
  const files = keptFiles(request, native);
  const kept = new KeptSessions(stage, rules, files);
  stages.set(request.stage, { stage, kept, samplers: new Map() });
  loop.serve({
    id: request.stage,
    stage,
    policy,
    kept,
    sentRows: sentRows(request),
  });
  return {
    embeddingLength: stage.embeddingLength,
    contextLength: stage.contextLength,
    vocabSize: stage.vocabSize,
    layers: shard.layerEnd - shard.layerStart,
    isFirst: shard.isFirst,
    isLast: shard.isLast,
    loadMs: loadedMs - startedMs,
    dryRunMs: measuredMs - loadedMs,
    measureMs: performance.now() - measuredMs,
    tables,
    rssBytes: Math.max(0, process.memoryUsage.rss() - othersBytes),
    version: native.version,
    device: deviceNames(gpus, native.systemInfo()),
    gpuBytes: Math.max(0, freeOf(gpus) - freeOf(gpusFor(native, request))),
    ...(files && { kept: files.place }),
  };
}

function keptFiles(
  request: LoadStageRequest,
  { version }: Native,
): KeptFiles | undefined {
  const { kept } = request;
  if (kept === undefined || kept.bytes === 0) return undefined;
  const folder = join(kept.folder, stageKey(request, version).slice(0, 32));
  return new KeptFiles(folder, kept.bytes);
}

/** Of all stages of this process; the first one's folder is as good as any. */
function sentRows({ kept, keepsSentRows }: LoadStageRequest): SentRowsMemory {
  sent ??=
    keepsSentRows === false
      ? new SentRowsMemory(-1)
      : new SentRowsMemory(SENT_ROWS_BYTES, kept?.folder);
  return sent;
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
  const { stage: current, samplers } = loaded(u32(body, 0));
  const [sequence, position, count, want] = [
    u32(body, 4),
    u32(body, 8),
    u32(body, 12),
    u32(body, 16),
  ];
  const tokens = intsOf(body.subarray(20, 20 + 4 * count));
  const rest = body.subarray(20 + 4 * count);
  const activations = current.decode(
    sequence,
    position,
    tokens,
    rest.length === 0 ? undefined : floatsOf(rest),
  );
  if (activations !== undefined) return bytesOf(activations);
  const sampler = samplers.get(sequence);
  // A session's own samples were accepted when they were drawn. Only the prompt comes in larger chunks or at the start.
  if (sampler?.expects(position) === false) sampler.accept(tokens, position);
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
      const { token } = sampler.sample(current, position + count);
      return bytesOf(
        Int32Array.of(token, current.isEndOfGeneration(token) ? 1 : 0),
      );
    }
    default:
      throw new ShoalError("ENGINE_FAILED", `unknown want ${want}`);
  }
}

function free(id: number, sequence: number): void {
  const { samplers } = loaded(id);
  loop.freeSequence(id, sequence);
  samplers.get(sequence)?.[Symbol.dispose]();
  samplers.delete(sequence);
}

function unload(id: number): void {
  const there = stages.get(id);
  if (there === undefined) return;
  loop.forget(id);
  stages.delete(id);
  for (const sampler of there.samplers.values()) sampler[Symbol.dispose]();
  there.stage[Symbol.dispose]();
}

function loaded(id: number): Loaded {
  const there = stages.get(id);
  if (there === undefined)
    throw new ShoalError("ENGINE_FAILED", "no shard is loaded");
  return there;
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
