/**
 * A debugger that halts a process, as an operator's would: started by halted.ts with the process's id, it says "halted" once the process is, and
 * lets it go when its own standard input ends.
 */
import koffi from "koffi";

const PTRACE_ATTACH = 16;
const PTRACE_DETACH = 17;
/** Threads too, not only children. */
const WALL = 0x4000_0000;

const libc = koffi.load("libc.so.6");
const ptrace = libc.func("long ptrace(long, int, size_t, size_t)");
const waitpid = libc.func("int waitpid(int, void *, int)");

const pid = Number(process.argv[2]);
if (ptrace(PTRACE_ATTACH, pid, 0, 0) !== 0) process.exit(1);
waitpid(pid, Buffer.alloc(4), WALL);
process.stdout.write("halted\n");
process.stdin.resume().once("end", () => {
  ptrace(PTRACE_DETACH, pid, 0, 0);
  process.exit(0);
});
