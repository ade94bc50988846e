/** The QUIC binding's package on every platform. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadNativeQuic, quicPackage } from "./native.ts";

test("each platform's binding has the name that its maker gives it", () => {
  for (const [platform, arch, libc, name] of [
    ["linux", "x64", "glibc", "linux-x64-gnu"],
    ["linux", "arm64", "musl", "linux-arm64-musl"],
    ["darwin", "arm64", undefined, "darwin-arm64"],
    ["win32", "x64", undefined, "win32-x64-msvc"],
  ] as const)
    assert.equal(
      quicPackage(platform, arch, () => libc ?? assert.fail("it is no Linux")),
      `@chainsafe/libp2p-quic-${name}`,
    );
});

test("the one of this platform loads, or the reason names its package", () => {
  const { native, reason } = loadNativeQuic();
  assert.ok(native?.Server ?? reason?.startsWith("@chainsafe/libp2p-quic-"));
});
