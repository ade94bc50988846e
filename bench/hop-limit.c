// The limit of a hop on this machine: two processes, blocking TCP sockets on loopback, a frame back and forth, work in between.
// arguments: bytes, rounds, spin_us, work_us, touch_bytes. Prints half a round trip without the work, in µs: median and
// 10th percentile. Each process keeps to its own processor.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int spin_us, work_us, touch;
static unsigned char *memory;
static double *took;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void receive(int fd, char *buffer, int length) {
  double start = spin_us ? now() : 0;
  for (int at = 0; at < length;) {
    int flags = spin_us && now() - start < spin_us ? MSG_DONTWAIT : 0;
    int n = recv(fd, buffer + at, length - at, flags);
    if (n < 0 && errno == EAGAIN) continue;
    if (n <= 0) exit(0);
    at += n;
  }
}

static void transmit(int fd, const char *buffer, int length) {
  for (int at = 0; at < length;) {
    int n = send(fd, buffer + at, length - at, MSG_NOSIGNAL);
    if (n <= 0) exit(0);
    at += n;
  }
}

// Works for work_us, reading through `touch` bytes as a decode reads its weights.
static void work(void) {
  volatile unsigned char sink = 0;
  int at = 0;
  for (double start = now(); now() - start < work_us;) {
    for (int i = 0; touch && i < 64; i++, at = (at + 64) % touch) sink += memory[at];
  }
}

static void keep_to(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  sched_setaffinity(0, sizeof set, &set);
}

static int compare(const void *a, const void *b) {
  double x = *(double *)a, y = *(double *)b;
  return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
  if (argc != 6) return 64;
  int bytes = atoi(argv[1]), rounds = atoi(argv[2]), one = 1;
  spin_us = atoi(argv[3]), work_us = atoi(argv[4]), touch = atoi(argv[5]);
  memory = malloc(touch + 1);
  took = malloc(rounds * sizeof *took);
  char *buffer = calloc(bytes, 1);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (void *)&address, length);
  listen(listener, 1);
  getsockname(listener, (void *)&address, &length);
  pid_t child = fork();
  keep_to(child == 0);
  if (child == 0) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    connect(fd, (void *)&address, length);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    for (;;) receive(fd, buffer, bytes), work(), transmit(fd, buffer, bytes);
  }
  int fd = accept(listener, 0, 0);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  for (int i = -20; i < rounds; i++) {
    work();
    double start = now();
    transmit(fd, buffer, bytes);
    receive(fd, buffer, bytes);
    if (i >= 0) took[i] = (now() - start - work_us) / 2;
  }
  qsort(took, rounds, sizeof *took, compare);
  printf("%.2f %.2f\n", took[rounds / 2], took[rounds / 10]);
  kill(child, SIGKILL);
  wait(0);
}
