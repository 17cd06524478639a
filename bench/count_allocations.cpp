// Counts malloc, calloc and realloc (operator new among them) of the process it is preloaded into, in 8 bytes
// at BENCH_FOLDER/PID.allocations, which others can read at any time. bench/profile.sh builds and uses it.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>

#include <sys/mman.h>

// What glibc calls its own.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
}

namespace {

std::atomic<std::uint64_t> before_start{0};
std::atomic<std::uint64_t>* counter = &before_start;

__attribute__((constructor)) void start() {
    const char* folder = std::getenv("BENCH_FOLDER");
    if (folder == nullptr) return;
    char path[4096];
    std::snprintf(path, sizeof path, "%s/%d.allocations", folder, static_cast<int>(::getpid()));
    const int file = ::open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || ::ftruncate(file, sizeof(std::uint64_t)) != 0) return;
    void* memory = ::mmap(nullptr, sizeof(std::uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    if (memory != MAP_FAILED) counter = static_cast<std::atomic<std::uint64_t>*>(memory);
}

void count() {
    counter->fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) {
    count();
    return __libc_malloc(size);
}

void* calloc(std::size_t number, std::size_t size) {
    count();
    return __libc_calloc(number, size);
}

void* realloc(void* memory, std::size_t size) {
    count();
    return __libc_realloc(memory, size);
}

}  // extern "C"
