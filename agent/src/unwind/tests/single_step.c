// What the single-step test steps through: prologues and epilogues of several kinds, the C library's
// string functions, calls that are bound when they are made, a signal, and the kernel's clock.
#define _GNU_SOURCE
#include <alloca.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define APART __attribute__((noinline, noclone))

static volatile long sum;

APART static void leaf(const void *at) { sum += *(const volatile char *)at; }

// Five registers pushed, and a frame by the stack pointer.
APART static long many(long a, long b, long c, long d, long e) {
    for (int i = 0; i < 2; i++) {
        leaf(&(char){a});
        a += b ^ sum, b += c, c ^= d, d += e, e += a;
    }
    return a + b + c + d + e;
}

// A frame by another register, because its size is not known and its alignment is.
APART static void aligned(long size) {
    _Alignas(64) char fixed[128];
    char *sized = alloca(size);
    memset(fixed, 1, sizeof fixed);
    memset(sized, 2, size);
    leaf(fixed + sum % 7);
    leaf(sized);
}

__attribute__((noinline, noclone, optimize("no-omit-frame-pointer"))) static long by_pointer(long n) {
    char local[48];
    memset(local, n, sizeof local);
    leaf(local + 3);
    return sum + n;
}

APART static long recursive(long n) { return n == 0 ? sum : recursive(n - 1) * 3 + sum; }

APART static void copies(void) {
    static char from[4096], to[4096];
    static const int sizes[] = {0, 1, 3, 7, 12, 17, 40, 100, 200, 500, 1500, 3000};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(from, i + 1, sizes[i]);
        memcpy(to, from, sizes[i]);
        memmove(to + 1, to, sizes[i]);
        sum += memcmp(from, to, sizes[i]) + strlen(from);
    }
}

static int compare(const void *one, const void *other) { return *(int *)one - *(int *)other; }

APART static void sorted(void) {
    int numbers[] = {5, 3, 9, 1, 7};
    qsort(numbers, 5, sizeof *numbers, compare);
    sum += numbers[0];
}

APART static void printed(void) {
    char text[200];
    sum += snprintf(text, sizeof text, "%d %s %.3f %p", 42, "text", 2.5, (void *)text);
    sum += strtod("1.25e3", NULL);
    char *copy = strdup(text);
    sum += copy[0];
    free(copy);
}

APART static void timed(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    sum += time.tv_nsec & 1;
}

static void on_signal(int number) {
    char byte = number;
    leaf(&byte);
    timed();
}

APART static void signalled(void) {
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
}

int workload(void) {
    many(1, 2, 3, 4, 5);
    aligned(100 + (sum & 1));
    by_pointer(4);
    recursive(5);
    copies();
    sorted();
    printed();
    timed();
    signalled();
    return 1;
}
