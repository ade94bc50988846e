/** The names that a shared library of Linux itself defines. Layout: https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html (64 bits). */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

const SECTION_BYTES = 64;
const SYMBOL_BYTES = 24;
const DYNAMIC_SYMBOLS = 11;

export async function definedSymbols(path: string): Promise<Set<string>> {
  const file = await readFile(path);
  assert.equal(file.toString("latin1", 1, 4), "ELF");
  const at = (offset: number): number => Number(file.readBigUInt64LE(offset));
  const sections = at(40);
  const section = (index: number): number => sections + index * SECTION_BYTES;
  const count = file.readUInt16LE(60);
  const symbols = Array.from({ length: count }, (_, i) => section(i)).find(
    (header) => file.readUInt32LE(header + 4) === DYNAMIC_SYMBOLS,
  );
  assert.ok(symbols !== undefined);
  const strings = at(section(file.readUInt32LE(symbols + 40)) + 24);
  const [start, sizeBytes] = [at(symbols + 24), at(symbols + 32)];
  const names = new Set<string>();
  for (let each = start; each < start + sizeBytes; each += SYMBOL_BYTES) {
    if (file.readUInt16LE(each + 6) === 0) continue; // another library defines it
    const name = strings + file.readUInt32LE(each);
    names.add(file.toString("latin1", name, file.indexOf(0, name)));
  }
  return names;
}
