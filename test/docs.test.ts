/** Checks the documents against the program. */
import assert from "node:assert/strict";
import { existsSync, globSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { errorsPage } from "../docs/errors-page.ts";
import { familiesPage } from "../docs/families-page.ts";
import { testsPage } from "../docs/tests-page.ts";
import { ERROR_HELP } from "../src/lib/error-help.ts";
import { SERVED } from "../src/model/index.ts";
import { commandNames, optionsOf, refusalOf } from "./support/command-line.ts";

const root = resolve(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

const DOCUMENTS = globSync(["*.md", "{docs,deploy,examples}/**/*.md"], {
  cwd: root,
});

test("docs/ERRORS.md is what `npm run docs` writes", () => {
  assert.equal(read("docs/ERRORS.md"), errorsPage());
});

test("docs/FAMILIES.md is what `npm run docs` writes", () => {
  assert.equal(read("docs/FAMILIES.md"), familiesPage());
});

test("docs/TESTS.md is what `npm run docs` writes", () => {
  assert.equal(read("docs/TESTS.md"), testsPage());
});

test("docs/PLATFORMS.md names each architecture that needs a newer llama.cpp than some platforms have", () => {
  const page = read("docs/PLATFORMS.md");
  for (const { name, since } of SERVED)
    assert.equal(page.includes(`\`${name}\``), since !== undefined, name);
});

test("every error code is used by the program", () => {
  const sources = globSync(["bin/*.js", "src/**/*.ts"], {
    cwd: root,
    exclude: ["**/*.test.ts", "src/lib/errors.ts", "src/lib/error-help*.ts"],
  }).map(read);
  const text = sources.join("\n");
  assert.deepEqual(
    Object.keys(ERROR_HELP).filter(
      (code) => !text.includes(`"${code}"`) && !text.includes(`(${code})`),
    ),
    [],
  );
});

for (const path of DOCUMENTS)
  test(`${path} links to files and sections that exist`, () => {
    const links = [...read(path).matchAll(/\]\(([^)\s]+)\)/g)].map(
      ([, link = ""]) => link,
    );
    const broken = links.filter((link) => {
      if (/^https?:/.test(link)) return false;
      const [file = "", section] = link.split("#");
      const target = file === "" ? path : join(dirname(path), file);
      if (!existsSync(join(root, target))) return true;
      return section !== undefined && !sectionsOf(target).includes(section);
    });
    assert.deepEqual(broken, []);
  });

for (const path of [
  ...DOCUMENTS,
  "src/lib/error-help.ts",
  "src/lib/error-help-hub.ts",
])
  test(`${path} names only commands and options that exist`, async () => {
    const text = read(path).replaceAll(/^.*bench\/.*$/gm, ""); // those have their own options
    const refusals: string[] = [];
    for (const command of commandsIn(text)) {
      const refusal = await refusalOf(command);
      if (refusal !== undefined)
        refusals.push(`${command.join(" ")}: ${refusal}`);
    }
    assert.deepEqual(refusals, []);
    const known = new Set([...FOREIGN, ...VARIABLES]);
    for (const command of await commandNames())
      for (const name of await optionsOf(command)) known.add(name);
    const named = text.match(/(?<![\w-])--[a-z][a-z-]*|SHOAL_[A-Z_]+/g) ?? [];
    assert.deepEqual(
      named.filter((name) => !known.has(name)),
      [],
    );
  });

/** Of no option. */
const VARIABLES = ["SHOAL_ENGINES"];

/** Of other programs. */
const FOREIGN = [
  "--name",
  "--seconds",
  "--omit",
  "--test",
  "--now",
  "--network",
  "--global",
  "--max-semi-space-size",
];

/** Every command line of the program in a fenced block, without its comment. "…" and HOST stand for an address. */
function commandsIn(text: string): string[][] {
  const blocks = [...text.matchAll(/^```\w*\n(.*?)^```$/gms)];
  return blocks.flatMap(([, block = ""]) =>
    [...block.matchAll(/^(?:npm exec shoal -- |shoal )(.+?)(?: +#.*)?$/gm)].map(
      ([, line = ""]) =>
        Array.from(
          line.matchAll(/"([^"]*)"|(\S+)/g),
          ([, quoted, word]) => quoted ?? word?.replace("…", "HOST") ?? "",
        ),
    ),
  );
}

test("docs/ARCHITECTURE.md lists every room", () => {
  const text = read("docs/ARCHITECTURE.md");
  const listed = Array.from(
    text.matchAll(/^\| `src\/(\w+)` \|/gm),
    ([, room = ""]) => room,
  );
  const rooms = readdirSync(join(root, "src"), { withFileTypes: true });
  assert.deepEqual(
    new Set(listed),
    new Set(rooms.flatMap((entry) => (entry.isDirectory() ? entry.name : []))),
  );
});

for (const path of DOCUMENTS)
  test(`${path} names files of this tree that exist`, () => {
    const named = read(path).matchAll(/`([a-z][\w@*./-]*\/[\w@*./-]*)`/g);
    const tops = new Set([...readdirSync(root), ...readdirSync(`${root}/src`)]);
    const missing = Array.from(named, ([, file = ""]) => file).filter(
      (file) =>
        !file.startsWith("src/llama") && // llama.cpp's own
        tops.has(file.split("/")[0] ?? "") &&
        !file.startsWith("dist/") &&
        globSync([file, `src/${file}`], { cwd: root }).length === 0,
    );
    assert.deepEqual(missing, []);
  });

/** The anchors that hosting platforms give a page's headings. */
function sectionsOf(path: string): string[] {
  return [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}
