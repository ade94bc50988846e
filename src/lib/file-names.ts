/** Names of files that are valid on every platform, Windows with its devices and its blindness to case included. */
import { hash } from "node:crypto";

/** Of a device on Windows, whatever follows the first dot. */
const DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i;
const PLAIN = /^\w(?:[\w. -]{0,200}\w)?$/;
/** Of what `fileNameFor` makes; with a suffix it stays below the 255 bytes that file systems allow. */
const MAX_CHARACTERS = 200;

/** Whether a name, perhaps a stranger's, is that of a visible file in its folder. */
export function isPlainFileName(name: string): boolean {
  return PLAIN.test(name) && !DEVICE.test(name);
}

/** A file name for any text. Different texts have different ones, also where upper and lower case are the same. */
export function fileNameFor(text: string): string {
  const name = Array.from(text.toWellFormed(), (c) =>
    /[a-z0-9_-]/.test(c) ? c : escaped(c),
  ).join("");
  if (name.length > MAX_CHARACTERS) return hash("sha256", text, "hex");
  return DEVICE.test(name) ? escaped(name.slice(0, 1)) + name.slice(1) : name;
}

function escaped(character: string): string {
  return Buffer.from(character)
    .toString("hex")
    .replaceAll(/../g, (byte) => `%${byte}`);
}
