import type { Tool } from "../chat-request.ts";
import type { Reading } from "../reading.ts";

/** The tools of a request and the calls of one reply. */
export class CallScope {
  /** The longest first: one name may begin another. */
  readonly names: readonly string[];
  #tools: ReadonlyMap<string, Tool>;
  #makeId: () => string;
  #ids = new Set<string>();
  #count = 0;

  constructor(tools: readonly Tool[], makeId: () => string) {
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]));
    this.names = [...this.#tools.keys()].toSorted(
      (a, b) => b.length - a.length,
    );
    this.#makeId = makeId;
  }

  tool(name: string): Tool | undefined {
    return this.#tools.get(name);
  }

  /** A call of a known tool has begun: what was read of it stays read. Gives what its arguments are written with. */
  begin(
    reading: Reading,
    name: string,
    given?: string,
  ): (text: string) => void {
    reading.commit();
    const index = this.#count++;
    // A model may give two calls the same id; a client could not tell their results apart.
    const isNew = given !== undefined && given !== "" && !this.#ids.has(given);
    const id = isNew ? given : this.#makeId();
    this.#ids.add(id);
    reading.write({ kind: "call", index, id, name });
    return (text) => reading.write({ kind: "arguments", index, text });
  }
}

const LETTERS =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** As OpenAI's, or short. `random` gives 0 to 1, 1 excluded. */
export function callId(random: () => number, isShort: boolean): string {
  const letters = Array.from(
    { length: isShort ? 9 : 24 },
    () => LETTERS[Math.floor(random() * LETTERS.length)],
  ).join("");
  return isShort ? letters : `call_${letters}`;
}
