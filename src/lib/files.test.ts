import assert from "node:assert/strict";
import { test } from "node:test";
import { temporaryFolder } from "../../test/support/folder.ts";
import { ShoalError } from "./errors.ts";
import { checkDiskSpace } from "./files.ts";

test("a disk without the room is found out first", async (t) => {
  const folder = await temporaryFolder(t);
  await checkDiskSpace(folder, 1);
  await assert.rejects(checkDiskSpace(folder, 2 ** 62), (error) => {
    assert.ok(error instanceof ShoalError);
    assert.equal(error.code, "DISK_FULL");
    assert.equal(error.details.neededBytes, 2 ** 62);
    return true;
  });
});
