/** Pages of the process's own memory, given back to the system: madvise of Linux' libc. */
import koffi from "koffi";

/** madvise(2): private memory without a file is zero when it is used again. */
const MADV_DONTNEED = 4;

export interface Pages {
  readonly pageBytes: number;
  /** Whole pages at `address`, a multiple of `pageBytes`; they are zero from then on. False where the system refuses. */
  giveBack(address: number, sizeBytes: number): boolean;
}

let bound: Pages | undefined;

/** Undefined where there is no such call. */
export function systemPages(): Pages | undefined {
  if (process.platform !== "linux") return undefined;
  bound ??= bind();
  return bound;
}

function bind(): Pages {
  const libc = koffi.load(null); // what node itself is linked to, glibc or musl
  const madvise = libc.func(
    "int madvise(uintptr_t address, size_t length, int advice)",
  );
  const pageSize = libc.func("int getpagesize()");
  return {
    pageBytes: pageSize() as number,
    giveBack: (address, sizeBytes) =>
      madvise(address, sizeBytes, MADV_DONTNEED) === 0,
  };
}
