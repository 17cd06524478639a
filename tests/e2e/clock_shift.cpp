// Preloaded into a program: its wall clock is ahead by CLOCK_SHIFT_SECONDS. A cell of the ledger can end
// within a test. The clock can be set while the program runs, too: CLOCK_SHIFT_FILE has eight bytes, the
// seconds that it is ahead beyond that.

#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <dlfcn.h>
#include <fcntl.h>

#include <sys/mman.h>

namespace {

const volatile std::int64_t* shared_seconds() {
    static const std::int64_t none = 0;
    const char* const name = std::getenv("CLOCK_SHIFT_FILE");
    if (name == nullptr) return &none;
    const int file = ::open(name, O_RDONLY | O_CLOEXEC);
    if (file < 0) std::abort();
    void* const mapped = ::mmap(nullptr, sizeof none, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED) std::abort();
    return static_cast<const volatile std::int64_t*>(mapped);
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
    using Real = int (*)(clockid_t, timespec*);
    static const Real real = reinterpret_cast<Real>(dlsym(RTLD_NEXT, "clock_gettime"));
    static const char* const shift = std::getenv("CLOCK_SHIFT_SECONDS");
    static const volatile std::int64_t* const further = shared_seconds();
    const int result = real(clock, time);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        time->tv_sec += (shift != nullptr ? std::atol(shift) : 0) + *further;
    return result;
}
