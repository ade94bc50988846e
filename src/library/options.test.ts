import assert from "node:assert/strict";
import { test } from "node:test";
import { isShoalError } from "../lib/index.ts";
import {
  askStatus,
  connect,
  diagnose,
  inspectModel,
  splitModel,
  startGateway,
  startNode,
  startRendezvous,
  startSeeder,
  startSwarm,
  verifyShards,
} from "./index.ts";

/** From JavaScript anything may come. */
type Loose = (
  options?: unknown,
  context?: unknown,
) => Promise<Partial<AsyncDisposable>>;

const MEMBER = { bootstrap: "127.0.0.1:1", cluster: "friends" };
const NODE = (options: object): object => ({ ...MEMBER, ...options });

const REFUSED: [call: unknown, options: unknown, sentence: RegExp][] = [
  [startNode, undefined, /^startNode: the options must be an object$/],
  [startNode, 7, /^startNode: the options must be an object$/],
  [
    startNode,
    { bootstrap: "localhost" },
    /`cluster` is missing: it must be the cluster's name$/,
  ],
  [startNode, NODE({ bootstrap: [] }), /`bootstrap` must have 1 to 64/],
  [startNode, NODE({ bootstrap: 9 }), /`bootstrap` must be an address or/],
  [
    startNode,
    NODE({ bootstrap: ["ok", "a:b:c"] }),
    /`bootstrap` is not understood: address "a:b:c": /,
  ],
  [startNode, NODE({ cluster: "" }), /`cluster` must be the cluster's name$/],
  [
    startNode,
    NODE({ cluster: "x".repeat(129) }),
    /`cluster` must have at most 128 characters/,
  ],
  [startNode, NODE({ port: 65_536 }), /`port` must be a whole number from 0/],
  [startNode, NODE({ host: "localhost" }), /`host` must be an IP address$/],
  [startNode, NODE({ shards: 3 }), /there is no option `shards`$/],
  [startNode, NODE({ shard: 3 }), /`shard` must be { index, count } or/],
  [startNode, NODE({ shard: { index: 4, count: 4 } }), /`index` under its/],
  [startNode, NODE({ shard: { layerStart: 4, layerEnd: 4 } }), /one layer$/],
  [startNode, NODE({ memoryBytes: 0.5 }), /`memoryBytes` must be a whole/],
  [startNode, NODE({ gpu: "" }), /`gpu` must be "auto", "off" or a graphics/],
  [startNode, NODE({ gpuLayers: -1 }), /`gpuLayers` must be a whole number/],
  [startSwarm, { gpu: 0 }, /`gpu` must be "auto", "off" or a graphics/],
  [startNode, NODE({ share: "no" }), /`share` must be true or false$/],
  [startNode, NODE({ uploadSlots: 0 }), /`uploadSlots` must be a whole/],
  [
    startRendezvous,
    { seedDir: "x" },
    /`seedLimitBytes` is missing: it must be given together/,
  ],
  [startRendezvous, { api: "here" }, /`api` must be a URL$/],
  [
    startSeeder,
    MEMBER,
    /`model` is missing: it must be the path of a GGUF, or a reference/,
  ],
  [
    startSeeder,
    NODE({ model: "m", shards: 1, origin: ["ftp://x"] }),
    /`origin.0` must be an HTTP or HTTPS URL$/,
  ],
  [startGateway, NODE({ apiPort: "80" }), /`apiPort` must be a whole number/],
  [startGateway, NODE({ apiKey: "" }), /`apiKey` must be a key$/],
  [startSwarm, { nodes: 65 }, /`nodes` must be a whole number from 1 to 64$/],
  [connect, {}, /^connect: `cluster` is missing/],
  [diagnose, { bootstrap: {} }, /`bootstrap` must be an address or/],
  [askStatus, {}, /`url` is missing: it must be given, or `bootstrap`/],
  [
    askStatus,
    { bootstrap: "here" },
    /`cluster` is missing: it must be given with/,
  ],
  [askStatus, { url: "file:///etc" }, /`url` must be an HTTP or HTTPS URL/],
  [splitModel, { model: "m", shards: 2 }, /`outDir` is missing/],
  [splitModel, { model: "m", shards: 0, outDir: "o" }, /`shards` must be a/],
  [
    verifyShards,
    { model: "" },
    /`model` must be the path of a GGUF, or a reference/,
  ],
  [
    inspectModel,
    7,
    /^inspectModel: `path` must be the path of a GGUF, .* or the path of a manifest$/,
  ],
];

for (const [call, options, sentence] of REFUSED)
  test(`${(call as Loose).name} refuses ${JSON.stringify(options)?.slice(0, 80)} as USAGE`, async () => {
    await assert.rejects((call as Loose)(options), (error) => {
      assert.ok(isShoalError(error, "USAGE"), String(error));
      assert.match(error.message, sentence);
      return true;
    });
  });

const CONTEXTS: [context: object, sentence: RegExp][] = [
  [{ onEvent: true }, /`onEvent` must be a function$/],
  [{ home: "" }, /`home` must be a folder$/],
  [{ signal: {} }, /`signal` must be an AbortSignal$/],
  [{ onevent() {} }, /there is no option `onevent`$/],
];

for (const [context, sentence] of CONTEXTS)
  test(`a context with ${Object.keys(context)[0]} ${sentence} is refused`, async () => {
    await assert.rejects((startRendezvous as Loose)({}, context), (error) => {
      assert.ok(isShoalError(error, "USAGE"), String(error));
      assert.match(error.message, sentence);
      return true;
    });
  });

test("a signal that was aborted before the start ends it as ABORTED, whatever its reason", async () => {
  const signal = AbortSignal.abort("no more");
  for (const start of [
    () => startRendezvous({ port: 0 }, { signal }),
    () => connect(MEMBER, { signal }),
    () => inspectModel("model.gguf", { signal }),
  ])
    await assert.rejects(start, (error) => isShoalError(error, "ABORTED"));
});
