/**
 * Engines joined to a ring: the same tokens whatever way the frames take; a data connection that is cut, changed or spoken to by a stranger ends
 * alone, and its sessions go on through the nodes; credit holds a session back.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { join } from "node:path";
import { before, after, test } from "node:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { splitModel } from "../model/index.ts";
import { FrameType } from "../ring/index.ts";
import { EngineRing } from "../../test/support/engine-ring.ts";
import { writeRandomModel } from "../../test/support/models.ts";
import { Target } from "./channel.ts";

const PROMPT = Array.from({ length: 20 }, (_, i) => (i * 37 + 5) % 320);
const MAX_TOKENS = 60;
const ASK = { prompt: PROMPT, maxTokens: MAX_TOKENS };

let directory: string;
let whole: string;
const shards = new Map<number, string[]>();
let expected: number[];

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "shoal-ring-"));
  whole = join(directory, "model.gguf");
  await writeRandomModel(whole, {
    layers: 3,
    embeddingLength: 256,
    feedForward: 256,
    heads: 8,
    kvHeads: 4,
    type: "Q8_0",
  });
  for (const n of [2, 3]) {
    const outDir = join(directory, String(n));
    const { shards: made } = await splitModel({
      path: whole,
      shards: n,
      outDir,
    });
    shards.set(
      n,
      made.map(({ path }) => path),
    );
  }
  await using ring = await EngineRing.start({ paths: [whole] });
  expected = (await ring.generate(ASK)).tokens;
  assert.equal(expected.length, MAX_TOKENS);
  assert.ok(new Set(expected).size > 10, "the model says many things");
});
after(() => rm(directory, { recursive: true, force: true }));

for (const n of [2, 3]) {
  test(`${n} stages that reach each other send nothing through the nodes but what is the gateway's`, async () => {
    await using ring = await EngineRing.start({ paths: shards.get(n)! });
    await ring.connect();
    const { tokens } = await ring.generate(ASK);
    assert.deepEqual(tokens, expected);
    for (const counts of ring.relayed)
      assert.deepEqual([counts[Target.Next], counts[Target.Previous]], [0, 0]);
  });

  test(`${n} stages without data connections say the same through the nodes`, async () => {
    await using ring = await EngineRing.start({ paths: shards.get(n)! });
    const { tokens } = await ring.generate(ASK);
    assert.deepEqual(tokens, expected);
    assert.ok(ring.relayed[0]![Target.Next]! >= MAX_TOKENS);
  });
}

test("without sockets of its own an engine takes what node's event loop brings", async () => {
  const paths = shards.get(2)!;
  await using ring = await EngineRing.start({ paths, sockets: false });
  assert.deepEqual((await ring.generate(ASK)).tokens, expected);
});

test("stages of one process hand their frames over inside it", async () => {
  const paths = shards.get(3)!;
  await using ring = await EngineRing.start({ paths, within: true });
  assert.equal(new Set(ring.engines.map(({ pid }) => pid)).size, 1);
  const both = await Promise.all([ring.generate(ASK), ring.generate(ASK)]);
  for (const { tokens } of both) assert.deepEqual(tokens, expected);
  for (const counts of ring.relayed)
    assert.deepEqual([counts[Target.Next], counts[Target.Previous]], [0, 0]);
  const [first, ...others] = ring.engines;
  await first!.stop();
  for (const other of others) assert.ok((await other.memoryBytes()) > 0);
});

test("two sessions at once get what each gets alone", async () => {
  await using ring = await EngineRing.start({ paths: shards.get(3)! });
  await ring.connect();
  const other = { ...ASK, prompt: PROMPT.toReversed() };
  const alone = await ring.generate(other);
  const both = await Promise.all([ring.generate(ASK), ring.generate(other)]);
  assert.deepEqual(
    both.map(({ tokens }) => tokens),
    [expected, alone.tokens],
  );
});

test("the measured way to the next stage does not count the prompts that are computed beside", async (t) => {
  await using ring = await EngineRing.start({ paths: shards.get(2)! });
  await ring.connect();
  const others = Array.from(
    { length: 190 },
    (_, i) => PROMPT[i % PROMPT.length]!,
  );
  let isOver = false;
  const computed: number[] = [];
  const beside = (async () => {
    for (const startedMs = performance.now(); ;) {
      if (isOver) return (performance.now() - startedMs) / computed.length;
      await ring.generate({ prompt: others, maxTokens: 1, sequence: 1 });
      computed.push(1);
    }
  })();
  // On a busy machine a reply may be over before many prompts were computed beside it.
  do await ring.generate({ ...ASK, sequence: 0 });
  while (computed.length <= 5);
  isOver = true;
  const promptMs = await beside;
  for (const [index, { wireMs }] of ring.times.entries()) {
    t.diagnostic(`stage ${index}: ${wireMs} ms; a prompt: ${promptMs} ms`);
    assert.ok(wireMs !== undefined && wireMs < promptMs / 8);
  }
});

test("a prompt whose last chunk is one token keeps its order, also beside a session whose tokens overtake it", async () => {
  await using ring = await EngineRing.start({ paths: shards.get(3)! });
  await ring.connect();
  const prompt = Array.from(
    { length: 131 },
    (_, i) => PROMPT[i % PROMPT.length]!,
  );
  const whole = { prompt, maxTokens: 8, sequence: 1 };
  const { tokens } = await ring.generate({ ...whole, chunks: [130, 1] });
  let isOver = false;
  const beside = (async () => {
    for (;;) {
      await ring.generate({ ...ASK, sequence: 0 });
      if (isOver) return;
    }
  })();
  for (let i = 0; i < 10; i++) {
    const reply = await ring.generate({ ...whole, chunks: [130, 1] });
    assert.deepEqual(reply.tokens, tokens);
  }
  isOver = true;
  await beside;
});

for (const batch of ["exact", "off"] as const) {
  test(`four sessions at once, batch ${batch}: each gets what it gets alone`, async () => {
    await using ring = await EngineRing.start({
      paths: shards.get(2)!,
      engine: {
        sessions: 4,
        batch,
        contextLength: 768,
        tablesPath: join(directory, `${batch}.json`),
      },
    });
    await ring.connect();
    const asks = [0, 1, 2, 3].map((i) => ({
      prompt: PROMPT.slice(i),
      maxTokens: 200,
    }));
    const alone: number[][] = [];
    for (const ask of asks) alone.push((await ring.generate(ask)).tokens);
    const together = await Promise.all(asks.map((ask) => ring.generate(ask)));
    assert.deepEqual(
      together.map(({ tokens }) => tokens),
      alone,
    );
    await ring.until(() => ring.sharedTokens.length === 2);
    await new Promise((resolve) => setTimeout(resolve, 1_000)); // the last statistics
    const shared = ring.sharedTokens.map((tokens) => tokens > 0);
    for (const [index, { info }] of ring.engines.entries()) {
      const [one, ...more] = info!.tables.shared;
      const saving = more.filter(
        ({ rows, sameBits, ms }) => sameBits && ms / rows < one!.ms,
      );
      if (batch === "off" || saving.length === 0)
        assert.equal(shared[index], false, "it would save nothing");
      else if (saving[0]!.rows === 2)
        assert.equal(shared[index], true, "two tokens often wait at once");
    }
  });
}

test("a direct way that comes in the middle of a reply is taken without a trace in it", async () => {
  await using ring = await EngineRing.start({ paths: shards.get(3)! });
  let connected: Promise<void> | undefined;
  const { tokens } = await ring.generate({
    ...ASK,
    credit: 30,
    onToken: (count) => {
      if (count === 20) connected = ring.connect();
      if (count === 30) void connected!.then(() => ring.giveCredit(MAX_TOKENS));
    },
  });
  assert.deepEqual(tokens, expected);
  assert.ok(ring.relayed[0]![Target.Next]! < MAX_TOKENS);
});

/** What a relay between two engines does to the bytes: returns what it passes on, or undefined to cut the connection. */
type Harm = (bytes: Buffer, total: number) => Buffer | undefined;

