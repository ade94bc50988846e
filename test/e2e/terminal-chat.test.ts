/** `shoal chat` without a prompt: a conversation in a pseudo-terminal, with a real gateway and a scripted backend. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { onLoopback } from "../fakes/gateway.ts";
import { Terminal, terminalMissing } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const UP = "\u001B[A";
const LEFT = "\u001B[D";

async function opened(t: TestContext, ...args: string[]) {
  const gateway = await onLoopback();
  t.after(() => gateway.gateway.stop());
  gateway.backend.contextLength = 10_000;
  const folder = await temporaryFolder(t);
  const terminal = new Terminal(
    ["chat", "--api", gateway.url, ...args],
    folder,
  );
  t.after(() => terminal[Symbol.dispose]());
  await terminal.sees("shoal-demo at ");
  await terminal.sees("\n> ");
  /** One message, until the next prompt; what was shown in between. */
  const say = async (line: string): Promise<string> => {
    terminal.type(`${line}\r`);
    await terminal.sees(`${line.split("\r").at(-1)!}\n`);
    return await terminal.sees("\n> ");
  };
  return { ...gateway, terminal, folder, say };
}

const options = { skip: terminalMissing };

test(
  "each message goes with the turns before it; commands change what is kept",
  options,
  async (t) => {
    const { say, backend, terminal, folder } = await opened(
      t,
      "--system",
      "Brief.",
    );
    assert.equal(await say("Hi"), "Hello there.\n");
    assert.equal(await say("More"), "Hello there.\n");
    const system = "<|system|>Brief.</s>";
    const first = "<|user|>Hi</s><|assistant|>Hello there.</s>";
    const more = `${system}${first}<|user|>More</s><|assistant|>`;
    assert.equal(backend.lastPrompt, more);
    backend.script = ["Again."];
    assert.equal(await say("/retry"), "Again.\n");
    assert.equal(backend.lastPrompt, more);
    assert.equal(await say("/system"), "Brief.");
    assert.equal(await say("/system Be kind."), "Be kind.");
    assert.equal(await say("/save talk.md"), "saved to talk.md");
    assert.equal(
      await readFile(join(folder, "talk.md"), "utf8"),
      "## system\n\nBe kind.\n\n## user\n\nHi\n\n## assistant\n\nHello there.\n\n## user\n\nMore\n\n## assistant\n\nAgain.\n",
    );
    await say("/save talk.json");
    const saved = JSON.parse(
      await readFile(join(folder, "talk.json"), "utf8"),
    ) as { messages: unknown[] };
    assert.equal(saved.messages.length, 5);
    await writeFile(join(folder, "mine"), "kept");
    assert.equal(await say("/save mine"), "mine exists already");
    assert.equal(await readFile(join(folder, "mine"), "utf8"), "kept");
    assert.equal(await say("/clear"), "(forgotten)");
    assert.equal(await say("/retry"), "(nothing was asked yet)");
    assert.match(await say("/help"), /^\/system .*\n\/retry .*\/exit /s);
    assert.match(await say("/nothing"), /^there is no \/nothing; /);
    await say(" /etc");
    assert.equal(
      backend.lastPrompt,
      "<|system|>Be kind.</s><|user|> /etc</s><|assistant|>",
    );
    terminal.type("/exit\r");
    assert.equal(await terminal.ended, 0);
  },
);

test(
  "lines are edited, come back from the history, and several make one message",
  options,
  async (t) => {
    const { backend, terminal } = await opened(t);
    const asked = (): string | undefined =>
      /.*<\|user\|>(.*?)<\/s>/s.exec(backend.lastPrompt)?.[1];
    const types = async (keys: string, count: number): Promise<void> => {
      terminal.type(keys);
      await until(`${count} requests`, () => backend.requests.length === count);
      await terminal.sees("\n> ");
    };
    await types(`Hllo${LEFT}${LEFT}${LEFT}e\r`, 1);
    assert.equal(asked(), "Hello");
    await types(`${UP}!\r`, 2);
    assert.equal(asked(), "Hello!");
    terminal.type("one\\\r");
    await terminal.sees("\n... ");
    await types("two\r", 3);
    assert.equal(asked(), "one\ntwo");
    terminal.type('"""\r');
    await terminal.sees("\n... ");
    terminal.type("a\r");
    await terminal.sees("\n... ");
    await types('"""\r', 4);
    assert.equal(asked(), "a");
    await types("pasted\rlines\r", 5);
    assert.equal(asked(), "pasted\nlines");
    terminal.type(" \r");
    await terminal.sees("\n> ");
    assert.equal(backend.requests.length, 5);
    terminal.type(CTRL_D);
    assert.equal(await terminal.ended, 0);
  },
);

test(
  "Ctrl-C stops the reply, whose text stays; at a begun line it takes that back, at an empty prompt it ends",
  options,
  async (t) => {
    const { say, backend, terminal } = await opened(t);
    backend.script = ["Once", { hang: true }];
    terminal.type("Hi\r");
    await terminal.sees("Once");
    terminal.type(CTRL_C);
    await terminal.sees("\n> ");
    await backend.generationsEnded(1);
    assert.equal(backend.ended[0]?.aborted, true);
    backend.script = ["Yes."];
    terminal.type(`begun${CTRL_C}`);
    assert.match(await say("Go on"), /Yes\.\n$/);
    assert.equal(
      backend.lastPrompt,
      "<|user|>Hi</s><|assistant|>Once</s><|user|>Go on</s><|assistant|>",
    );
    terminal.type(CTRL_C);
    assert.equal(await terminal.ended, 0);
  },
);

test(
  "an error is told and the conversation goes on without that message; a reply shows what it waits for",
  options,
  async (t) => {
    const { say, backend, terminal } = await opened(t);
    backend.contextLength = 5;
    assert.match(
      await say("Too long"),
      /^shoal: prompt has .* \(CONTEXT_EXCEEDED\)\n$/,
    );
    backend.contextLength = 1_000;
    const goesOn = Promise.withResolvers<void>();
    const missing = "shard 2 of 4 (layers 4-5)";
    backend.script = [{ until: goesOn.promise, waitingFor: missing }, "Now."];
    terminal.type("Hi\r");
    await terminal.sees(`waiting for ${missing}`);
    goesOn.resolve();
    await terminal.sees("Now.\n\n> ");
    assert.equal(backend.lastPrompt, "<|user|>Hi</s><|assistant|>");
  },
);

test("where no gateway answers, it ends at once", options, async (t) => {
  const folder = await temporaryFolder(t);
  using terminal = new Terminal(["chat", "--api", "127.0.0.1:9"], folder);
  await terminal.sees("(DIAL_FAILED)");
  assert.equal(await terminal.ended, 69);
});
