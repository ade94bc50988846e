/** Two connected sockets of this process, for code that reads and writes descriptors itself. */
import koffi from "koffi";

const libc = koffi.load("libc.so.6");
const pair = libc.func("int socketpair(int, int, int, void *)") as (
  family: number,
  type: number,
  protocol: number,
  fds: Int32Array,
) => number;
const close = libc.func("int close(int)") as (fd: number) => number;

export interface SocketPair extends Disposable {
  a: number;
  b: number;
  closeB(): void;
}

/** AF_UNIX, SOCK_STREAM. */
export function socketPair(): SocketPair {
  const fds = new Int32Array(2);
  if (pair(1, 1, 0, fds) !== 0) throw new Error("socketpair failed");
  const [a = -1, b = -1] = fds;
  let open = true;
  const closeB = (): void => {
    if (open) close(b);
    open = false;
  };
  return {
    a,
    b,
    closeB,
    [Symbol.dispose]() {
      closeB();
      close(a);
    },
  };
}
