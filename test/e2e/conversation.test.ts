/**
 * A person chats at the gateway's address, in a real browser with a real swarm of two nodes: by mouse, by keyboard, on a phone, in both themes.
 * What the model gets, and what hostile or rare replies do, is seen at gateways with a scripted backend. The tests build on one another, in order.
 *
 * Pictures go to SHOAL_SCREENSHOTS (`npm run screenshots`), else nowhere.
 */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Browser, Locator, Page } from "playwright-core";
import { onLoopback } from "../fakes/gateway.ts";
import {
  browserMissing,
  openPage,
  seriousProblems,
  startBrowser,
  type Watched,
} from "../support/browser.ts";
import { temporaryFolder } from "../support/folder.ts";
import { startSwarm, type TestSwarm } from "../support/swarm.ts";
import { until } from "../support/until.ts";

const NODES = 2;
const PICTURES = process.env.SHOAL_SCREENSHOTS;

/** What a person sees and does. */
class Chat {
  readonly page: Page;
  readonly message: Locator;
  readonly prompts: Locator;
  readonly replies: Locator;

  constructor({ page }: Watched) {
    this.page = page;
    this.message = page.getByRole("textbox", { name: "Message", exact: true });
    this.prompts = page.locator(".message.user");
    this.replies = page.locator(".message.model");
  }

  button(name: string): Locator {
    return this.page.getByRole("button", { name, exact: true });
  }

  async say(text: string): Promise<void> {
    await this.message.fill(text);
    await this.message.press("Enter");
  }

  /** The reply to the last prompt, once it has ended. */
  async replied(): Promise<Locator> {
    const last = this.replies.last();
    await last.and(this.page.locator("[aria-busy=false]")).waitFor();
    return last;
  }

  async setting(name: string, value: string): Promise<void> {
    const settings = this.button("Settings");
    if ((await settings.getAttribute("aria-expanded")) === "false")
      await settings.click();
    await this.page.getByLabel(name).fill(value);
  }

  /** Told apart from what the model writes of itself. */
  textOf(reply: Locator): Promise<string> {
    return reply.locator(".markdown").innerText();
  }

  async picture(name: string): Promise<void> {
    if (PICTURES === undefined) return;
    await mkdir(PICTURES, { recursive: true });
    await this.page.mouse.move(0, 0);
    await this.page.screenshot({ path: join(PICTURES, `${name}.png`) });
  }
}

