/** Manifests as bytes: canonical dag-cbor. Manifests from elsewhere are checked to the last field. */
import { hash } from "node:crypto";
import * as dagCbor from "@ipld/dag-cbor";
import { CID } from "multiformats/cid";
import { create as createDigest } from "multiformats/hashes/digest";
import { z } from "zod";
import {
  GGML_TYPES,
  MAX_TENSOR_NAME_BYTES,
  tensorSizeBytes,
  type GgmlTypeName,
} from "../gguf/index.ts";
import { ShoalError } from "../lib/index.ts";
import type { Manifest } from "./manifest.ts";
import { PART_ALIGNMENT, partDataBytes, tensorsSizeBytes } from "./parts.ts";
import { recipeOf } from "./recipes/index.ts";
import { missingTensor, partIds, partOf } from "./tensor-parts.ts";

/** A layer takes about 1 KiB, so 512 layers of a mixture model stay far below. */
export const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;
/** Code of SHA2-256 (https://github.com/multiformats/multicodec/blob/master/table.csv). */
const SHA2_256 = 0x12;

const size = z.int().min(0);
const count = z.int().min(1);
const types = GGML_TYPES.map(({ name }) => name);

/** name, type, shape, file, offset, bytes: an array, because a manifest has hundreds of them. */
const tensorSchema = z
  .tuple([
    z.string().min(1).max(MAX_TENSOR_NAME_BYTES),
    z.enum(types as [GgmlTypeName, ...GgmlTypeName[]]),
    z.array(count).max(4),
    size,
    size,
    size,
  ])
  .transform(([name, type, shape, fileIndex, offset, sizeBytes]) => ({
    name,
    type,
    shape,
    fileIndex,
    offset,
    sizeBytes,
  }));

const MAX_LAYERS = 512;
/** Layer numbers, ascending. */
const layers = z
  .array(size.max(MAX_LAYERS))
  .max(MAX_LAYERS)
  .refine((of) => of.every((layer, i) => i === 0 || layer > (of[i - 1] ?? 0)));

const manifestSchema = z.strictObject({
  version: z.literal(2),
  name: z.string().max(256),
  architecture: z.string().max(64),
  layerCount: count.max(MAX_LAYERS),
  embeddingLength: count,
  contextLength: size,
  vocabSize: count,
  quantization: z.string().min(1).max(32),
  tied: z.boolean(),
  cuts: z.strictObject({
    borders: layers,
    needs: z.array(layers.min(1)).max(8),
    refusedLengths: layers,
  }),
  layerCosts: z.array(size).max(MAX_LAYERS),
  layerMemory: z
    .array(z.strictObject({ bytesPerToken: size, bytesPerSession: size }))
    .max(MAX_LAYERS),
  files: z
    .array(z.strictObject({ sizeBytes: count }))
    .min(1)
    .max(1024),
  parts: z
    .array(
      z.strictObject({
        id: z.string().max(32),
        sizeBytes: size,
        root: z.instanceof(Uint8Array).refine((root) => root.length === 32),
        tensors: z.array(tensorSchema).max(65_536),
      }),
    )
    .max(515),
});

export function encodeManifest(manifest: Manifest): Uint8Array {
  return dagCbor.encode({
    ...manifest,
    parts: manifest.parts.map(({ id, sizeBytes, root, tensors }) => ({
      id,
      sizeBytes,
      root,
      tensors: tensors.map((t) => [
        t.name,
        t.type,
        [...t.shape],
        t.fileIndex,
        t.offset,
        t.sizeBytes,
      ]),
    })),
  });
}

/** The model's id: CIDv1, dag-cbor, SHA2-256, base32. */
export function manifestId(bytes: Uint8Array): string {
  const digest = createDigest(SHA2_256, hash("sha256", bytes, "buffer"));
  return CID.createV1(dagCbor.code, digest).toString();
}

