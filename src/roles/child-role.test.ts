/** A role in a process of its own, stopped in order without a signal. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { MEMBER_PATIENCE_MS } from "../../test/support/member.ts";
import { ENTRY } from "../../test/support/swarm.ts";
import { ChildRole } from "./child-role.ts";

test("a role that is told to stop says goodbye and exits with 0", async (t) => {
  const home = join(await temporaryFolder(t), "home");
  const local = ["--listen", "127.0.0.1:0", "--diagnostics-port", "off"];
  const told: string[] = [];
  const role = new ChildRole({
    name: "rendezvous",
    entry: ENTRY,
    args: ["rendezvous", "--home", home, ...local],
    onEvent: ({ message }) => told.push(message),
  });
  await role.whenReady(MEMBER_PATIENCE_MS, t.signal);
  await role.stop(MEMBER_PATIENCE_MS);
  const { message } = await role.exited;
  assert.match(message, /exit status 0/);
  assert.equal(told.at(-1), "stopped");
});
