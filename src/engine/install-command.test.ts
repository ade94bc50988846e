/** The command that installs a package where this program finds it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { installCommand } from "./install-command.ts";

for (const [how, root, command] of [
  ["globally", "/usr/local/lib/node_modules/shoal", "npm install -g p@1"],
  [
    "globally on Windows",
    "C:\\Users\\a\\AppData\\Roaming\\npm\\node_modules\\shoal",
    "npm install -g p@1",
  ],
  ["by npx", "/home/a/.npm/_npx/77ab/node_modules/shoal", "npm install -g p@1"],
  [
    "in a project",
    "/home/a/project/node_modules/shoal",
    "npm install --prefix /home/a/project p@1",
  ],
  [
    "in a project whose folder has a space",
    "/home/a/my project/node_modules/shoal",
    'npm install --prefix "/home/a/my project" p@1',
  ],
  [
    "as a checkout",
    "/src/shoal",
    "npm install --no-save --prefix /src/shoal p@1",
  ],
] as const)
  test(`for Shoal installed ${how}`, () => {
    assert.equal(installCommand("p@1", root), command);
  });
