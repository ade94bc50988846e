/** What the nodes of a local swarm measured at their load. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { StageTables } from "../src/engine/tables.ts";

const Kept = z.array(z.tuple([z.string(), StageTables]));

/** Undefined if a node kept none, since its time for measuring was used up. */
export async function tablesOf(
  home: string,
  nodes: number,
): Promise<StageTables[] | undefined> {
  const tables: StageTables[] = [];
  for (let i = 0; i < nodes; i++) {
    const path = join(home, `node-${i}`, "state", "engine-tables.json");
    if (!existsSync(path)) return undefined;
    const [entry] = Kept.parse(JSON.parse(await readFile(path, "utf8")));
    if (entry !== undefined) tables.push(entry[1]);
  }
  return tables.length === nodes ? tables : undefined;
}
