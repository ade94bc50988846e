/** What is the same in most records, so that it does not travel with each. Part of the protocol: another dictionary is another version. */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { encode } from "@ipld/dag-cbor";
import { ShoalError } from "../lib/index.ts";

/** An announcement with usual values; deflate finds the names of its fields and stretches of its values in others. */
export const ORDINARY: Uint8Array = encode({
  v: 2,
  kv: "q8_0",
  cut: { version: 1, borders: [] },
  move: "auto",
  peer: "12D3KooW",
  batch: "exact",
  links: [],
  engine: "llama.cpp v0.5.0 on CPU AVX2",
  onDisk: [],
  shard: { count: 8, index: 0 },
  standby: false,
  state: "downloading loading joining draining gone ready",
  ttlMs: 60_000,
  model: "Llama 3.3 70B Instruct Qwen Mistral Gemma Q4_K_M",
  seq: 1_800_000_000_000,
  renewal: new Uint8Array(16),
  cluster: "friends",
  version: "0.1.0",
  capacity: { threads: 8, memoryBytes: 8_589_934_592, freeMemoryBytes: 1 },
  issuedMs: 1_800_000_000_000,
  kvTokens: { free: 16_384, total: 16_384 },
  layerEnd: 1,
  manifest: "bafyreibafkrei",
  progress: { doneBytes: 1, sizeBytes: 1_073_741_824 },
  sessions: { max: 4, active: 0 },
  addresses: [
    "/ip6/::1/udp/51820/quic-v1/p2p/12D3KooW",
    "/ip4/127.0.0.1/tcp/51820/p2p/12D3KooW",
    "/ip4/10.0.0.1/tcp/51820/p2p/12D3KooW",
    "/ip4/192.168.1.1/udp/51820/quic-v1/p2p/12D3KooW",
  ],
  layerCount: 32,
  layerStart: 0,
  msPerToken: 10.5,
  roundTrips: [],
  takenOver: false,
  batchTokens: 192,
  memoryBytes: 1,
  contextLength: 4096,
});

export function deflated(
  bytes: Uint8Array,
  dictionary: Uint8Array,
): Uint8Array {
  return deflateRawSync(bytes, { dictionary, level: 9 });
}

/** Throws COMMAND_MALFORMED: not deflated with this dictionary, or more than `most` bytes. */
export function inflated(
  bytes: Uint8Array,
  dictionary: Uint8Array,
  most: number,
): Uint8Array {
  try {
    return inflateRawSync(bytes, { dictionary, maxOutputLength: most });
  } catch (error) {
    throw new ShoalError(
      "COMMAND_MALFORMED",
      "gossip: a record cannot be inflated",
      {},
      error,
    );
  }
}
