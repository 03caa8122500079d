/* Preloaded into a test's processes (ci/jitter): whatever may take long on a slow or crowded machine takes long here, at
   random. A delay reorders nothing that the program ordered; a test that passes only while one process is quicker than
   another fails. JITTER multiplies how often it happens (1 unless told). Only where libc is asked: ci/jitter builds
   rustix so that it asks. Linux, where a futex is reached through syscall(2). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static unsigned times = 1;

static uint64_t next_random(void) { /* xorshift64 */
  static __thread uint64_t state;
  if (state == 0) {
    if (getrandom(&state, sizeof state, 0) != sizeof state) abort();
    state |= 1;
  }
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

/* In `per_mille` of 1,000 calls a pause of up to `longest_us`. */
static void delay(unsigned per_mille, unsigned longest_us) {
  if (next_random() % 1000 >= (uint64_t)per_mille * times) return;
  int saved = errno;
  uint64_t us = next_random() % longest_us;
  struct timespec pause = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
  nanosleep(&pause, NULL);
  errno = saved;
}

__attribute__((constructor)) static void process_begins(void) {
  const char *told = getenv("JITTER");
  if (told != NULL) times = (unsigned)atoi(told);
  delay(400, 400000);
}

struct thread {
  void *(*body)(void *);
  void *argument;
};

static void *thread_begins(void *boxed) {
  struct thread thread = *(struct thread *)boxed;
  free(boxed);
  delay(150, 30000);
  return thread.body(thread.argument);
}

/* NAME's own function, looked up at its first call. */
#define REAL(type, name, ...)                       \
  static type (*real)(__VA_ARGS__);                 \
  if (real == NULL) real = dlsym(RTLD_NEXT, #name); \
  if (real == NULL) abort()

int pthread_create(pthread_t *id, const pthread_attr_t *how, void *(*body)(void *), void *argument) {
  REAL(int, pthread_create, pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  struct thread *boxed = malloc(sizeof *boxed);
  if (boxed == NULL) return EAGAIN;
  boxed->body = body;
  boxed->argument = argument;
  int failed = real(id, how, thread_begins, boxed);
  if (failed != 0) free(boxed);
  return failed;
}

int connect(int fd, const struct sockaddr *to, socklen_t len) {
  REAL(int, connect, int, const struct sockaddr *, socklen_t);
  delay(200, 50000);
  int result = real(fd, to, len);
  delay(100, 50000);
  return result;
}

int accept4(int fd, struct sockaddr *from, socklen_t *len, int flags) {
  REAL(int, accept4, int, struct sockaddr *, socklen_t *, int);
  int result = real(fd, from, len, flags);
  delay(100, 30000);
  return result;
}

ssize_t send(int fd, const void *bytes, size_t count, int flags) {
  REAL(ssize_t, send, int, const void *, size_t, int);
  delay(3, 20000);
  return real(fd, bytes, count, flags);
}

ssize_t recv(int fd, void *bytes, size_t count, int flags) {
  REAL(ssize_t, recv, int, void *, size_t, int);
  ssize_t result = real(fd, bytes, count, flags);
  delay(3, 20000);
  return result;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  REAL(ssize_t, sendmsg, int, const struct msghdr *, int);
  delay(10, 20000);
  return real(fd, message, flags);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
  REAL(ssize_t, recvmsg, int, struct msghdr *, int);
  ssize_t result = real(fd, message, flags);
  delay(10, 20000);
  return result;
}

ssize_t write(int fd, const void *bytes, size_t count) {
  REAL(ssize_t, write, int, const void *, size_t);
  delay(3, 20000);
  return real(fd, bytes, count);
}

/* Both ways of waking and waiting. The system takes six words and looks at those that the call has. */
long syscall(long number, ...) {
  va_list words;
  va_start(words, number);
  long a[6];
  for (int i = 0; i < 6; i++) a[i] = va_arg(words, long);
  va_end(words);
  REAL(long, syscall, long, ...);
  if (number == SYS_futex) delay(3, 10000);
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int rename(const char *from, const char *to) {
  REAL(int, rename, const char *, const char *);
  delay(100, 30000);
  return real(from, to);
}

int fsync(int fd) {
  REAL(int, fsync, int);
  delay(50, 30000);
  return real(fd);
}

int fdatasync(int fd) {
  REAL(int, fdatasync, int);
  delay(50, 30000);
  return real(fd);
}
