import { ShoalError } from "../lib/index.ts";
import {
  allocate,
  EINTR,
  errno,
  errnoName,
  libc,
  POLLIN,
  POLLOUT,
  type Memory,
} from "./libc.ts";

type Handler = () => void;

/** struct pollfd: i32 fd, i16 events, i16 revents. */
const POLLFD_BYTES = 8;

/**
 * poll(2): file descriptors with handlers, for a loop without node's event loop. Arrays are reused. A handler may watch and unwatch any
 * descriptor, but not call `wait`.
 *
 *     poller.watch(fd, () => read(fd));
 *     for (;;) poller.wait(-1);
 */
export class Poller {
  /** Entries in use; those unwatched meanwhile have the descriptor -1 until the next `wait`. */
  #count = 0;
  #fds: Memory = allocate(16 * POLLFD_BYTES);
  readonly #readable: (Handler | undefined)[] = [];
  readonly #writable: (Handler | undefined)[] = [];
  /** The entry of each descriptor. */
  readonly #entries = new Map<number, number>();
  #removed = 0;
  #soon: Handler[] = [];
  #running: Handler[] = [];

  watch(fd: number, onReadable: Handler): void {
    const entry = this.#entry(fd);
    this.#readable[entry] = onReadable;
    this.#setEvents(entry);
  }

  unwatch(fd: number): void {
    const entry = this.#entries.get(fd);
    if (entry === undefined) return;
    this.#entries.delete(fd);
    this.#readable[entry] = undefined;
    this.#writable[entry] = undefined;
    this.#fds.view.setInt32(entry * POLLFD_BYTES, -1, true);
    this.#removed++;
  }

  /** Also waits for room to write on `fd`; undefined stops it. */
  whenWritable(fd: number, handler: Handler | undefined): void {
    if (handler === undefined && !this.#entries.has(fd)) return;
    const entry = this.#entry(fd);
    this.#writable[entry] = handler;
    this.#setEvents(entry);
  }

  /** Runs `handler` in the next `wait`, which then does not sleep. */
  soon(handler: Handler): void {
    this.#soon.push(handler);
  }

  /**
   * Runs the handlers of what is ready. `timeoutMs` -1 waits for ever, 0 does not wait. Returns how many were ready. It sleeps at once: asking
   * again and again before (50 µs, 5 ms, or shortly before a token is due) made no hop faster, and cost others the processor.
   */
  wait(timeoutMs: number): number {
    this.#compact();
    const soon = this.#runSoon();
    const { address } = this.#fds;
    const ready = checked(
      libc().poll(address, this.#count, soon > 0 ? 0 : timeoutMs),
    );
    if (ready > 0) this.#dispatch();
    return soon + ready;
  }

  #dispatch(): void {
    const { view } = this.#fds;
    // What handlers add lies behind `count`; what they remove has no handler any more.
    for (let entry = 0, count = this.#count; entry < count; entry++) {
      const events = view.getInt16(entry * POLLFD_BYTES + 6, true);
      if (events === 0) continue;
      // Errors and hang-ups are reported without being asked for: whoever reads or writes finds out.
      if ((events & ~POLLOUT) !== 0) this.#readable[entry]?.();
      if ((events & ~POLLIN) !== 0) this.#writable[entry]?.();
    }
  }

  #runSoon(): number {
    if (this.#soon.length === 0) return 0;
    const now = this.#soon;
    this.#soon = this.#running;
    this.#running = now;
    for (const handler of now) handler();
    const { length } = now;
    now.length = 0;
    return length;
  }

  #entry(fd: number): number {
    const known = this.#entries.get(fd);
    if (known !== undefined) return known;
    const entry = this.#count++;
    if (entry * POLLFD_BYTES === this.#fds.bytes.length) {
      const larger = allocate(this.#fds.bytes.length * 2);
      larger.bytes.set(this.#fds.bytes);
      this.#fds = larger;
    }
    this.#entries.set(fd, entry);
    this.#fds.view.setInt32(entry * POLLFD_BYTES, fd, true);
    this.#fds.view.setInt32(entry * POLLFD_BYTES + 4, 0, true);
    return entry;
  }

  #setEvents(entry: number): void {
    const events =
      (this.#readable[entry] ? POLLIN : 0) |
      (this.#writable[entry] ? POLLOUT : 0);
    this.#fds.view.setInt16(entry * POLLFD_BYTES + 4, events, true);
  }

  /** Moves the last entries to the places of the removed ones. */
  #compact(): void {
    const { view } = this.#fds;
    for (let entry = 0; this.#removed > 0; entry++) {
      if (view.getInt32(entry * POLLFD_BYTES, true) !== -1) continue;
      const last = --this.#count;
      this.#removed--;
      const fd = view.getInt32(last * POLLFD_BYTES, true);
      if (last !== entry) {
        view.setInt32(entry * POLLFD_BYTES, fd, true);
        view.setInt32(
          entry * POLLFD_BYTES + 4,
          view.getInt32(last * POLLFD_BYTES + 4, true),
          true,
        );
        this.#readable[entry] = this.#readable[last];
        this.#writable[entry] = this.#writable[last];
        if (fd !== -1) this.#entries.set(fd, entry);
        else entry--; // the moved one was removed too
      }
      this.#readable.length = last;
      this.#writable.length = last;
    }
  }
}

function checked(ready: number): number {
  if (ready >= 0) return ready;
  const reason = errno();
  if (reason === EINTR) return 0;
  throw new ShoalError("INTERNAL", `poll failed: ${errnoName(reason)}`);
}
