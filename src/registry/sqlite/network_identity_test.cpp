#include "registry/sqlite/network_identity.h"

#include <algorithm>
#include <filesystem>
#include <unistd.h>

#include <gtest/gtest.h>

namespace ee::registry {
namespace {

struct NetworkIdentity : testing::Test {
    NetworkIdentity() {
        std::string name = (std::filesystem::temp_directory_path() / "ee-identity-XXXXXX").string();
        folder = ::mkdtemp(name.data());
    }
    ~NetworkIdentity() override { std::filesystem::remove_all(folder); }
    std::filesystem::path folder;
};

TEST_F(NetworkIdentity, IsMadeWithTheDatabaseAndStaysTheSame) {
    const std::string made = load_log_id(folder / "a.db").value();
    EXPECT_EQ(made.size(), 32u);
    EXPECT_EQ(made.find_first_not_of("0123456789abcdef"), std::string::npos) << made;
    EXPECT_EQ(load_log_id(folder / "a.db").value(), made);
    EXPECT_NE(load_log_id(folder / "b.db").value(), made);
}

TEST_F(NetworkIdentity, IsNotReadFromWhatIsNoDatabase) {
    EXPECT_EQ(load_log_id(folder).error().code, "store_unavailable");
}

}  // namespace
}  // namespace ee::registry
