/** llama.cpp by itself in a process of its own: greedy decoding of a whole file, timed; driven by decode.ts over IPC. */
import { Llama } from "../test/support/llama.ts";

const llama = new Llama(process.argv[2] ?? "", 512);
process.on(
  "message",
  ({ prompt, tokens }: { prompt: number[]; tokens: number }) => {
    const [firstMs, allMs] = llama.greedyTimed(Int32Array.from(prompt), tokens);
    process.send?.({ msPerToken: (allMs - firstMs) / (tokens - 1) });
  },
);
process.send?.("ready");
