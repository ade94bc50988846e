/** llama.cpp by itself in a process of its own: greedy decoding of a whole file, timed; driven by decode.ts and gpu.ts over IPC. */
import type { Backend } from "../src/engine/libraries.ts";
import { gpusFor, pointersOf } from "../src/engine/native-devices.ts";
import { loadNative } from "../src/engine/native.ts";
import { Llama } from "../test/support/llama.ts";

const [model = "", backend = "cpu", device = ""] = process.argv.slice(2);
const native = loadNative(undefined, backend as Backend);
const gpus = gpusFor(native, {
  backend: backend as Backend,
  ...(device !== "" && { device }),
});
const llama = new Llama(model, 1024, { devices: pointersOf(gpus) });
process.on(
  "message",
  ({ prompt, tokens }: { prompt: number[]; tokens: number }) => {
    const [firstMs, allMs] = llama.greedyTimed(Int32Array.from(prompt), tokens);
    const msPerToken = (allMs - firstMs) / (tokens - 1);
    process.send?.({ msPerToken, firstMs });
  },
);
process.send?.("ready");
