/** Vision and sound projectors: files of their own that turn pictures or sound into input for a model. Shoal serves the model as text. */
import { readdir } from "node:fs/promises";
import { dirname } from "node:path";

/** As llama.cpp's converter calls them. */
const PROJECTOR = /mmproj.*\.gguf$/i;

/** Names of those in the folder of a model's file, sorted. None where the folder cannot be read. */
export async function projectorsBeside(path: string): Promise<string[]> {
  const names = await readdir(dirname(path)).catch(() => []);
  return names.filter((name) => PROJECTOR.test(name)).toSorted();
}

export function servedAsText(projectors: readonly string[]): string {
  return `served as text: ${projectors.join(", ")} beside it, for images or sound, ${projectors.length === 1 ? "is" : "are"} left out`;
}