const HARMS: Record<string, () => Harm> = {
  "is cut": () => (bytes, total) => (total > 40_000 ? undefined : bytes),
  "is changed in one bit": () => {
    let done = false;
    return (bytes, total) => {
      if (total < 40_000 || done) return bytes;
      done = true;
      const changed = Buffer.from(bytes);
      changed[changed.length >> 1]! ^= 4;
      return changed;
    };
  },
  "is repeated": () => {
    let done = false;
    return (bytes, total) => {
      if (total < 40_000 || done) return bytes;
      done = true;
      return Buffer.concat([bytes, bytes]);
    };
  },
  "is reordered": () => {
    let held: Buffer | undefined;
    let done = false;
    return (bytes, total) => {
      if (total < 40_000 || done) return bytes;
      if (held === undefined && bytes.length > 200) {
        // The second half of what came, before the first.
        held = bytes;
        done = true;
        const half = bytes.length >> 1;
        return Buffer.concat([bytes.subarray(half), bytes.subarray(0, half)]);
      }
      return bytes;
    };
  },
};

for (const [name, harm] of Object.entries(HARMS)) {
  test(`a data connection that ${name} ends alone: the reply goes on through the nodes, the same`, async () => {
    await using ring = await EngineRing.start({ paths: shards.get(2)! });
    await using relay = new Relay(harm);
    await ring.connect((port) => relay.to(port));
    const { tokens } = await ring.generate(ASK);
    assert.deepEqual(tokens, expected);
    assert.ok(relay.harmed > 0, "the relay did its harm");
    assert.ok(
      ring.relayed.some((counts) => counts[Target.Next]! > 0),
      "frames took the other way",
    );
    assert.deepEqual((await ring.generate(ASK)).tokens, expected);
  });
}

