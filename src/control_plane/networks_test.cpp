#include "control_plane/networks.h"

#include <fstream>
#include <gmock/gmock.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace ee::control_plane {
namespace {

using attestation::NetworkPolicies;
using attestation::NetworkPolicy;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

NetworkPolicy named(std::string name) {
    NetworkPolicy policy = attestation::forge_1_policy();
    policy.name = std::move(name);
    return policy;
}

TEST(NetworkChanges, AreWhatWasAddedChangedAndRemoved) {
    NetworkPolicy b = named("b");
    b.evidence_grace += std::chrono::seconds(1);
    const NetworkChanges changes = changes_between(NetworkPolicies({named("a"), named("b"), named("c")}),
                                                   NetworkPolicies({named("d"), b, named("c")}));
    EXPECT_THAT(changes.added, ElementsAre("d"));
    EXPECT_THAT(changes.changed, ElementsAre("b"));
    EXPECT_THAT(changes.removed, ElementsAre("a"));
    EXPECT_TRUE(changes.concern("a") && changes.concern("b"));
    EXPECT_FALSE(changes.concern("c") || changes.concern("d"));
    const NetworkPolicies same({named("a")});
    const NetworkChanges none = changes_between(same, same);
    EXPECT_TRUE(none.added.empty() && none.changed.empty() && none.removed.empty());
}

class NetworksFile : public testing::Test {
protected:
    NetworksFile() {
        std::string name = (std::filesystem::temp_directory_path() / "ee-networks-XXXXXX").string();
        folder = ::mkdtemp(name.data());
        config.networks_file = folder / "networks.toml";
    }
    ~NetworksFile() override { std::filesystem::remove_all(folder); }
    void write(std::string_view text) { std::ofstream(*config.networks_file) << text; }

    std::filesystem::path folder;
    config::ControlPlaneConfig config;
};

TEST_F(NetworksFile, IsWhatTheControlPlaneServes) {
    write("[lab]\nbase = \"sandbox-1\"\ntcb_accepted = [\"Revoked\"]\n");
    EXPECT_THAT(names_of(read_networks(config, true).value()), ElementsAre("forge-1", "lab", "sandbox-1"));
    const config::Findings findings = inspect_networks(config);
    EXPECT_THAT(findings.problems, IsEmpty());
    EXPECT_THAT(findings.warnings, ElementsAre(HasSubstr("Revoked")));
    config.networks_file.reset();
    EXPECT_THAT(names_of(read_networks(config, true).value()), ElementsAre("forge-1", "sandbox-1"));
}

TEST_F(NetworksFile, IsRefusedWithEveryProblem) {
    write("[forge-1]\ndebug = true\nsimulated_root = true\n");
    EXPECT_EQ(inspect_networks(config).problems.size(), 2u);
    const auto refused = read_networks(config, true);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "networks_file_invalid");
    EXPECT_THAT(refused.error().detail, HasSubstr(":2: [forge-1] debug"));
    EXPECT_THAT(refused.error().detail,
                HasSubstr("\n" + config.networks_file->string() + ":3: [forge-1] simul"));
    std::filesystem::remove(*config.networks_file);
    EXPECT_EQ(inspect_networks(config).problems.size(), 1u);
    EXPECT_FALSE(read_networks(config, true));
}

}  // namespace
}  // namespace ee::control_plane
