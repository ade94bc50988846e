/** Which of a library's devices a stage computes on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { listDevices } from "./devices.ts";
import {
  describeDevices,
  deviceNames,
  gpusFor,
  isGpu,
  pointersOf,
} from "./native-devices.ts";
import type { NativeDevice, Pointer } from "./native-types.ts";

const GPU = device(16n, "Vulkan0", 1);
const IGPU = device(32n, "Vulkan1", 2);
const BLAS = device(48n, "BLAS", 3);
const CPU = device(64n, "CPU", 0);

test("the real library for the CPU lists the CPU with its memory, from a process of its own", async () => {
  const { version, devices } = await listDevices("cpu");
  assert.match(version, /^0\.\d+\.\d+$/);
  const cpu = devices.find(({ kind }) => kind === "cpu");
  assert.ok(cpu !== undefined && cpu.totalBytes >= cpu.freeBytes);
  assert.ok(cpu.freeBytes > 0 && cpu.description.length > 0);
  assert.equal(devices.some(isGpu), false);
});

test("kinds are told in words; only GPUs of both kinds count as such", () => {
  const native = { version: "0.5.0", devices: () => [IGPU, GPU, BLAS, CPU] };
  const { devices } = describeDevices(native);
  assert.deepEqual(
    devices.map(({ name, kind }) => [name, kind]),
    [
      ["Vulkan1", "integrated"],
      ["Vulkan0", "gpu"],
      ["BLAS", "accelerator"],
      ["CPU", "cpu"],
    ],
  );
  assert.deepEqual(devices.map(isGpu), [true, true, false, false]);
});

test("a stage on the CPU gets no device, one on a named GPU that one, one on an unnamed GPU all but the integrated", () => {
  const native = { devices: () => [GPU, IGPU, CPU] };
  const names = (
    options: Parameters<typeof gpusFor>[1],
    from: Parameters<typeof gpusFor>[0] = native,
  ): string[] => gpusFor(from, options).map(({ name }) => name);
  assert.deepEqual(names({}), []);
  assert.deepEqual(names({ backend: "cpu" }), []);
  assert.deepEqual(names({ backend: "vulkan" }), ["Vulkan0"]);
  assert.deepEqual(names({ backend: "vulkan", device: "Vulkan1" }), [
    "Vulkan1",
  ]);
  const weak = { devices: () => [BLAS, IGPU, CPU] };
  assert.deepEqual(names({ backend: "vulkan" }, weak), ["Vulkan1"]);
  assert.deepEqual(
    pointersOf(gpusFor(native, { backend: "vulkan" })),
    BigUint64Array.of(16n, 0n),
  );
  assert.deepEqual(pointersOf([]), BigUint64Array.of(0n));
  assert.equal(deviceNames([], ""), "CPU");
  const line = (on: string): string => `CPU : SSE3 = 1 | AVX = 1 | ${on} | `;
  assert.equal(deviceNames([], line("AVX2 = 1 | FMA = 1")), "CPU AVX2");
  assert.equal(
    deviceNames([], line("AVX2 = 1 | AVX512 = 1 | AVX512_VNNI = 1")),
    "CPU AVX512+VNNI",
  );
  assert.equal(deviceNames([], line("AVX512 = 0")), "CPU AVX");
  assert.equal(
    deviceNames([GPU, IGPU], line("AVX2 = 1")),
    "Vulkan0 a card, Vulkan1 a card",
  );
});

test("a GPU that is not there is refused with those that are", () => {
  const wanted = { backend: "vulkan", device: "Vulkan7" } as const;
  assert.throws(() => gpusFor({ devices: () => [GPU, IGPU, CPU] }, wanted), {
    code: "GPU_UNAVAILABLE",
    message: "no graphics card is named Vulkan7; there is Vulkan0, Vulkan1",
  });
  // The CPU's name is no GPU's.
  assert.throws(
    () => gpusFor({ devices: () => [GPU, CPU] }, { ...wanted, device: "CPU" }),
    { code: "GPU_UNAVAILABLE" },
  );
  assert.throws(() => gpusFor({ devices: () => [CPU] }, wanted), {
    code: "GPU_UNAVAILABLE",
    message: "llama.cpp with vulkan finds no graphics card",
  });
});

function device(pointer: bigint, name: string, type: number): NativeDevice {
  const memory = { freeBytes: 1, totalBytes: 2 };
  return {
    pointer: pointer as Pointer,
    name,
    description: "a card",
    type,
    ...memory,
  };
}
