/**
 * Files as memory that llama.cpp writes to and reads from. On Linux the file itself is mapped, so that however much it is, the process needs no
 * memory of its own for it; elsewhere it passes through a buffer.
 */
import {
  closeSync,
  fstatSync,
  openSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import koffi from "koffi";
import type { Pointer } from "./native-types.ts";

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
/** Without maps: what a process may allocate for it. */
const MOST_BUFFER_BYTES = 1024 * 1024 * 1024;

type Use<T> = (memory: Pointer | Uint8Array) => T;

interface Maps {
  map(length: number, protection: number, fd: number): Pointer | null;
  unmap(memory: Pointer, length: number): void;
  /** Space on the disk, so that no write to the map fails: that would end the process. */
  reserve(fd: number, length: number): boolean;
}

let bound: Maps | undefined;

/** Makes a file of `length` bytes, which `fill` writes. False where there is no room for it. */
export function writeMapped(
  path: string,
  length: number,
  fill: Use<boolean>,
): boolean {
  const maps = systemMaps();
  if (maps === undefined) {
    if (length > MOST_BUFFER_BYTES) return false;
    const buffer = new Uint8Array(length);
    if (!fill(buffer)) return false;
    writeFileSync(path, buffer, { mode: 0o600 });
    return true;
  }
  const fd = openSync(path, "w+", 0o600);
  try {
    if (!maps.reserve(fd, length)) return false;
    return mapped(maps, fd, length, PROT_READ | PROT_WRITE, fill);
  } finally {
    closeSync(fd);
  }
}

/** What `use` makes of a file. */
export function readMapped(path: string, use: Use<boolean>): boolean {
  const maps = systemMaps();
  if (maps === undefined) return use(readFileSync(path));
  const fd = openSync(path, "r");
  try {
    return mapped(maps, fd, fstatSync(fd).size, PROT_READ, use);
  } finally {
    closeSync(fd);
  }
}

function mapped(
  maps: Maps,
  fd: number,
  length: number,
  protection: number,
  use: Use<boolean>,
): boolean {
  const memory = maps.map(length, protection, fd);
  if (memory === null) return false;
  try {
    return use(memory);
  } finally {
    maps.unmap(memory, length);
  }
}

function systemMaps(): Maps | undefined {
  if (process.platform !== "linux") return undefined;
  bound ??= bind();
  return bound;
}

function bind(): Maps {
  const libc = koffi.load(null); // what node itself is linked to, glibc or musl
  const mmap = libc.func(
    "void* mmap(void* address, size_t length, int protection, int flags, int fd, int64 offset)",
  );
  const munmap = libc.func("int munmap(void* address, size_t length)");
  const allocate = libc.func(
    "int posix_fallocate(int fd, int64 offset, int64 length)",
  );
  return {
    map: (length, protection, fd) => {
      const memory = mmap(
        null,
        length,
        protection,
        MAP_SHARED,
        fd,
        0,
      ) as Pointer;
      return koffi.address(memory) === MAP_FAILED ? null : memory;
    },
    unmap: (memory, length) => munmap(memory, length),
    reserve: (fd, length) => allocate(fd, 0, length) === 0,
  };
}

/** (void*) -1 */
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