describe("a conversation in a browser", { skip: browserMissing }, () => {
  let swarm: TestSwarm;
  let browser: Browser;
  let watched: Watched;
  let chat: Chat;

  before(async () => {
    // One after the other: what has started is closed if the next fails.
    browser = await startBrowser();
    swarm = await startSwarm({ nodes: NODES });
    watched = await openPage(browser);
    await watched.page.goto(swarm.apiUrl);
    chat = new Chat(watched);
  });
  after(async () => {
    await browser?.close();
    await swarm?.stop();
  });

  test("Enter sends; the reply says how fast it was and which machines computed it", async () => {
    await chat.setting("Temperature", "0");
    await chat.setting("Most tokens of a reply", "60");
    await chat.button("Settings").click();
    await chat.say("Tell me a story.");
    await chat.replied();
    assert.ok((await chat.textOf(chat.replies)).length > 40);
    const facts = chat.replies.locator(".computed");
    assert.match(
      await facts.locator("summary").innerText(),
      /^[\d.,]+ tokens\/s · 60 tokens · 2 machines$/,
    );
    await facts.locator("summary").click();
    assert.match(
      await facts.locator("p").innerText(),
      /^Shoal demo: \d+ tokens of prompt.*, first token after [\d.]+ m?s$/,
    );
    const rows = facts.locator("tbody tr");
    assert.equal(await rows.count(), NODES);
    for (let i = 0; i < NODES; i++)
      assert.match(
        await rows.nth(i).innerText(),
        /^\d-\d\s+….{8}\s+[\d.]+ ms$/,
      );
  });

  test("the next message knows the turns before it; Shift-Enter breaks the line", async () => {
    await chat.message.fill("And");
    await chat.message.press("Shift+Enter");
    await chat.message.pressSequentially("then?");
    await chat.message.press("Enter");
    const reply = await chat.replied();
    assert.equal(await chat.replies.count(), 2);
    assert.equal(
      await chat.prompts.last().locator(".plain").innerText(),
      "And\nthen?",
    );
    await reply.locator("summary", { hasText: "tokens/s" }).click();
    const told = await reply.locator(".computed p").innerText();
    // The first prompt alone has a dozen tokens; its reply 60.
    assert.ok(Number(/(\d+) tokens of prompt/.exec(told)?.[1]) > 60, told);
  });

  test("a reply is stopped; a retry replaces it", async () => {
    await chat.setting("Most tokens of a reply", "");
    await chat.button("Settings").click();
    let stopped = chat.replies.last();
    // The model is small and fast: its reply may be over before it is stopped.
    for (let tries = 0; tries < 5; tries++) {
      await chat.say("Tell me a story.");
      await chat
        .button("Stop")
        .click({ timeout: 5_000 })
        .catch(() => {});
      stopped = await chat.replied();
      if ((await stopped.getByText("stopped", { exact: true }).count()) > 0)
        break;
    }
    await stopped.getByText("stopped", { exact: true }).waitFor();
    const count = await chat.replies.count();
    await chat.setting("Most tokens of a reply", "5");
    await chat.button("Settings").click();
    await stopped.getByRole("button", { name: "Retry" }).click();
    await chat.page.getByText("5 tokens · 2 machines").waitFor();
    assert.equal(await chat.replies.count(), count);
    await stopped.getByText("cut off at the limit of tokens").waitFor();
  });

  test("a message is edited: it is asked again, and what followed is gone", async () => {
    const first = chat.prompts.first();
    await first.getByRole("button", { name: "Edit the message" }).click();
    const edit = chat.page.getByLabel("Edit the message");
    assert.equal(await edit.inputValue(), "Tell me a story.");
    await edit.fill("How do I add a node?");
    await edit.press("Enter");
    await chat.page.getByText("5 tokens · 2 machines").waitFor();
    assert.equal(await chat.replies.count(), 1);
    assert.equal(
      await first.locator(".plain").innerText(),
      "How do I add a node?",
    );
    await first.getByRole("button", { name: "Edit the message" }).click();
    await edit.press("Escape");
    assert.equal(await edit.count(), 0);
  });

  test("conversations are kept when the page is loaded again, shown by choice, and deleted for good", async () => {
    const list = chat.page.getByRole("navigation", { name: "Conversations" });
    await chat.button("New chat").click();
    await chat.setting("Most tokens of a reply", "5");
    await chat.button("Settings").click();
    await chat.say("Hello!");
    await chat.replied();
    const text = await chat.textOf(chat.replies);
    await chat.page.reload();
    assert.deepEqual(await list.locator(".title").allInnerTexts(), [
      "Hello!",
      "How do I add a node?",
    ]);
    assert.equal(await chat.textOf(chat.replies), text);
    await chat.button("How do I add a node?").click();
    await chat.prompts.getByText("How do I add a node?").waitFor();
    chat.page.once("dialog", (dialog) => void dialog.accept());
    await chat.button("Delete Hello!").click();
    await chat.button("Hello!").waitFor({ state: "detached" });
    await chat.page.reload();
    assert.equal(await list.locator(".title").count(), 1);
  });

  test("axe finds nothing serious and nothing is cut off, in both themes, wide and on a phone", async () => {
    const { page } = chat;
    await chat.button("How do I add a node?").click();
    await chat.button("Settings").click();
    for (const scheme of ["light", "dark"] as const)
      for (const width of [1_440, 380]) {
        await page.emulateMedia({ colorScheme: scheme });
        await page.setViewportSize({ width, height: 800 });
        if (width === 380) await chat.button("Conversations").click();
        const where = `${scheme}, ${width} px`;
        assert.deepEqual(await seriousProblems(page), [], where);
        await until(`nothing wider than ${where}`, async () => {
          const shown = "document.documentElement.scrollWidth";
          return Number(await page.evaluate(shown)) <= width;
        });
        if (width === 380) await chat.button("Conversations").click();
      }
    await chat.button("Settings").click();
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 1_440, height: 900 });
  });

  test("the policy held, and nobody but the gateway was asked", () => {
    assert.deepEqual(watched.faults, []);
    assert.deepEqual([...watched.origins], [swarm.apiUrl]);
  });

  test(
    "pictures: wide and light, on a phone and dark",
    { skip: PICTURES === undefined && "only for npm run screenshots" },
    async () => {
      const { page } = chat;
      await chat.button("New chat").click();
      await chat.setting("Temperature", "0");
      await chat.button("Settings").click();
      await chat.say("How do I add a node?");
      await chat.replied();
      await chat.say("Tell me a story.");
      const reply = await chat.replied();
      await reply.locator("summary", { hasText: "tokens/s" }).click();
      await page.setViewportSize({ width: 1_200, height: 800 });
      await page.evaluate(
        "document.querySelector('.messages').scrollTop = 1e6",
      );
      await chat.picture("chat");
      await page.emulateMedia({ colorScheme: "dark" });
      await page.setViewportSize({ width: 380, height: 800 });
      await reply.locator("summary", { hasText: "tokens/s" }).click();
      await chat.picture("chat-phone");
    },
  );

  test("the model gets the system message, the settings, the turns and the files; binaries and large files are refused", async (t) => {
    await using gateway = await onLoopback({});
    const { backend } = gateway;
    backend.contextLength = 10_000;
    const opened = await openPage(browser);
    t.after(() => opened.page.close());
    await opened.page.goto(gateway.url);
    const chat = new Chat(opened);
    const folder = await temporaryFolder(t);
    const files: Record<string, string | Buffer> = {
      "notes.md": "# Notes\n```\ncode\n```\n",
      "photo.bin": Buffer.of(0xff, 0xd8, 0xff),
      "large.txt": "x".repeat(256 * 1024 + 1),
    };
    for (const [name, content] of Object.entries(files))
      await writeFile(join(folder, name), content);
    const attach = async (name: string): Promise<void> => {
      const choosing = opened.page.waitForEvent("filechooser");
      await chat.button("Attach a text file").click();
      await (await choosing).setFiles(join(folder, name));
    };
    await chat.setting("System message", "Be brief.");
    await chat.setting("Temperature", "0.5");
    await chat.setting("Most tokens of a reply", "7");
    await attach("photo.bin");
    await chat.page.getByText("photo.bin is not a text file").waitFor();
    await attach("large.txt");
    await chat.page.getByText("large.txt is larger than 256 KiB").waitFor();
    await attach("notes.md");
    await chat.button("Remove notes.md").waitFor();
    await chat.say("Read it.");
    await chat.replied();
    const first =
      "<|system|>Be brief.</s><|user|>notes.md:\n````\n# Notes\n```\ncode\n```\n````\n\nRead it.</s><|assistant|>";
    assert.equal(backend.lastPrompt, first);
    const [request] = backend.requests;
    assert.deepEqual(
      [request?.sampling.temperature, request?.maxTokens],
      [0.5, 7],
    );
    await chat.prompts.locator("summary", { hasText: "notes.md" }).waitFor();
    await chat.say("More.");
    await until("the second reply", () => backend.requests.length === 2);
    assert.equal(
      backend.lastPrompt,
      `${first}Hello there.</s><|user|>More.</s><|assistant|>`,
    );
  });

  test("a reply is shown as it comes, and while it waits, for what; what came of a stopped one stays", async (t) => {
    await using gateway = await onLoopback({});
    const opened = await openPage(browser);
    t.after(() => opened.page.close());
    await opened.page.goto(gateway.url);
    const chat = new Chat(opened);
    const goesOn = Promise.withResolvers<void>();
    const waitingFor = "shard 2 of 4 (layers 4-5)";
    gateway.backend.script = [
      "Once",
      { until: goesOn.promise, waitingFor },
      " upon",
    ];
    await chat.say("Hi");
    const reply = chat.replies.and(opened.page.locator("[aria-busy=true]"));
    await reply.getByText("Once", { exact: true }).waitFor();
    await reply.getByText(`Waiting for ${waitingFor} …`).waitFor();
    goesOn.resolve();
    const ended = await chat.replied();
    assert.equal(await chat.textOf(ended), "Once upon");
    assert.equal(await ended.getByText("Waiting").count(), 0);
    gateway.backend.script = ["Never", { hang: true }];
    await chat.say("More");
    await chat.replies.getByText("Never").waitFor();
    await chat.button("Stop").click();
    const stopped = await chat.replied();
    await stopped.getByText("stopped", { exact: true }).waitFor();
    assert.equal(await chat.textOf(stopped), "Never");
    await gateway.backend.generationsEnded(2);
    assert.equal(gateway.backend.ended[1]?.aborted, true);
  });

  test("what a model thinks is folded, calls of tools are shown with their arguments, and both are kept", async (t) => {
    await using gateway = await onLoopback({});
    const opened = await openPage(browser);
    const { page } = opened;
    t.after(() => page.close());
    const call = (index: number, of: object): object => ({
      tool_calls: [{ index, function: of }],
    });
    const deltas = [
      { reasoning_content: "Let me " },
      { reasoning_content: "**think**." },
      { content: "I ask." },
      call(0, { name: "weather", arguments: '{"city":' }),
      call(0, { arguments: '"Bern"}' }),
      call(1, { name: "clock", arguments: "{" }),
    ].map((delta) => ({ choices: [{ delta }] }));
    const end = { choices: [{ delta: {}, finish_reason: "tool_calls" }] };
    await page.route("**/v1/chat/completions", (route) =>
      route.fulfill({
        contentType: "text/event-stream",
        body: [...deltas, end]
          .map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`)
          .join(""),
      }),
    );
    await page.goto(gateway.url);
    const chat = new Chat(opened);
    await chat.say("Is it warm?");
    await chat.replied();
    for (const when of ["at once", "after a reload"]) {
      const reply = await chat.replied();
      const thoughts = reply.locator(".reasoning .markdown");
      assert.equal(await thoughts.isVisible(), false, when);
      await reply.getByText("Thoughts").click();
      assert.equal(await thoughts.innerText(), "Let me think.", when);
      assert.equal(await thoughts.locator("strong").innerText(), "think");
      await reply.getByText("I ask.", { exact: true }).waitFor();
      const calls = reply.locator(".call");
      assert.deepEqual(await calls.locator("summary").allInnerTexts(), [
        "Calls weather",
        "Calls clock",
      ]);
      await calls.first().locator("summary").click();
      assert.equal(
        await calls.first().locator("pre").innerText(),
        '{\n  "city": "Bern"\n}',
      );
      await calls.last().locator("summary").click();
      assert.equal(await calls.last().locator("pre").innerText(), "{");
      assert.deepEqual(await seriousProblems(page), [], when);
      await page.reload();
    }
    assert.deepEqual(opened.faults, []);
  });

  test("all of it by keyboard alone", async (t) => {
    await using gateway = await onLoopback({});
    const opened = await openPage(browser);
    const { page } = opened;
    t.after(() => page.close());
    await page.goto(gateway.url);
    const chat = new Chat(opened);
    gateway.backend.script = ["Once", { hang: true }];
    const reach = async (name: string): Promise<void> => {
      for (let i = 0; i < 60; i++) {
        await page.keyboard.press("Tab");
        const at = await page.evaluate(
          "document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent",
        );
        if (at === name) return;
      }
      assert.fail(`no ${name} by Tab`);
    };
    await reach("New chat");
    await page.keyboard.press("Enter");
    await reach("Message");
    await page.keyboard.type("Tell me a story.");
    await page.keyboard.press("Enter");
    await page.locator("[aria-busy=true] .markdown").waitFor();
    // The focus is where it was.
    await page.keyboard.press("Escape");
    await (await chat.replied()).getByText("stopped").waitFor();
    await page.locator("body").press("Tab");
    await reach("Edit the message");
    await page.keyboard.press("Enter");
    await page.keyboard.type(" Now!");
    await page.keyboard.press("Escape");
    await reach("Messages");
    await reach("Retry");
    await reach("Attach a text file");
  });

  test("whatever a reply says, nothing of it runs and nothing is fetched", async (t) => {
    await using gateway = await onLoopback({});
    const { backend } = gateway;
    backend.contextLength = 100_000;
    backend.script = [
      "<script>document.title = 'owned'</script>\n\n",
      "<img src=https://evil.example/i onerror=\"document.title = 'owned'\">\n\n",
      "![picture](https://evil.example/p.png)\n\n",
      "[run](javascript:document.title='owned') [data](data:text/html,x)\n\n",
      "[good](https://example.org/) **bold** `a < b` &lt;tag&gt;\n\n",
      "| a | b |\n|---|--:|\n| 1 | <b onclick=x>2</b> |\n\n",
      "```js\nalert('</code></pre><script>')\n```\n\n",
      "1. one\n2. two\n   - [x] done\n\n",
    ];
    const opened = await openPage(browser);
    t.after(() => opened.page.close());
    await opened.page.goto(gateway.url);
    const chat = new Chat(opened);
    await chat.say("Hi");
    const reply = await chat.replied();
    const text = await reply.innerText();
    assert.match(text, /<script>document\.title = 'owned'<\/script>/);
    assert.match(text, /<img src=https:\/\/evil\.example/);
    assert.match(text, /<b onclick=x>2<\/b>/);
    assert.match(text, /<tag>/);
    assert.equal(
      await reply.locator("img, script, iframe, [onclick]").count(),
      0,
    );
    const links = reply.getByRole("link");
    assert.deepEqual(
      await links.evaluateAll((all) =>
        all.map((a) => [
          a.textContent,
          a.getAttribute("href"),
          a.getAttribute("rel"),
        ]),
      ),
      [
        [
          "picture",
          "https://evil.example/p.png",
          "noopener noreferrer nofollow",
        ],
        ["good", "https://example.org/", "noopener noreferrer nofollow"],
      ],
    );
    assert.equal(await reply.locator("strong").innerText(), "bold");
    assert.equal(
      await reply.locator("td.num").innerText(),
      "<b onclick=x>2</b>",
    );
    assert.equal(
      await reply.locator("pre code").innerText(),
      "alert('</code></pre><script>')",
    );
    assert.match(
      await reply.locator("ol > li").last().innerText(),
      /two\s+☑ done/,
    );
    assert.deepEqual(await seriousProblems(opened.page), []);
    backend.script = [`${">".repeat(5_000)} deep`, " text"];
    await chat.say("Deeper");
    await (await chat.replied()).getByText("deep text").waitFor();
    assert.equal(await opened.page.title(), "Shoal · Chat");
    assert.deepEqual(opened.faults, []);
    assert.deepEqual([...opened.origins], [gateway.url]);
  });

  test("another tab of the page follows; what is damaged in the storage is left alone, and no more is kept than 200", async (t) => {
    await using gateway = await onLoopback({});
    const opened = await openPage(browser);
    const { page } = opened;
    t.after(() => page.close());
    await page.goto(gateway.url);
    const damaged = [
      "{",
      "null",
      '{"v":1,"id":"bad"}',
      '{"v":2,"id":"bad","changedMs":1,"settings":{},"turns":[]}',
    ];
    await page.evaluate((values) => {
      for (const [i, value] of values.entries())
        localStorage.setItem(`shoal-conversation-${i}`, value);
    }, damaged);
    await page.reload();
    const opening = page.waitForEvent("popup");
    await page.evaluate("open(location.href)");
    const other = await opening;
    await other.locator(".conversations").waitFor();
    const titles = other.locator(".conversations .title");
    assert.equal(await titles.count(), 0);
    const chat = new Chat(opened);
    await chat.say("Hi");
    await chat.replied();
    await titles.getByText("Hi").waitFor();
    await titles.click();
    await other
      .locator(".message.model", { hasText: "Hello there." })
      .waitFor();
    const kept = await page.evaluate(
      (values) =>
        values.map((_, i) => localStorage.getItem(`shoal-conversation-${i}`)),
      damaged,
    );
    assert.deepEqual(kept, damaged);
    await page.evaluate(() => {
      for (let i = 0; i < 200; i++)
        localStorage.setItem(`shoal-conversation-${i}`, "{");
    });
    await chat.button("New chat").click();
    await chat.say("One too many");
    await page
      .locator("[role=alert]", { hasText: "keeps 200 conversations" })
      .waitFor();
    await chat.replied();
    assert.deepEqual(opened.faults, []);
  });

  test("a gateway with a key asks for it; an error says what is wrong, and a full storage, too", async (t) => {
    await using gateway = await onLoopback({ apiKey: "sesame" });
    const { backend } = gateway;
    const opened = await openPage(browser);
    t.after(() => opened.page.close());
    await opened.page.goto(gateway.url);
    const chat = new Chat(opened);
    const error = (text: string | RegExp): Promise<void> =>
      chat.page.locator("[role=alert]", { hasText: text }).waitFor();
    await chat.say("Hi");
    await error("this gateway needs an API key");
    const key = chat.page.getByLabel("The gateway wants an API key");
    assert.equal(await key.getAttribute("type"), "password");
    assert.deepEqual(await seriousProblems(opened.page), []);
    await key.fill("sesame");
    await key.press("Enter");
    await chat.button("Retry").click();
    await chat.replies.getByText("Hello there.").waitFor();
    assert.equal(await key.count(), 0);
    assert.equal(
      await opened.page.evaluate(
        "Object.values(localStorage).join().includes('sesame')",
      ),
      false,
    );
    backend.contextLength = 5;
    await chat.say("Too much");
    await error(/the context \(prompt \+ reply\) is limited to 5/);
    backend.contextLength = 100;
    await opened.page.evaluate(() => {
      for (let size = 1 << 22; size > 0; size >>= 1)
        try {
          for (let i = 0; i < 8; i++)
            localStorage.setItem(`full-${size}-${i}`, "x".repeat(size));
        } catch {
          // this much no longer fits
        }
    });
    await chat.say("One more");
    await error("This browser's storage is full");
    await chat.replies.getByText("Hello there.").last().waitFor();
  });
});
