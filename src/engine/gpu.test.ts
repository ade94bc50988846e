/** Which device computes, on machines of every kind: their drivers, packages and libraries' answers are given. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ShoalError } from "../lib/index.ts";
import {
  chooseGpu,
  engineOn,
  missingPackages,
  type Prober,
  surveyDevices,
} from "./gpu.ts";
import type { Backend } from "./libraries.ts";
import type { Device, DeviceKind } from "./native-devices.ts";

interface Given {
  platform?: string;
  arch?: string;
  cards?: readonly Backend[];
  drivers?: readonly Backend[];
  installed?: readonly Backend[];
  /** What each library answers; an error is what its process ends with. */
  answers?: Partial<Record<Backend, readonly Device[] | ShoalError>>;
}

const CPU = device("CPU", "cpu");
const L4 = device("CUDA0", "gpu", "NVIDIA L4");
const L4_BY_VULKAN = device("Vulkan0", "gpu", "NVIDIA L4");
const ARC = device("Vulkan1", "integrated", "Intel Arc");
const DIED = new ShoalError("ENGINE_DIED", "the engine died (signal SIGSEGV)");

/** With the libraries that were tried. */
function machine(given: Given): Prober & { tried: Backend[] } {
  const { cards = [], drivers = [], installed = ["cpu"], answers = {} } = given;
  const tried: Backend[] = [];
  return {
    platform: given.platform ?? "linux",
    arch: given.arch ?? "x64",
    hasCard: (backend) => cards.includes(backend),
    hasDriver: (backend) => drivers.includes(backend),
    isInstalled: (backend) => installed.includes(backend),
    list: (backend) => {
      tried.push(backend);
      const answer = answers[backend] ?? [];
      if (answer instanceof ShoalError) return Promise.reject(answer);
      return Promise.resolve({ version: "0.5.0", devices: [...answer, CPU] });
    },
    tried,
  };
}

const AUTO: {
  name: string;
  given: Given;
  backend: Backend;
  devices?: string[];
  tried: Backend[];
  problems?: RegExp[];
}[] = [
  {
    name: "without a package for cards no library is tried",
    given: { cards: ["cuda", "vulkan"], drivers: ["cuda", "vulkan"] },
    backend: "cpu",
    tried: [],
  },
  {
    name: "CUDA goes before Vulkan",
    given: {
      drivers: ["cuda", "vulkan"],
      installed: ["cpu", "cuda", "vulkan"],
      answers: { cuda: [L4], vulkan: [L4_BY_VULKAN] },
    },
    backend: "cuda",
    devices: ["CUDA0"],
    tried: ["cuda"],
  },
  {
    name: "a package without its driver is not tried",
    given: {
      drivers: ["vulkan"],
      installed: ["cpu", "cuda", "vulkan"],
      answers: { vulkan: [ARC, L4_BY_VULKAN] },
    },
    backend: "vulkan",
    devices: ["Vulkan0"],
    tried: ["vulkan"],
  },
  {
    name: "a driver that kills its process is told, and the next is tried",
    given: {
      drivers: ["cuda", "vulkan"],
      installed: ["cpu", "cuda", "vulkan"],
      answers: { cuda: DIED, vulkan: [ARC] },
    },
    backend: "vulkan",
    devices: ["Vulkan1"],
    tried: ["cuda", "vulkan"],
    problems: [/^cuda: the engine died \(signal SIGSEGV\)$/],
  },
  {
    name: "a library without a card leaves the CPU",
    given: { drivers: ["vulkan"], installed: ["cpu", "vulkan"] },
    backend: "cpu",
    tried: ["vulkan"],
    problems: [/^vulkan: it finds no graphics card$/],
  },
  {
    name: "a Mac with Apple's processor computes on it",
    given: {
      platform: "darwin",
      arch: "arm64",
      drivers: ["metal"],
      installed: ["cpu", "metal"],
      answers: { metal: [device("MTL0", "gpu", "Apple M4")] },
    },
    backend: "metal",
    devices: ["MTL0"],
    tried: ["metal"],
  },
  {
    name: "a machine without packages for cards has the CPU",
    given: { arch: "arm64", drivers: ["cuda", "vulkan"], cards: ["cuda"] },
    backend: "cpu",
    tried: [],
  },
];

for (const { name, given, backend, devices = [], tried, problems = [] } of AUTO)
  test(`auto: ${name}`, async () => {
    const prober = machine(given);
    const choice = await chooseGpu("auto", prober);
    assert.equal(choice.backend, backend);
    assert.deepEqual(
      choice.devices.map((each) => each.name),
      devices,
    );
    assert.deepEqual(prober.tried, tried);
    assert.equal(choice.problems.length, problems.length);
    for (const [i, problem] of problems.entries())
      assert.match(choice.problems[i] ?? "", problem);
  });

const BOTH: Given = {
  drivers: ["cuda", "vulkan"],
  installed: ["cpu", "cuda", "vulkan"],
  answers: { cuda: [L4], vulkan: [L4_BY_VULKAN, ARC] },
};

