#pragma once
// Runs eectl in this process, for tests.

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "cli/eectl.h"

namespace ee::cli {

inline const WallTime test_now = *from_rfc3339("2026-01-15T10:30:00Z");

struct EectlRun {
    int code = -1;
    std::string out;
    std::string err;
};

inline EectlRun eectl(std::vector<std::string> arguments, std::map<std::string, std::string> environment = {},
                      WallTime now = test_now) {
    std::ostringstream out;
    std::ostringstream err;
    Context context{.out = out,
                    .err = err,
                    .environment = [environment = std::move(environment)](
                                       const char* name) -> std::optional<std::string> {
                        const auto found = environment.find(name);
                        if (found == environment.end()) return std::nullopt;
                        return found->second;
                    },
                    .now = now};
    const int code = run_eectl(arguments, context);
    return {code, out.str(), err.str()};
}

class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "ee-eectl-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    std::string file(const std::string& name) const { return (path_ / name).string(); }

private:
    std::filesystem::path path_;
};

// Of this process.
inline void wait_until_asleep(pid_t thread) {
    for (char state = ' '; state != 'S'; std::this_thread::yield()) {
        std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
        std::string stat;
        std::getline(file, stat);
        state = stat.at(stat.rfind(')') + 2);
    }
}

// While it lives, SIGUSR1 does no more than interrupt.
class HarmlessSignal {
public:
    HarmlessSignal() {
        was_handled = false;
        struct sigaction noted{};
        noted.sa_handler = [](int) { was_handled = true; };
        EXPECT_EQ(::sigaction(SIGUSR1, &noted, &before_), 0);
    }
    ~HarmlessSignal() { EXPECT_EQ(::sigaction(SIGUSR1, &before_, nullptr), 0); }
    HarmlessSignal(const HarmlessSignal&) = delete;
    HarmlessSignal& operator=(const HarmlessSignal&) = delete;

    // Returns once it has been handled there.
    static void interrupt(pthread_t thread) {
        ::pthread_kill(thread, SIGUSR1);
        while (!was_handled) std::this_thread::yield();
    }

private:
    static inline std::atomic<bool> was_handled = false;
    struct sigaction before_{};
};

}  // namespace ee::cli
