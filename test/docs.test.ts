/** What the documents say of the program, held against the program. */
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { test } from "node:test";
import { errorsPage } from "../docs/errors-page.ts";
import { ERROR_HELP } from "../src/lib/error-help.ts";

const root = resolve(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

const DOCUMENTS = globSync(["*.md", "docs/**/*.md", "deploy/**/*.md"], {
  cwd: root,
});

test("docs/ERRORS.md is what `npm run docs` writes", () => {
  assert.equal(read("docs/ERRORS.md"), errorsPage());
});

test("every error code is used by the program", () => {
  const sources = globSync(["bin/*.js", "src/**/*.ts"], {
    cwd: root,
    exclude: ["**/*.test.ts", "src/lib/errors.ts", "src/lib/error-help.ts"],
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

/** The anchors that hosting platforms give a page's headings. */
function sectionsOf(path: string): string[] {
  return [...read(path).matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}
