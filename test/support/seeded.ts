/** A model and its seeder in separate processes, for nodes that start empty. */
import { join } from "node:path";
import { type Member, Members } from "./member.ts";
import { writeRandomModel } from "./models.ts";

/** 33 MiB: four layers of 7.5 MiB each, and what comes before and after them. */
export const SMALL_MODEL = {
  layers: 4,
  embeddingLength: 512,
  heads: 8,
  kvHeads: 4,
  feedForward: 736,
  vocabSize: 1024,
  vocab: "bytes",
} as const;

export interface Seeded {
  members: Members;
  seeder: Member;
  /** The file. */
  model: string;
  /** How `name` comes into the cluster. */
  at: (name: string) => string[];
}

export async function seeded(
  t: Parameters<typeof Members.of>[0],
  shards: number,
  /** Bytes per second. */
  uploadLimit?: number,
): Promise<Seeded> {
  const members = await Members.of(t);
  const model = join(members.home, "model.gguf");
  await writeRandomModel(model, SMALL_MODEL);
  const rendezvous = await members.rendezvous();
  const at = (name: string): string[] => members.at(rendezvous, name);
  const limit =
    uploadLimit === undefined ? [] : ["--upload-limit", String(uploadLimit)];
  const seed = ["seed", model, "--shards", String(shards), ...limit];
  const seeder = members.start("seeder", [...seed, ...at("seeder")]);
  await seeder.whenReady();
  return { members, seeder, model, at };
}
