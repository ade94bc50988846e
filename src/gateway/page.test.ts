/** `GET /` of a gateway: the page for a browser, nothing new for a program. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { fastify } from "fastify";
import { inProcess } from "../../test/fakes/gateway.ts";
import { temporaryFolder } from "../../test/support/folder.ts";
import { pageRoutes } from "./page.ts";

const BROWSER = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

test("a browser gets the page and its files with a strict policy; a program gets none", async (t) => {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, "assets"));
  await writeFile(join(folder, "index.html"), "<p>diagnostics");
  await writeFile(join(folder, "chat.html"), "<p>conversation");
  await writeFile(join(folder, "assets/a.js"), "1");
  const app = fastify();
  pageRoutes(app, folder);
  const get = (url: string, headers = {}) =>
    app.inject({ method: "GET", url, headers });
  const page = await get("/", BROWSER);
  assert.deepEqual([page.statusCode, page.body], [200, "<p>conversation"]);
  assert.match(
    String(page.headers["content-security-policy"]),
    /^default-src 'none'; .*connect-src 'self'; .*frame-ancestors 'none'$/,
  );
  assert.equal(page.headers["x-content-type-options"], "nosniff");
  assert.equal(page.headers["vary"], "accept");
  const known = { ...BROWSER, "if-none-match": page.headers.etag };
  assert.equal((await get("/", known)).statusCode, 304);
  const script = await get("/assets/a.js");
  assert.deepEqual(
    [script.statusCode, script.headers["content-type"]],
    [200, "text/javascript; charset=utf-8"],
  );
  for (const [url, headers] of [
    ["/", {}],
    ["/", { accept: "*/*" }],
    ["/index.html", BROWSER],
    ["/assets/b.js", BROWSER],
    ["/assets/../chat.html", BROWSER],
    ["/assets/%2e%2e/chat.html", BROWSER],
  ] as const)
    assert.equal((await get(url, headers)).statusCode, 404, url);
});

test("where the page was not built, a browser is told", async (t) => {
  const app = fastify();
  pageRoutes(app, join(await temporaryFolder(t), "none"));
  const told = await app.inject({ url: "/", headers: BROWSER });
  assert.equal(told.statusCode, 503);
  assert.match(told.body, /npm run build/);
});

test("the page needs no key, the API does", async () => {
  const { app } = inProcess({ apiKey: "sesame" });
  const asked = async (url: string): Promise<number> =>
    (await app.inject({ url, headers: BROWSER })).statusCode;
  assert.notEqual(await asked("/"), 401);
  assert.notEqual(await asked("/favicon.svg"), 401);
  assert.equal(await asked("/v1/models"), 401);
});

test("a foreign name on loopback gets no page", async () => {
  const { app } = inProcess();
  const headers = { ...BROWSER, host: "evil.example" };
  assert.equal((await app.inject({ url: "/", headers })).statusCode, 403);
});