test("off touches no library; neither does the CPU's name", async () => {
  for (const name of ["off", "OFF", "cpu"]) {
    const prober = machine(BOTH);
    assert.equal((await chooseGpu(name, prober)).backend, "cpu");
    assert.deepEqual(prober.tried, []);
  }
});

test("a name takes that card, in any case; a backend's name all of its cards", async () => {
  const choice = await chooseGpu("vulkan1", machine(BOTH));
  assert.deepEqual(engineOn(choice), { backend: "vulkan", device: "Vulkan1" });
  assert.deepEqual(engineOn(choice, 3), {
    backend: "vulkan",
    device: "Vulkan1",
    gpuLayers: 3,
  });
  const all = await chooseGpu("Vulkan", machine(BOTH));
  assert.deepEqual(engineOn(all), { backend: "vulkan" });
  assert.deepEqual(all.devices, [L4_BY_VULKAN]);
  // Where the driver's files are elsewhere than they usually are, a name is still tried.
  const hidden = machine({ ...BOTH, drivers: [] });
  assert.equal((await chooseGpu("CUDA0", hidden)).backend, "cuda");
});

const REFUSED: [name: string, wanted: string, given: Given, message: RegExp][] =
  [
    [
      "a name that no card has, with those that there are",
      "Vulkan7",
      BOTH,
      /^no graphics card is named Vulkan7: there is CUDA0 \(NVIDIA L4\), Vulkan0 \(NVIDIA L4\), Vulkan1 \(Intel Arc\)$/,
    ],
    [
      "a backend whose package is not installed, with the command for it",
      "cuda",
      { drivers: ["cuda"], cards: ["cuda"] },
      /^no graphics card by cuda; cuda: the package @node-llama-cpp\/linux-x64-cuda@3\.22\.1 is not installed \(`npm install .*@node-llama-cpp\/linux-x64-cuda@3\.22\.1`\)$/,
    ],
    [
      "a backend that kills its process, with the reason",
      "vulkan",
      { ...BOTH, answers: { vulkan: DIED } },
      /^no graphics card by vulkan; vulkan: the engine died \(signal SIGSEGV\)$/,
    ],
    [
      "a backend that there is no package of for this kind of machine",
      "metal",
      BOTH,
      /^there is no prebuilt llama\.cpp with metal for linux-x64$/,
    ],
    [
      "any name on a machine without cards",
      "on",
      {},
      /^no graphics card is named on: there is no other than the CPU; cuda: the package .* is not installed; vulkan: the package .* is not installed$/,
    ],
  ];

for (const [name, wanted, given, message] of REFUSED)
  test(`refused: ${name}`, async () => {
    await assert.rejects(chooseGpu(wanted, machine(given)), {
      code: "GPU_UNAVAILABLE",
      message,
    });
  });

test("only a card's package is missing, and no library is tried for that", () => {
  const backends = (given: Given): string[] => {
    const prober = machine(given);
    const missing = missingPackages(prober).map(({ backend }) => backend);
    assert.deepEqual(prober.tried, []);
    return missing;
  };
  assert.deepEqual(backends({ drivers: ["vulkan", "cuda"] }), []);
  assert.deepEqual(backends({ cards: ["vulkan"] }), ["vulkan"]);
  assert.deepEqual(
    backends({ cards: ["cuda", "vulkan"], installed: ["cpu", "vulkan"] }),
    ["cuda"],
  );
  assert.deepEqual(backends({ arch: "arm64", cards: ["cuda", "vulkan"] }), []);
});

test("the survey tries all that is installed, and names the command for what is of use", async () => {
  const states = await surveyDevices(
    machine({
      cards: ["cuda", "vulkan"],
      drivers: ["vulkan"],
      installed: ["cpu", "vulkan"],
      answers: { vulkan: [L4_BY_VULKAN], cpu: [] },
    }),
  );
  assert.deepEqual(
    states.map(({ backend, devices, install, problem, version }) => ({
      backend,
      devices: devices.map((each) => each.name),
      install: install?.replace(/^npm install .*?@/, "@") ?? null,
      problem,
      version,
    })),
    [
      {
        backend: "cuda",
        devices: [],
        install: "@node-llama-cpp/linux-x64-cuda@3.22.1",
        problem:
          "the package @node-llama-cpp/linux-x64-cuda@3.22.1 is not installed",
        version: null,
      },
      {
        backend: "vulkan",
        devices: ["Vulkan0"],
        install: null,
        problem: null,
        version: "0.5.0",
      },
      {
        backend: "cpu",
        devices: ["CPU"],
        install: null,
        problem: null,
        version: "0.5.0",
      },
    ],
  );
  // With neither a card nor a driver the package would be of no use.
  const [cuda, vulkan] = await surveyDevices(machine({ drivers: ["vulkan"] }));
  assert.equal(cuda?.install, null);
  assert.match(vulkan?.install ?? "", /linux-x64-vulkan@3\.22\.1$/);
});

function device(name: string, kind: DeviceKind, description = name): Device {
  return { name, description, kind, freeBytes: 2 ** 30, totalBytes: 2 ** 31 };
}
