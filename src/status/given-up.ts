/** What a node gave up, as it lies in its state folder: for whoever looks after it has ended. */
import { join } from "node:path";
import { z } from "zod";
import { givenUpSchema } from "./schema.ts";

export const givenUpFileSchema = z.array(givenUpSchema).max(64);

export function givenUpPath(stateDir: string): string {
  return join(stateDir, "given-up.json");
}
