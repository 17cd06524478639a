"""Programs whose wall clock shows another time: cells are hours, tests are not. The shift stays the same while a
program runs (a step would be an outage), and its monotonic clock is the machine's."""

import subprocess
import time

SOURCE = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t shift(void) {
    const char *text = getenv("TEST_CLOCK_SHIFT");
    return text ? (time_t)atoll(text) : 0;
}
int clock_gettime(clockid_t clock, struct timespec *out) {
    static time_t by;
    static int known;
    if (!known) by = shift(), known = 1;
    const int result = (int)syscall(SYS_clock_gettime, clock, out);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) out->tv_sec += by;
    return result;
}
int gettimeofday(struct timeval *restrict out, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""


class ShiftedClock:
    """`at(seconds)`: the environment of a program that starts now and believes that it is then (Unix time)."""

    def __init__(self, folder):
        self.library = folder / "shifted_clock.so"
        source = folder / "shifted_clock.c"
        source.write_text(SOURCE)
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", self.library, source], check=True, capture_output=True)

    def at(self, seconds):
        return {"LD_PRELOAD": self.library, "TEST_CLOCK_SHIFT": round(seconds - time.time())}
