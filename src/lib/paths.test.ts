/** Where Shoal keeps its files on each platform. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { resolvePaths } from "./paths.ts";

test("on Linux and mac they are in the XDG folders; a relative one in a variable is ignored", () => {
  for (const platform of ["linux", "darwin"] as const) {
    const env = { XDG_DATA_HOME: "/disk", XDG_STATE_HOME: "here" };
    assert.deepEqual(
      resolvePaths(undefined, { platform, env, home: "/u/ann" }),
      {
        config: "/u/ann/.config/shoal",
        state: "/u/ann/.local/state/shoal",
        data: "/disk/shoal",
      },
    );
  }
});

test("on Windows they are in the application data, and no XDG variable counts", () => {
  const home = String.raw`C:\Users\ann`;
  const at = (env: NodeJS.ProcessEnv): object =>
    resolvePaths(undefined, { platform: "win32", env, home });
  assert.deepEqual(
    at({ APPDATA: String.raw`D:\Roam`, LOCALAPPDATA: String.raw`E:\Local` }),
    {
      config: String.raw`D:\Roam\shoal`,
      state: String.raw`E:\Local\shoal\state`,
      data: String.raw`E:\Local\shoal\data`,
    },
  );
  assert.deepEqual(at({ XDG_DATA_HOME: "/disk", LOCALAPPDATA: "Local" }), {
    config: String.raw`C:\Users\ann\AppData\Roaming\shoal`,
    state: String.raw`C:\Users\ann\AppData\Local\shoal\state`,
    data: String.raw`C:\Users\ann\AppData\Local\shoal\data`,
  });
});

test("with a home they are all in it, on every platform", () => {
  for (const platform of ["linux", "darwin", "win32"] as const)
    assert.deepEqual(
      resolvePaths("own", { platform, env: {}, home: "/u/ann" }),
      { config: "own", state: join("own", "state"), data: join("own", "data") },
    );
});
