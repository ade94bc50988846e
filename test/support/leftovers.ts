/** What sessions may leave behind: places at the gateway and the nodes, files on the disk, files that processes hold open. */
import assert from "node:assert/strict";
import { readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { engineOf } from "./fault.ts";
import { type Replicas, statusOf } from "./replicas.ts";
import { type Ask, ask } from "./reply.ts";
import { until } from "./until.ts";

/** Nobody has a session, and every one of the sequences is free. */
export async function assertNoSessions(replicas: Replicas): Promise<void> {
  let left = "";
  await until(
    "sessions to be gone",
    async () => {
      left = await sessionsOf(replicas);
      return left === "";
    },
    50,
  ).catch((error: unknown) => {
    throw new Error(`left behind: ${left}`, { cause: error });
  });
}

async function sessionsOf(replicas: Replicas): Promise<string> {
  const { gateway, holders } = replicas;
  const counts = await Promise.all(
    [gateway, ...holders].map(async (machine) => {
      const { sessions } = await statusOf(machine);
      return sessions?.active === 0
        ? []
        : `${sessions?.active} at ${machine.name}`;
    }),
  );
  return counts.flat().join(", ");
}

/**
 * As many sessions of the whole context as there is room for run at once: no key and value is reserved for a session that is
 * gone. `perHolder` is the nodes' `--sessions`.
 */
export async function assertRoom(
  replicas: Replicas,
  whole: (number: number) => Ask,
  perHolder: number,
): Promise<void> {
  const { options, holders } = replicas;
  const over = new AbortController();
  const sessions = options.holders * perHolder;
  const all = Array.from({ length: sessions }, (_, i) =>
    ask(replicas, whole(i), { stream: false, signal: over.signal }),
  );
  const refused: unknown[] = [];
  const ended = Promise.allSettled(
    all.map((reply) => reply.catch((error: unknown) => refused.push(error))),
  );
  let seen = "";
  try {
    await until(
      `${sessions} sessions at once, ${perHolder} at each node`,
      async () => {
        const counts = await Promise.all(
          holders.map(async (holder) => (await statusOf(holder)).sessions!),
        );
        seen = counts
          .map(({ active, max }) => `${active} of ${max}`)
          .join(", ");
        assert.deepEqual(refused, [], seen);
        return counts.every(
          ({ active, max }) => active === perHolder && max === perHolder,
        );
      },
      10,
    );
  } catch (error) {
    throw new Error(`sessions: ${seen}`, { cause: error });
  } finally {
    over.abort();
    await ended;
  }
}

/** Files of every home, and files that nodes and engines hold open, by whom. */
/** Not of a session: a process' database of peers, what its engine measured, and what is kept on purpose for the next prompts (`--cache`). */
const OWN = /\/state\/([a-z]+-datastore\/|engine-tables\.json)|\/data\/kept\//;

export class Files {
  readonly #replicas: Replicas;
  readonly #before: ReadonlySet<string>;

  private constructor(replicas: Replicas, before: ReadonlySet<string>) {
    this.#replicas = replicas;
    this.#before = before;
  }

  /** Once the cluster has answered something: what it writes at the first time is there. */
  static async of(replicas: Replicas): Promise<Files> {
    return new Files(replicas, await filesOf(replicas));
  }

  async assertSame(): Promise<void> {
    let added: string[] = [];
    await until("files to be as before", async () => {
      const now = await filesOf(this.#replicas);
      added = [...now].filter((file) => !this.#before.has(file));
      return added.length === 0;
    }).catch(() => assert.deepEqual(added, []));
  }
}

async function filesOf(replicas: Replicas): Promise<Set<string>> {
  const { members, holders, gateway } = replicas;
  const files = await readdir(members.home, {
    recursive: true,
    withFileTypes: true,
  });
  const open = await Promise.all(
    [gateway, ...holders].map(async ({ name, member }) => {
      const pids = [member.pid, engineOf(member.pid)];
      const paths = await Promise.all(pids.map(openFiles));
      return paths.flat().map((path) => `${name} has ${path} open`);
    }),
  );
  const all = files
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return new Set([...all, ...open.flat()].filter((file) => !OWN.test(file)));
}

/** Files on a disk, deleted ones too. */
async function openFiles(pid: number): Promise<string[]> {
  const folder = `/proc/${pid}/fd`;
  const all = await readdir(folder).catch(() => []);
  const paths = await Promise.all(
    all.map((fd) => readlink(join(folder, fd)).catch(() => "")),
  );
  return paths.filter((path) => /^\/(?!dev\/|proc\/|memfd:)/.test(path));
}