/** Throws MANIFEST_INVALID, or MODEL_ARCHITECTURE if it is of a family that this version does not know. */
export function decodeManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MAX_MANIFEST_BYTES) {
    throw invalid(`${bytes.length} bytes, more than ${MAX_MANIFEST_BYTES}`);
  }
  let value: unknown;
  try {
    value = dagCbor.decode(bytes);
  } catch (error) {
    throw invalid("it is not dag-cbor", error);
  }
  const parsed = manifestSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw invalid(`${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}`);
  }
  const manifest = parsed.data;
  checkParts(manifest);
  // One content has one id, so other bytes of the same manifest are refused.
  if (Buffer.compare(encodeManifest(manifest), bytes) !== 0)
    throw invalid("it is not in canonical form");
  return manifest;
}

function checkParts(manifest: Manifest): void {
  recipeOf(manifest.architecture); // throws
  const ids = partIds(manifest.layerCount);
  if (
    manifest.parts.length !== ids.length ||
    manifest.parts.some(({ id }, i) => id !== ids[i])
  ) {
    throw invalid(`its parts are not those of ${manifest.layerCount} layers`);
  }
  checkCuts(manifest);
  const names = new Set<string>();
  for (const part of manifest.parts) {
    for (const tensor of part.tensors) {
      const { name, type, shape, fileIndex, offset, sizeBytes } = tensor;
      if (partOf(name) !== part.id)
        throw invalid(`tensor ${name} does not belong to part ${part.id}`);
      if (names.has(name)) throw invalid(`tensor ${name} appears twice`);
      names.add(name);
      if (!isSizeOf(type, shape, sizeBytes))
        throw invalid(`the size of tensor ${name} does not match its shape`);
      const file = manifest.files[fileIndex];
      if (file === undefined || offset + sizeBytes > file.sizeBytes)
        throw invalid(`tensor ${name} is outside the files`);
    }
    const dataBytes = tensorsSizeBytes(part.tensors);
    // The metadata part's header comes on top.
    const fits =
      part.id === "metadata"
        ? part.sizeBytes > dataBytes &&
          (dataBytes === 0 || part.sizeBytes % PART_ALIGNMENT === 0)
        : part.sizeBytes === partDataBytes(part.tensors);
    if (!fits)
      throw invalid(`the size of part ${part.id} does not match its tensors`);
  }
  const byId = new Map(manifest.parts.map(({ id, tensors }) => [id, tensors]));
  const missing = missingTensor(byId, manifest.layerCount);
  if (missing !== undefined) throw invalid(`tensor ${missing} is missing`);
  const table = byId.get("embedding")?.[0];
  if (
    table?.shape[0] !== manifest.embeddingLength ||
    table.shape[1] !== manifest.vocabSize ||
    table.shape.length !== 2
  ) {
    throw invalid("its embedding table has another size than it says");
  }
  if (manifest.tied === names.has("output.weight"))
    throw invalid("it is wrong about whether the head is tied");
}

/** The numbers are of layers that there are. */
function checkCuts({
  layerCount,
  cuts,
  layerCosts,
  layerMemory,
}: Manifest): void {
  const { borders, needs, refusedLengths } = cuts;
  const inside = (layers: readonly number[], from: number): boolean =>
    (layers[0] ?? from) >= from && (layers.at(-1) ?? 0) < layerCount;
  if (
    !inside(borders, 1) ||
    !inside(refusedLengths, 1) ||
    !needs.every((of) => inside(of, 0)) ||
    layerCosts.length !== layerCount ||
    layerMemory.length !== layerCount
  )
    throw invalid(
      `its rules for cutting are not those of ${layerCount} layers`,
    );
}

function isSizeOf(
  type: GgmlTypeName,
  shape: readonly number[],
  sizeBytes: number,
): boolean {
  try {
    return tensorSizeBytes(type, shape) === sizeBytes;
  } catch {
    return false;
  }
}

function invalid(reason: string, cause?: unknown): ShoalError {
  return new ShoalError(
    "MANIFEST_INVALID",
    `invalid manifest: ${reason}`,
    {},
    cause,
  );
}
