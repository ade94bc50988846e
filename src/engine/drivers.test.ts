/** Drivers and cards of a machine, by its files. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { hasCard, hasDriver, type System, thisSystem } from "./drivers.ts";

function system(
  platform: string,
  files: readonly string[],
  rest: Partial<System> = {},
): System {
  return {
    platform,
    arch: "x64",
    environment: {},
    exists: (path) => files.includes(path),
    list: (folder) =>
      files.flatMap((path) =>
        path.startsWith(`${folder}/`) ? [path.slice(folder.length + 1)] : [],
      ),
    ...rest,
  };
}

test("on Linux a driver is a library in one of the system's folders, or where LD_LIBRARY_PATH says", () => {
  const debian = system("linux", ["/usr/lib/x86_64-linux-gnu/libvulkan.so.1"]);
  assert.equal(hasDriver("vulkan", debian), true);
  assert.equal(hasDriver("cuda", debian), false);
  assert.equal(
    hasDriver("cuda", system("linux", ["/usr/lib/wsl/lib/libcuda.so.1"])),
    true,
  );
  assert.equal(
    hasDriver("cuda", system("linux", ["/usr/lib64/libnvidia-ml.so.1"])),
    true,
  );
  const elsewhere = system("linux", ["/opt/gpu/libcuda.so.1"]);
  assert.equal(hasDriver("cuda", elsewhere), false);
  const environment = { LD_LIBRARY_PATH: "/x::/opt/gpu" };
  assert.equal(hasDriver("cuda", { ...elsewhere, environment }), true);
  assert.equal(hasDriver("metal", debian), false);
  assert.equal(hasDriver("cpu", system("linux", [])), true);
});

test("on Windows it is in System32; a Mac with Apple's processor has Metal", () => {
  const system32 = (name: string): string =>
    join("C:\\WINDOWS", "System32", name);
  const environment = { SystemRoot: "C:\\WINDOWS" };
  const windows = system("win32", [system32("nvcuda.dll")], { environment });
  assert.equal(hasDriver("cuda", windows), true);
  assert.equal(hasCard("cuda", windows), true);
  assert.equal(hasDriver("vulkan", windows), false);
  assert.equal(hasCard("vulkan", windows), false);
  const mac = system("darwin", [], { arch: "arm64" });
  assert.equal(hasDriver("metal", mac), true);
  assert.equal(hasCard("metal", mac), true);
  assert.equal(hasDriver("metal", system("darwin", [])), false);
  assert.equal(hasDriver("vulkan", mac), false);
});

test("on Linux a card is a device of the kernel's, whatever libraries there are", () => {
  const cards = (...files: string[]): boolean[] =>
    (["cuda", "vulkan"] as const).map((backend) =>
      hasCard(backend, system("linux", files)),
    );
  assert.deepEqual(cards(), [false, false]);
  assert.deepEqual(cards("/dev/dri/card0"), [false, false]);
  assert.deepEqual(cards("/dev/dri/card0", "/dev/dri/renderD128"), [
    false,
    true,
  ]);
  assert.deepEqual(cards("/dev/dxg"), [false, true]);
  assert.deepEqual(cards("/dev/nvidiactl"), [true, true]);
});

test("this machine can be asked", () => {
  const here = thisSystem();
  assert.deepEqual(here.list(join(import.meta.dirname, "no such folder")), []);
  assert.ok(here.list(import.meta.dirname).includes("drivers.test.ts"));
  assert.equal(hasDriver("cpu", here), true);
});
