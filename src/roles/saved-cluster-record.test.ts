import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { startHost, Watched } from "../../test/support/network.ts";
import { Membership, sealClusterRecord } from "../cluster/index.ts";
import { isShoalError } from "../lib/index.ts";
import { Commands, createHost, type Host } from "../network/index.ts";
import { keepClusterRecord } from "./saved-cluster-record.ts";

const CLUSTER = "friends/of mine";

async function member(t: TestContext, stateDir: string) {
  const host = await startHost(t, {});
  const events = new Watched();
  const commands = new Commands(host);
  const membership = new Membership({
    host,
    commands,
    events,
    cluster: CLUSTER,
  });
  membership.start();
  t.after(() => membership.stop());
  t.after(
    await keepClusterRecord({ membership, stateDir, cluster: CLUSTER, events }),
  );
  return { membership, events };
}

async function record(key: Host, seq: number) {
  const fields = {
    v: 1,
    cluster: CLUSTER,
    key: key.peerId,
    manifest: "m",
  } as const;
  const rest = { model: "demo", shards: 2, replication: 2, origin: [], seq };
  return await sealClusterRecord({ ...fields, ...rest, issuedMs: 1 }, (data) =>
    key.sign(data),
  );
}

async function keys(t: TestContext): Promise<[Host, Host]> {
  const made = [await createHost(), await createHost()] as const;
  for (const key of made) t.after(() => key.stop());
  return [...made];
}

async function untilThere(path: string): Promise<void> {
  const until = Date.now() + 60_000;
  while (!existsSync(path)) {
    assert.ok(Date.now() < until, `${path} was not written`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test("the record is there after a restart, and another key's is refused", async (t) => {
  const stateDir = await temporaryFolder(t);
  const [ada, eve] = await keys(t);
  const first = await member(t, stateDir);
  await first.membership.publish(await record(ada, 7));
  const file = "friends%2fof%20mine.record.json";
  await untilThere(join(stateDir, "clusters", file));

  const second = await member(t, stateDir);
  assert.equal(second.membership.published()?.seq, 7);
  await assert.rejects(
    second.membership.publish(await record(eve, 9)),
    (error) => isShoalError(error, "COMMAND_UNAUTHORIZED"),
  );
  await second.membership.publish(await record(ada, 8));
  assert.equal(second.membership.published()?.seq, 8);
});

test("a damaged record is told of and not taken", async (t) => {
  const stateDir = await temporaryFolder(t);
  const [ada] = await keys(t);
  const first = await member(t, stateDir);
  await first.membership.publish(await record(ada, 1));
  const file = "friends%2fof%20mine.record.json";
  const path = join(stateDir, "clusters", file);
  await untilThere(path);
  await writeFile(path, (await readFile(path, "utf8")).slice(0, 20));
  const { membership, events } = await member(t, stateDir);
  assert.equal(membership.published(), undefined);
  assert.ok(
    events.seen.some(({ message }) =>
      message.includes("record from an earlier run"),
    ),
  );
});
