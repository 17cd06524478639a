// Preloaded into a program: its wall clock is ahead by CLOCK_SHIFT_SECONDS. A cell of the ledger can end
// within a test.

#include <cstdlib>
#include <ctime>
#include <dlfcn.h>

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
    using Real = int (*)(clockid_t, timespec*);
    static const Real real = reinterpret_cast<Real>(dlsym(RTLD_NEXT, "clock_gettime"));
    static const char* const shift = std::getenv("CLOCK_SHIFT_SECONDS");
    const int result = real(clock, time);
    if (result == 0 && shift != nullptr && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += std::atol(shift);
    return result;
}
