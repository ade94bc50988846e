/** Where a node computes on GPUs, their memory counts. */

export interface ShardMemory {
  /** Of the machine. */
  availableBytes: number;
  /** Those that compute, as they were before the first shard; none where it is the CPU. */
  gpus: readonly {
    kind: "cpu" | "gpu" | "integrated" | "accelerator";
    freeBytes: number;
  }[];
  /** What the node's shards took of them. */
  onGpusBytes: number;
  /** Only some layers go to the GPUs, the others to the machine's memory. */
  isPartly: boolean;
}

/** The memory that one more shard may take. */
export function memoryForShards({
  availableBytes,
  gpus,
  onGpusBytes,
  isPartly,
}: ShardMemory): number {
  if (gpus.length === 0) return availableBytes;
  const total = gpus.reduce((sum, { freeBytes }) => sum + freeBytes, 0);
  const free = Math.max(0, total - onGpusBytes);
  // An integrated GPU's memory is the machine's.
  if (gpus.every(({ kind }) => kind === "integrated"))
    return isPartly ? availableBytes : Math.min(free, availableBytes);
  return isPartly ? free + availableBytes : free;
}
