/** The completion scripts, in the shells themselves: bash always, zsh and fish where they are installed. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { shoal } from "../support/cli.ts";
import { temporaryFolder } from "../support/folder.ts";
import { until } from "../support/until.ts";

/** What was typed, the last word being completed, and what is offered or is not. */
const CASES: readonly { typed: string[]; has: string[]; lacks: string[] }[] = [
  { typed: [""], has: ["up", "completion", "help"], lacks: ["--shard"] },
  { typed: ["insp"], has: ["inspect"], lacks: ["torrents"] },
  {
    typed: ["node", "--s"],
    has: ["--shard", "--sessions", "--spare"],
    lacks: ["--api-key", "--threads"],
  },
  {
    typed: ["serve", "--log-level", ""],
    has: ["debug", "info", "warn", "error"],
    lacks: ["--cluster"],
  },
  { typed: ["completion", ""], has: ["bash", "zsh", "fish"], lacks: ["node"] },
  { typed: ["help", "tor"], has: ["torrents"], lacks: ["inspect"] },
  { typed: ["inspect", "mo"], has: ["model.gguf", "models"], lacks: ["up"] },
  {
    typed: ["node", "--model-dir", "mo"],
    has: ["models"],
    lacks: ["model.gguf"],
  },
];

type Shell = "bash" | "zsh" | "fish";
const scripts = new Map<Shell, string>();

before(async () => {
  for (const shell of ["bash", "zsh", "fish"] as const) {
    const run = await shoal(["completion", shell]);
    assert.equal(run.code, 0, run.stderr);
    scripts.set(shell, run.stdout);
  }
});

/** A folder with the script, a file and a folder in it. */
async function place(t: TestContext, shell: Shell): Promise<string> {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, "script"), scripts.get(shell) ?? "");
  await writeFile(join(folder, "model.gguf"), "");
  await mkdir(join(folder, "models"));
  return folder;
}

function isMissing(shell: Shell): boolean {
  return spawnSync(shell, ["-c", "true"]).error !== undefined;
}

function assertOffered(
  { typed, has, lacks }: (typeof CASES)[number],
  offered: readonly string[],
): void {
  const told = `${typed.join(" ")}: ${offered.join(" ")}`;
  for (const word of has) assert.ok(offered.includes(word), `${word}? ${told}`);
  for (const word of lacks) assert.ok(!offered.includes(word), told);
}

/** What a shell's own program prints, a word a line. */
function linesOf(shell: Shell, program: string, cwd: string): string[] {
  const { stdout, stderr, status } = spawnSync(shell, ["-c", program], {
    cwd,
    encoding: "utf8",
    env: { PATH: process.env.PATH, HOME: cwd },
  });
  assert.deepEqual([status, stderr], [0, ""]);
  return stdout.split("\n").map((line) => line.split("\t")[0] ?? "");
}

test("bash", async (t) => {
  const folder = await place(t, "bash");
  for (const each of CASES) {
    const words = ["shoal", ...each.typed].map((word) => `'${word}'`);
    const offered = linesOf(
      "bash",
      `. ./script; COMP_WORDS=(${words.join(" ")}); COMP_CWORD=${words.length - 1}
       _shoal; printf '%s\n' "\${COMPREPLY[@]}"`,
      folder,
    );
    assertOffered(each, offered);
  }
  assert.match(
    linesOf("bash", ". ./script; complete -p shoal", folder).join(""),
    /-F _shoal shoal/,
  );
});

test(
  "fish",
  { skip: isMissing("fish") && "fish is not installed" },
  async (t) => {
    const folder = await place(t, "fish");
    for (const each of CASES) {
      const line = ["shoal", ...each.typed].join(" ");
      const offered = linesOf(
        "fish",
        `source ./script; complete -C "${line}"`,
        folder,
      );
      assertOffered(
        each,
        offered.map((word) => word.replace(/\/$/, "")),
      );
    }
  },
);

test("zsh", { skip: isMissing("zsh") && "zsh is not installed" }, async (t) => {
  const folder = await place(t, "zsh");
  for (const each of CASES) {
    const child = spawn("script", ["-qec", "zsh -f -i", "/dev/null"], {
      stdio: ["pipe", "pipe", "inherit"],
      cwd: folder,
      env: { PATH: process.env.PATH, HOME: folder, TERM: "xterm" },
    });
    t.after(() => child.kill("SIGKILL"));
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (part) => (output += part));
    child.stdin.write(
      `setopt no_list_ambiguous; autoload -U compinit; compinit -u -D; source ./script; echo "rea"dy\r`,
    );
    await until("zsh ready", () => output.includes("ready"));
    output = "";
    child.stdin.write(`shoal ${each.typed.join(" ")}\t`);
    const offered = (): string[] =>
      stripVTControlCharacters(output).split(/[\s/]+/);
    await until(`zsh offering ${each.has.join(" ")}`, () =>
      each.has.every((word) => offered().includes(word)),
    );
    assertOffered(each, offered());
    child.kill("SIGKILL");
    await once(child, "exit");
  }
});
