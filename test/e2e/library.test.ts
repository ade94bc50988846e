/** docs/LIBRARY.md: its blocks form a program that another project's compiler accepts and that does what the page says. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { linkShoal, makeConsumer, typeCheck } from "../support/consumer.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runProgram } from "../support/program.ts";
import { assertBuilt, ROOT } from "../support/swarm.ts";

const PAGE = readFileSync(join(ROOT, "docs/LIBRARY.md"), "utf8");
const PROGRAM = [...PAGE.matchAll(/^```ts\n(.*?)^```$/gms)]
  .map(([, block = ""]) => block)
  .join("\n");

test("the blocks of docs/LIBRARY.md compile without any package but the types of Node, and run", async (t) => {
  assertBuilt();
  const folder = await temporaryFolder(t);
  await makeConsumer(folder);
  await linkShoal(folder);
  const path = join(folder, "page.ts");
  await writeFile(path, PROGRAM);
  await typeCheck(folder);

  const { code, stdout, stderr } = await runProgram(path);
  assert.equal(code, 0, stderr);
  const said = stdout.split("\n");
  const says = (line: RegExp): void => {
    assert.ok(
      said.some((one) => line.test(one)),
      `${line} in\n${stdout}`,
    );
  };
  says(/^OpenAI's API is at http:\/\/127\.0\.0\.1:\d+\/v1$/);
  says(/^Once upon a time.+[^.]$/);
  says(/^ready$/);
  says(/^1 shard, held by 1 node$/);
  says(/^rendezvous [1-9]\d*$/);
  says(/^Shoal demo$/);
  says(/^768 bytes, holders: [12]$/); // the node has it too; the rendezvous may not have heard yet
  says(/^verified: .+\/output$/);
  says(/^8 Q8_0$/);
  says(/^\[ \d+, \d+ \]$/);
  says(/^the same logits, bit for bit: true$/);
  says(/^connect: `port` must be a whole number from 0 to 65535$/);
  says(/^true undefined undefined$/);
  says(/^\[ 'rendezvous', 'node 0', 'node 1', 'gateway' \]$/);
});
