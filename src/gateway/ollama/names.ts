/** Ollama's names have a tag, and it is "latest" where a request has none: each model is listed with it, and found with and without. */
const TAG = ":latest";

export function listedName(id: string): string {
  return `${id}${TAG}`;
}

/** undefined: whichever is served. */
export function servedName(
  name: string | null | undefined,
): string | undefined {
  if (name === undefined || name === null || name === "") return undefined;
  return name.endsWith(TAG) ? name.slice(0, -TAG.length) : name;
}
