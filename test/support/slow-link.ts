/**
 * One slow link: every IP packet that the kernel routes into its TUN device is held for the link's delay and then written back, or dropped.
 * Started by TestNetwork.slow within the router's namespace, as `slow-link.ts DEVICE ONE_WAY_MS LOSS SEED`. One process has nothing else to do, so
 * that a packet is late by microseconds only. Ends with its parent: the end of its input.
 */
import { writeSync } from "node:fs";
import koffi from "koffi";
import { allocate } from "../../src/ring/libc.ts";
import { Random } from "./random.ts";

const [device = "", oneWayMs, loss, seed] = process.argv.slice(2);
const delayMs = Number(oneWayMs);
const lossRate = Number(loss);

const libc = koffi.load("libc.so.6");
const open = libc.func("int open(const char *, int)");
const ioctl = libc.func("int ioctl(int, ulong, uintptr_t)");
const read = libc.func("intptr_t read(int, uintptr_t, size_t)");
const write = libc.func("intptr_t write(int, uintptr_t, size_t)");
const ppoll = libc.func("int ppoll(uintptr_t, ulong, uintptr_t, uintptr_t)");
const prctl = libc.func("int prctl(int, ulong, ulong, ulong, ulong)");
const sched = libc.func("int sched_setscheduler(int, int, uintptr_t)");

/** Numbers of Linux, the same on x64 and arm64. */
const O_RDWR_NONBLOCK = 0o2 | 0o4000;
const TUNSETIFF = 0x400454ca;
/** IFF_TUN | IFF_NO_PI */
const TUN_FLAGS = 0x0001 | 0x1000;
const POLLIN = 1;
const PR_SET_TIMERSLACK = 29;
const SCHED_FIFO = 1;

/** The device's MTU is an Ethernet's. */
const PACKET_BYTES = 2048;
const IPV4_DESTINATION = 16;
/** Packets held at most; what comes then is lost, as at any router. 40 ms at 400 MB/s. */
const PACKETS = 16_384;
/** Packets taken in a row before those that are due are looked at. */
const IN_A_ROW = 32;

const held = allocate(PACKETS * PACKET_BYTES);
const lengths = new Uint32Array(PACKETS);
const dueMs = new Float64Array(PACKETS);
/** Two of poll's entries: the device, and the input. */
const polls = allocate(16);
const timeout = allocate(16);
/** One of each receiver, so that neither changes what the other loses. */
const losses = new Map<number, Random>();

const tun = openTun();
prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
// Before all that computes, where that is allowed: a real link needs no processor.
polls.view.setInt32(0, 1, true);
sched(0, SCHED_FIFO, polls.address);
polls.view.setInt32(0, tun, true);
polls.view.setInt16(4, POLLIN, true);
polls.view.setInt32(8, 0, true);
polls.view.setInt16(12, POLLIN, true);
writeSync(1, "here\n");

let first = 0;
let count = 0;
for (;;) {
  take();
  giveBack();
  const restMs = count === 0 ? 1_000 : dueMs[first]! - performance.now();
  if (restMs <= 0) continue;
  timeout.view.setBigInt64(0, BigInt(Math.floor(restMs / 1_000)), true);
  timeout.view.setBigInt64(8, BigInt(Math.floor((restMs % 1_000) * 1e6)), true);
  if (
    ppoll(polls.address, 2, timeout.address, 0) > 0 &&
    polls.view.getInt16(14, true) !== 0
  )
    break;
}

function openTun(): number {
  const fd = open("/dev/net/tun", O_RDWR_NONBLOCK) as number;
  const request = allocate(40);
  Buffer.from(request.bytes.buffer).write(device, "latin1");
  request.view.setUint16(16, TUN_FLAGS, true);
  if (fd < 0 || ioctl(fd, TUNSETIFF, request.address) !== 0)
    throw new Error(`no TUN device: errno ${koffi.errno()}`);
  return fd;
}

/** What the kernel has. Nothing is taken where there is no room, so the kernel drops it. */
function take(): void {
  for (let n = 0; n < IN_A_ROW && count < PACKETS; n++) {
    const slot = (first + count) % PACKETS;
    const at = held.address + slot * PACKET_BYTES;
    const length = read(tun, at, PACKET_BYTES) as number;
    if (length <= 0) return;
    if (isLost(slot * PACKET_BYTES)) continue;
    lengths[slot] = length;
    dueMs[slot] = performance.now() + delayMs;
    count++;
  }
}

function isLost(packetAt: number): boolean {
  if (lossRate === 0) return false;
  const receiver = held.view.getUint32(packetAt + IPV4_DESTINATION);
  let random = losses.get(receiver);
  if (random === undefined) {
    random = new Random(Number(seed), `slow-link ${receiver}`);
    losses.set(receiver, random);
  }
  return random.fraction() < lossRate;
}

function giveBack(): void {
  const nowMs = performance.now();
  while (count > 0 && dueMs[first]! <= nowMs) {
    write(tun, held.address + first * PACKET_BYTES, lengths[first]!);
    first = (first + 1) % PACKETS;
    count--;
  }
}
