/**
 * The page of a real swarm in a real browser: a rendezvous, a seeder, four nodes and a gateway, each a process. The tests build on one
 * another, in order; the last one kills a node.
 *
 * Pictures go to SHOAL_SCREENSHOTS (`npm run screenshots`), else to a folder that is removed.
 */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { type NodeStatus, nodeStatusSchema } from "../../src/status/index.ts";
import {
  browserMissing,
  openPage,
  seriousProblems,
  startBrowser,
  type Watched,
} from "../support/browser.ts";
import { Lateness } from "../support/lateness.ts";
import { complete, startSwarm, type TestSwarm } from "../support/swarm.ts";
import { until } from "../support/until.ts";

const NODES = 4;
const VIEWS = [
  "",
  "chat",
  "nodes",
  "network",
  "torrents",
  "sessions",
  "dht",
  "events",
];

describe("the page of a swarm", { skip: browserMissing }, () => {
  let swarm: TestSwarm;
  let browser: Browser;
  let rendezvous: Watched;
  let gateway: Watched;
  let pictures: string;
  let temporary: string | undefined;

  const urlOf = (name: string): string => {
    const found = swarm.progress.find(
      (p) => p.type === "ready" && p.name === name,
    );
    assert.ok(found?.type === "ready");
    return found.info.diagnosticsUrl!;
  };
  const statusOf = async (name: string): Promise<NodeStatus> =>
    nodeStatusSchema.parse(
      await (await fetch(`${urlOf(name)}/api/v1/status`)).json(),
    );
  /** Shows a view of a page that is open already, without loading it again. */
  const show = async ({ page }: Watched, view: string): Promise<Page> => {
    await page.evaluate(`location.hash = "#/${view}"`);
    await page.locator(`nav a[href="#/${view}"][aria-current=page]`).waitFor();
    return page;
  };
  const picture = async (page: Page, name: string): Promise<void> => {
    const path = join(pictures, `${name}.png`);
    await page.evaluate("document.activeElement?.blur(); scrollTo(0, 0)");
    await page.mouse.move(0, 0);
    await page.screenshot({ path });
    assert.ok((await stat(path)).size > 10_000);
  };

  before(async () => {
    const asked = process.env.SHOAL_SCREENSHOTS;
    temporary =
      asked === undefined
        ? await mkdtemp(join(tmpdir(), "shoal-pictures-"))
        : undefined;
    pictures = asked ?? temporary!;
    await mkdir(pictures, { recursive: true });
    // One after the other: what has started is closed if the next fails.
    browser = await startBrowser();
    swarm = await startSwarm({ nodes: NODES, fromSeeder: true });
    rendezvous = await openPage(browser);
    gateway = await openPage(browser, { scheme: "dark" });
    await rendezvous.page.goto(urlOf("rendezvous"));
    await gateway.page.goto(urlOf("gateway"));
  });
  after(async () => {
    await browser?.close();
    await swarm?.stop();
    if (temporary !== undefined) await rm(temporary, { recursive: true });
  });

  test("the strip shows every shard, its layers, its state and its holders", async () => {
    const { page } = rendezvous;
    await page.locator("#verdict", { hasText: "Ready" }).waitFor();
    const [cluster] = (await statusOf("rendezvous")).clusters;
    const cells = page.locator(".strip li");
    assert.equal(await cells.count(), NODES);
    for (const shard of cluster!.shards) {
      const cell = cells.nth(shard.index);
      const name = `Shard ${shard.index} layers ${shard.layerStart}–${shard.layerEnd - 1} Online, loaded 1 of 1 holders ready`;
      await cell.getByRole("link", { name, exact: true }).waitFor();
      assert.equal(await cell.getAttribute("data-state"), "loaded");
    }
  });

  test("a node calls its own shard local", async () => {
    const own = await openPage(browser);
    await own.page.goto(urlOf("node 1"));
    const cell = own.page.locator('.strip li[data-shard="1"]');
    await cell.locator("text=Local").waitFor();
    assert.equal(
      await own.page.locator('.strip li[data-state="local"]').count(),
      1,
    );
    await own.page.close();
  });

  test("the nodes, with what each holds and how it is connected", async () => {
    const page = await show(rendezvous, "nodes");
    const status = await statusOf("rendezvous");
    const rows = page.locator("tbody tr");
    await rows.first().waitFor();
    const peers = new Set([
      status.peer,
      ...status.connections.map(({ peer }) => peer),
    ]);
    assert.equal(await rows.count(), peers.size);
    for (const member of status.clusters[0]!.members) {
      const row = rows.filter({ hasText: member.peer.slice(-8) });
      const text = (await row.innerText()).replaceAll(/\s+/g, " ");
      assert.match(
        text,
        new RegExp(
          `shard node ${member.shard} ${member.layerStart}–${member.layerEnd - 1} ready (QUIC|TCP) 127\\.0\\.0\\.1:\\d+`,
        ),
      );
      assert.match(
        text,
        new RegExp(
          `0/${member.sessions.max} .* ${member.version.replaceAll(".", "\\.")} `,
        ),
      );
    }
  });

  test("a node's own page has its facts and its event log", async () => {
    const page = await show(rendezvous, "nodes");
    const [member] = (await statusOf("rendezvous")).clusters[0]!.members;
    await page.locator(`tbody a[title="${member!.peer}"]`).click();
    await page
      .locator("h2", { hasText: `…${member!.peer.slice(-8)}` })
      .waitFor();
    await page
      .locator(".log li", { hasText: "a member is ready" })
      .first()
      .waitFor();
    assert.equal(
      (await page.locator("dd", { hasText: member!.peer }).count()) > 0,
      true,
    );
  });

  test("the network is drawn: a dot for each peer, a line for each connection", async () => {
    const page = await show(rendezvous, "network");
    const status = await statusOf("rendezvous");
    const peers = new Set(status.connections.map(({ peer }) => peer));
    await page.locator(".graph circle").first().waitFor();
    assert.equal(await page.locator(".graph circle").count(), peers.size + 1);
    const own = await page
      .locator(".graph .edge.own")
      .first()
      .getAttribute("d");
    assert.equal(own!.match(/M/g)?.length, peers.size);
    const labels = await page
      .locator(".graph a")
      .evaluateAll((dots) => dots.map((dot) => dot.getAttribute("aria-label")));
    for (const { peer, shard } of status.clusters[0]!.members)
      assert.ok(labels.includes(`shard ${shard} …${peer.slice(-8)}: ready`));
  });

  test("the torrents of the swarm, with their holders", async () => {
    const page = await show(rendezvous, "torrents");
    const { torrents } = await statusOf("rendezvous");
    assert.ok(torrents !== null && torrents.contents.length > NODES);
    const rows = page.locator("table[aria-label=Contents] tbody tr");
    await rows.nth(torrents.contents.length - 1).waitFor();
    assert.equal(await rows.count(), torrents.contents.length);
    for (const { root, name, holders } of torrents.contents.slice(0, 5)) {
      const row = rows.filter({
        has: page.locator(`code[title="${root}"]`),
        hasText: name,
      });
      assert.match(
        (await row.first().innerText()).replaceAll(/\s+/g, " "),
        new RegExp(`${holders} / `),
      );
    }
    const own = await openPage(browser);
    await own.page.goto(`${urlOf("node 0")}/#/torrents`);
    await own.page
      .locator("table[aria-label=Contents] tbody tr", { hasText: "100 %" })
      .first()
      .waitFor();
    const { downloadedBytes } = (await statusOf("node 0")).torrents!;
    assert.ok(downloadedBytes > 100_000);
    await own.page.close();
  });

  test("the DHT's peers, records and self-test", async () => {
    const page = await show(rendezvous, "dht");
    const { dht } = await statusOf("rendezvous");
    const text = (await page.locator("main").innerText()).replaceAll(
      /\s+/g,
      " ",
    );
    assert.match(text, new RegExp(`Peers in the routing table ${dht.peers} `));
    assert.equal(dht.selfTest, "passed");
    assert.match(text, /Self-test passed/);
  });

  test("a prompt is streamed to the rendezvous' page and to the gateway's, and can be stopped", async () => {
    for (const at of [rendezvous, gateway]) {
      const page = await show(at, "chat");
      const message = page.getByLabel("Message", { exact: true });
      const reply = page.locator(".message.model").last();
      await message.fill("Tell me a story.");
      await message.press("Enter");
      await reply.locator("summary", { hasText: "tokens/s" }).waitFor();
      assert.ok((await reply.locator(".markdown").innerText()).length > 40);
      assert.match(
        await reply.locator(".computed").innerText(),
        new RegExp(`${NODES} machines`),
      );
      await message.fill("Tell me a story.");
      await message.press("Enter");
      await page.getByRole("button", { name: "Stop" }).click();
      await page.getByRole("button", { name: "Send" }).waitFor();
      assert.equal(await page.locator(".error").count(), 0);
    }
  });

  test("requests are shown with their route and times, and without a word of their text", async () => {
    const secret = "xylophone-zebra-quartz";
    await complete(swarm.apiUrl, `Once upon a time ${secret}`, 40, 2);
    const page = await show(gateway, "sessions");
    const done = page.locator('.session[data-session="done"]', {
      hasText: "+ 40 tokens",
    });
    await done.first().waitFor();
    const hops = done.first().locator(".hop:not(.hop-head)");
    assert.equal(await hops.count(), NODES);
    for (let i = 0; i < NODES; i++) {
      const text = (await hops.nth(i).innerText()).replaceAll(/\s+/g, " ");
      // Seen, and in brackets predicted.
      assert.match(text, /^\d+–\d+ ….{8}( [\d.]+ ms \([\d.]+\)){3}$/);
    }
    const { sessions } = await statusOf("gateway");
    assert.ok(sessions!.recent.some(({ state }) => state === "cancelled"));
    const [first] = sessions!.recent.filter(({ tokens }) => tokens === 40);
    assert.ok(first!.tokensPerSecond! > 0 && first!.timeToFirstTokenMs! > 0);
    for (const path of ["/api/v1/status", "/metrics"])
      assert.doesNotMatch(
        await (await fetch(urlOf("gateway") + path)).text(),
        new RegExp(secret),
      );
    assert.doesNotMatch(
      await page.locator("body").innerText(),
      new RegExp(secret),
    );
  });

  test("events are filtered by tag and level, and stand still while paused", async () => {
    const page = await show(gateway, "events");
    const lines = page.locator(".log li");
    await lines.first().waitFor();
    await page.getByLabel("Tag").selectOption("API");
    const tags = await page.locator(".log b").allInnerTexts();
    assert.ok(tags.length > 0 && tags.every((tag) => tag === "[API]"));
    await page.getByLabel("From level").selectOption("error");
    await page.locator("text=No event fits").waitFor();
    await page.getByLabel("From level").selectOption("debug");
    await page.getByRole("button", { name: "Pause" }).click();
    const still = await lines.count();
    await complete(swarm.apiUrl, "Once", 1, 2);
    await page.waitForTimeout(1_000); // in which it would have come
    assert.equal(await lines.count(), still);
    await page.getByRole("button", { name: "Pause" }).click();
    await lines.nth(still).waitFor();
  });

  test("the report can be pasted anywhere: ids and addresses are cut", async () => {
    const page = await show(rendezvous, "");
    await page
      .context()
      .grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.getByRole("button", { name: "Copy a report" }).click();
    await page.getByRole("button", { name: "Copied" }).waitFor();
    const text = String(await page.evaluate("navigator.clipboard.readText()"));
    assert.match(text, /^Shoal \S+, rendezvous …\S{8}, up .*\nready\n/);
    assert.match(
      text,
      /shard 3, layers 6–7: online, loaded, 1 of 1 holders ready/,
    );
    assert.doesNotMatch(text, /12D3KooW|127\.0\.0\.1/);
  });

  for (const scheme of ["light", "dark"] as const) {
    test(`axe finds nothing serious in any view, ${scheme}`, async () => {
      for (const at of [rendezvous, gateway]) {
        await at.page.emulateMedia({ colorScheme: scheme });
        for (const view of VIEWS) {
          const page = await show(at, view);
          assert.deepEqual(
            await seriousProblems(page),
            [],
            `${scheme} ${view}`,
          );
        }
      }
    });
  }

  test("light and dark follow the system until someone chooses", async () => {
    const page = await show(rendezvous, "");
    const ground = async (): Promise<string> =>
      String(
        await page.evaluate("getComputedStyle(document.body).backgroundColor"),
      );
    await page.emulateMedia({ colorScheme: "light" });
    const light = await ground();
    await page.emulateMedia({ colorScheme: "dark" });
    const dark = await ground();
    assert.notEqual(light, dark);
    await page.getByLabel("Theme").selectOption("light");
    assert.equal(await ground(), light);
    await page.getByLabel("Theme").selectOption("system");
    await page.emulateMedia({ colorScheme: "light" });
  });

  for (const width of [380, 768, 1_920]) {
    test(`nothing is cut off at ${width} px`, async () => {
      for (const at of [rendezvous, gateway]) {
        await at.page.setViewportSize({ width, height: 800 });
        for (const view of VIEWS) {
          const page = await show(at, view);
          // Charts follow a new width one frame later, more on a busy machine.
          const wide = async (): Promise<number> =>
            Number(await page.evaluate("document.documentElement.scrollWidth"));
          await until(
            `${view} to be at most ${width} px wide`,
            async () => (await wide()) <= width,
          );
        }
        await at.page.setViewportSize({ width: 1_440, height: 900 });
      }
    });
  }

  test("everything can be reached by keyboard", async () => {
    const page = await show(rendezvous, "");
    await page.locator("body").press("Tab");
    const seen = new Set<string>();
    for (let i = 0; i < 40; i++) {
      seen.add(
        String(
          await page.evaluate(
            `document.activeElement?.textContent.slice(0, 20)`,
          ),
        ),
      );
      await page.keyboard.press("Tab");
    }
    for (const name of [
      "To the content",
      "Copy a report",
      "Overview",
      "Events",
    ])
      assert.ok(seen.has(name), `${name} among ${[...seen].join(" | ")}`);
  });

  test("pictures: light, dark, phone", async () => {
    await picture(await show(rendezvous, ""), "light");
    await gateway.page.emulateMedia({ colorScheme: "dark" });
    await picture(await show(gateway, "sessions"), "dark");
    await gateway.page.emulateMedia({ colorScheme: "light" });
    await gateway.page.setViewportSize({ width: 380, height: 800 });
    await picture(await show(gateway, ""), "phone");
    await gateway.page.setViewportSize({ width: 1_440, height: 900 });
  });

  test("a node is killed: the strip says so within 5 s, without a reload", async () => {
    const page = await show(rendezvous, "");
    const before = rendezvous.loads;
    const cell = page.locator(
      '.strip li[data-shard="2"][data-state="offline"]',
    );
    assert.equal(await cell.count(), 0);
    process.kill(swarm.pidOf("node 2"), "SIGKILL");
    using lateness = new Lateness();
    const killedMs = performance.now();
    await cell.waitFor();
    const tookMs = performance.now() - killedMs;
    assert.ok(tookMs - lateness.ms < 5_000, `${Math.round(tookMs)} ms`);
    assert.equal(
      await page.locator("#verdict strong").innerText(),
      "Not ready",
    );
    assert.match(await page.locator("#verdict").innerText(), /shard 2 of 4/);
    await page
      .locator(".log li", { hasText: "a member's connection was lost" })
      .first()
      .waitFor();
    assert.equal(rendezvous.loads, before);
    await picture(page, "broken");
    assert.deepEqual(await seriousProblems(page), []);
  });

  test("a prompt that comes then waits, and the page says for what: where it was asked, and among the requests", async () => {
    const page = await show(rendezvous, "chat");
    const message = page.getByLabel("Message", { exact: true });
    await message.fill("Tell me a story.");
    await message.press("Enter");
    const awaited = /for shard 2 of 4 \(layers \d+-\d+\)/;
    await page.locator(".writing", { hasText: awaited }).waitFor();
    const sessions = await show(gateway, "sessions");
    const waiting = sessions.locator('.session[data-session="waiting"]', {
      hasText: awaited,
    });
    await waiting.waitFor();
    await page.getByRole("button", { name: "Stop" }).click();
    await waiting.waitFor({ state: "detached" });
    assert.equal(await page.locator(".writing").count(), 0);
    assert.equal(await page.locator(".error").count(), 0);
  });

  test("the policy held, and no other origin was contacted", () => {
    for (const [watched, name] of [
      [rendezvous, "rendezvous"],
      [gateway, "gateway"],
    ] as const) {
      assert.deepEqual(watched.faults, []);
      const allowed = new Set([urlOf(name), swarm.apiUrl]);
      assert.deepEqual(
        [...watched.origins].filter((origin) => !allowed.has(origin)),
        [],
      );
    }
  });
});