test("a stranger at the data port changes nothing", async () => {
  await using ring = await EngineRing.start({ paths: shards.get(2)! });
  let port = 0;
  await ring.connect((p) => Promise.resolve((port = p)));
  const strangers: Socket[] = [];
  const { tokens } = await ring.generate({
    ...ASK,
    onToken: (count) => {
      if (count > 40) return;
      const socket = connect(port, "127.0.0.1").on("error", () => {});
      socket.write(Buffer.alloc(1 + count * 7, count));
      strangers.push(socket);
    },
  });
  for (const socket of strangers) socket.destroy();
  assert.deepEqual(tokens, expected);
  for (const counts of ring.relayed) assert.equal(counts[Target.Next], 0);
});

test("past its credit a session waits, and goes on with more", async () => {
  await using ring = await EngineRing.start({ paths: shards.get(2)! });
  await ring.connect();
  const session = await ring.open({ ...ASK, credit: 10 });
  await ring.until(() => session.tokens.length >= 10);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(session.tokens.length, 10);
  ring.send(session, FrameType.Credit, 1, [], 25);
  await ring.until(() => session.tokens.length >= 25);
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal(session.tokens.length, 25);
  ring.send(session, FrameType.Credit, 1, [], MAX_TOKENS);
  assert.deepEqual((await session.done.promise).tokens, expected);
});

/** A TCP relay that harms what passes. */
class Relay implements AsyncDisposable {
  harmed = 0;
  readonly #harm: () => Harm;
  readonly #servers: { close(): unknown }[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(harm: () => Harm) {
    this.#harm = harm;
  }

  async to(port: number): Promise<number> {
    const server = createServer((from) => {
      const to = connect(port, "127.0.0.1");
      this.#pass(from, to);
      this.#pass(to, from);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    this.#servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    for (const server of this.#servers) server.close();
  }

  #pass(from: Socket, to: Socket): void {
    const harm = this.#harm();
    let total = 0;
    this.#sockets.add(from);
    const end = (): void => {
      from.destroy();
      to.destroy();
    };
    from.setNoDelay(true);
    from.on("error", end).on("close", end);
    from.on("data", (bytes) => {
      total += bytes.length;
      const passed = harm(bytes, total);
      if (passed !== bytes) this.harmed++;
      if (passed === undefined) end();
      else to.write(passed);
    });
  }
}
