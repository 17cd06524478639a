#include "base/names.h"

#include <string>

#include <gtest/gtest.h>

namespace ee {
namespace {

TEST(Names, ARepoIsAnOwnerAndAName) {
    for (const char* good : {"org/repo", "A-1/x.y_z-", "o/.github", "o/..."})
        EXPECT_TRUE(is_repo(good)) << good;
    const std::string owner39(39, 'a'), name100(100, 'b');
    EXPECT_TRUE(is_repo(owner39 + "/" + name100));
    EXPECT_FALSE(is_repo(owner39 + "a/r"));
    EXPECT_FALSE(is_repo("o/" + name100 + "b"));
    for (const char* bad : {"", "repo", "/repo", "org/", "org/.", "org/..", "a/b/c", "o_g/r", "o.g/r",
                            "org/re po", "org/<script>", "../../x", "org/r\n", "\xc3\xa9/r"})
        EXPECT_FALSE(is_repo(bad)) << bad;
}

TEST(Names, AReleaseTagCannotLeaveItsFolder) {
    for (const char* good : {"v0.1.3", "release/2026-01", "a b", "\xc3\xa9", ".x"})
        EXPECT_TRUE(is_release_tag(good)) << good;
    EXPECT_TRUE(is_release_tag(std::string(128, 'v')));
    EXPECT_FALSE(is_release_tag(std::string(129, 'v')));
    for (const char* bad : {"", "/v1", "v\\1", "..", "a/../b", "v1\n", "v\x7f", "\xc2\x85", "\xff"})
        EXPECT_FALSE(is_release_tag(bad)) << bad;
    EXPECT_FALSE(is_release_tag(std::string_view("v\0", 2)));
}

TEST(Names, AnAppNameIsADnsLabel) {
    for (const char* good : {"a", "myapp", "my-app-2", "0"}) EXPECT_TRUE(is_app_name(good)) << good;
    EXPECT_TRUE(is_app_name(std::string(63, 'a')));
    EXPECT_FALSE(is_app_name(std::string(64, 'a')));
    for (const char* bad : {"", "-a", "a-", "My", "a.b", "a_b", "a/b", "../x", "<script>", "a "})
        EXPECT_FALSE(is_app_name(bad)) << bad;
}

TEST(Names, AgentIdsAndNetworksAreBoundedAndPlain) {
    EXPECT_TRUE(is_agent_id("9f1c:a_b.c-D"));
    EXPECT_TRUE(is_agent_id(std::string(128, 'x')));
    for (const std::string& bad :
         {std::string(), std::string(129, 'x'), std::string("a b"), std::string("a/b")})
        EXPECT_FALSE(is_agent_id(bad)) << bad;
    EXPECT_TRUE(is_network_name("forge-1"));
    EXPECT_FALSE(is_network_name("forge 1"));
    EXPECT_FALSE(is_network_name(std::string(65, 'x')));
}

}  // namespace
}  // namespace ee
