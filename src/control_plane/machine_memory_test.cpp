#include "control_plane/machine_memory.h"

#include <fstream>

#include <gtest/gtest.h>

namespace ee::control_plane {
namespace {

struct Machine {
    Machine() {
        std::string pattern = (std::filesystem::temp_directory_path() / "machine-XXXXXX").string();
        root = ::mkdtemp(pattern.data());
    }
    ~Machine() { std::filesystem::remove_all(root); }
    void write(const char* path, const char* text) const {
        std::filesystem::create_directories((root / path).parent_path());
        std::ofstream(root / path) << text;
    }
    std::filesystem::path root;
};

TEST(MachineMemory, IsTheLeastThatTheMachineAndItsGroupsAllow) {
    struct Row {
        const char* group;
        const char* top;
        const char* middle;
        const char* own;
        std::size_t expected;  // 0: the machine's.
    };
    const Row rows[] = {
        {"0::/a/b\n", "max", "max", "max", 0},
        {"0::/a/b\n", "max", "max", "1048576\n", 1048576},
        {"0::/a/b\n", "max", "2097152\n", "max", 2097152},
        {"0::/a/b\n", "max", "2097152\n", "4194304\n", 2097152},
        {"0::/\n", "3145728\n", "1", "1", 3145728},
        {"12:memory:/a\n0::/a\n", "max", "2097152", "1", 2097152},
        {"12:memory:/a/b\n", "max", "1", "1", 0},
        {"0::/a/b\n", "nonsense", "", "0", 0},
        {"0::/elsewhere\n", "max", "1", "1", 0},
    };
    const std::size_t whole = machine_memory("/nowhere");
    EXPECT_GT(whole, 64u << 20);
    for (const Row& row : rows) {
        const Machine machine;
        machine.write("proc/self/cgroup", row.group);
        machine.write("sys/fs/cgroup/memory.max", row.top);
        machine.write("sys/fs/cgroup/a/memory.max", row.middle);
        machine.write("sys/fs/cgroup/a/b/memory.max", row.own);
        EXPECT_EQ(machine_memory(machine.root), row.expected == 0 ? whole : row.expected) << row.group;
    }
}

}  // namespace
}  // namespace ee::control_plane
