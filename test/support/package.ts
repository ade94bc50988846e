/** The package as npm makes and installs it. */
import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { assertBuilt, ROOT } from "./swarm.ts";

const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;
/** An installation downloads some 100 MB. */
const NPM_MS = 300_000;
const REGISTRY_MS = 20_000;

/** npm's own program, if npm runs this test. */
const NPM = process.env["npm_execpath"];

/** What of npm's settings is about the network. All others belong to this checkout. */
const NETWORK_SETTINGS =
  /^npm_config_(registry|cafile|userconfig|globalconfig|proxy|https_proxy|noproxy)$/;

export interface Output {
  stdout: string;
  stderr: string;
}

/** A Node older than the one that Shoal needs: the one that runs npm, if it is. */
export const OLD_NODE: string | undefined = oldNode();
export const noOldNode: string | false =
  OLD_NODE === undefined ? "npm runs under Node 24 or newer here" : false;

/** Why nothing can be installed here. */
export async function noRegistry(): Promise<string | undefined> {
  if (NPM === undefined) return "npm does not run this test";
  const view = ["view", "koffi", "version", "--fetch-retries=0"];
  try {
    await npm(view, { cwd: ROOT, timeoutMs: REGISTRY_MS });
    return undefined;
  } catch {
    return "npm does not reach its registry";
  }
}

interface NpmOptions {
  cwd: string;
  /** Default: the Node that runs this test. */
  node?: string | undefined;
  env?: Record<string, string>;
  timeoutMs?: number;
}

/** `npm …` as in a shell of somebody who has only `node`. */
export async function npm(
  args: readonly string[],
  options: NpmOptions,
): Promise<Output> {
  return await runScript(NPM ?? "", args, options);
}

export async function npx(
  args: readonly string[],
  options: NpmOptions,
): Promise<Output> {
  const program = join(dirname(NPM ?? ""), "npx-cli.js");
  return await runScript(program, args, options);
}

/** Rejects with what it printed if it does not end with 0. */
async function runScript(
  script: string,
  args: readonly string[],
  { cwd, node = process.execPath, env = {}, timeoutMs = NPM_MS }: NpmOptions,
): Promise<Output> {
  return await promisify(execFile)(node, [script, ...args], {
    cwd,
    env: { ...userEnvironment(node), ...env },
    timeout: timeoutMs,
    maxBuffer: MAX_OUTPUT_BYTES,
  });
}

/** The environment without what `npm test` added to it, and with `node` first in the path. */
export function userEnvironment(node: string): Record<string, string> {
  const isOurs = (key: string): boolean =>
    /^(npm_|SHOAL_|NODE_(?!EXTRA_CA)|NODE$|INIT_CWD$)/.test(key) &&
    !NETWORK_SETTINGS.test(key);
  const path = (process.env["PATH"] ?? "")
    .split(delimiter)
    .filter((folder) => !folder.endsWith("node_modules/.bin"));
  return {
    ...Object.fromEntries(
      Object.entries(process.env).filter(
        (entry): entry is [string, string] => !isOurs(entry[0]),
      ),
    ),
    PATH: [dirname(node), ...path].join(delimiter),
  };
}

/** Writes the tarball to `folder`. */
export async function pack(
  folder: string,
): Promise<{ tarball: string; files: string[] }> {
  assertBuilt();
  if (!existsSync(join(ROOT, "dist/index.d.ts")))
    throw new Error('dist has no declarations: run "npm run prepare" first');
  // Its scripts would build dist anew, under the feet of the tests beside this one.
  const args = ["pack", "--ignore-scripts", "--json"];
  const { stdout } = await npm([...args, "--pack-destination", folder], {
    cwd: ROOT,
  });
  const [packed] = JSON.parse(stdout) as [
    { filename: string; files: { path: string }[] },
  ];
  return {
    tarball: join(folder, packed.filename),
    files: packed.files.map(({ path }) => path),
  };
}

function oldNode(): string | undefined {
  const node = process.env["npm_node_execpath"];
  if (node === undefined) return undefined;
  const version = execFileSync(node, ["-p", "process.versions.node"]);
  return Number.parseInt(version.toString(), 10) < 24 ? node : undefined;
}
