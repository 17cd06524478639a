#include <fstream>
#include <gmock/gmock.h>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "config/describe.h"
#include "config/setting.h"
#include "config/sources.h"
#include "config/value.h"

namespace ee::config {
namespace {

using testing::IsEmpty;

TEST(SettingsTable, EveryDefaultIsAValueItsRuleAccepts) {
    for (const Setting& setting : settings()) {
        if (setting.fallback.empty()) continue;
        EXPECT_TRUE(accepts(setting.rule, setting.fallback)) << setting.name;
    }
}

TEST(SettingsTable, ANameHasOneRowAProgram) {
    for (const Program program : {Program::control_plane, Program::agent}) {
        std::set<std::string_view> names;
        for (const Setting& setting : settings()) {
            if (!concerns(setting.program, program)) continue;
            EXPECT_TRUE(names.insert(setting.name).second) << setting.name;
            EXPECT_FALSE(setting.help.empty()) << setting.name;
        }
    }
}

TEST(SettingsTable, TheGeneratedPageIsUpToDate) {
    std::ifstream stream(EE_SOURCE_DIR "/docs/configuration.md");
    std::stringstream page;
    page << stream.rdbuf();
    EXPECT_TRUE(page.str() == configuration_markdown()) << "docs/configuration.md is stale: run `make docs`";
}

TEST(Environment, IsReadFromTheProcessesOwnForm) {
    const char* entries[] = {"A=1", "B=x=y", "EMPTY=", "ODD", "=C", nullptr};
    EXPECT_EQ(read_environment(entries), (Environment{{"A", "1"}, {"B", "x=y"}, {"EMPTY", ""}}));
    EXPECT_THAT(read_environment(nullptr), IsEmpty());
}

TEST(EditDistance, CountsInsertionsDeletionsSubstitutionsAndSwaps) {
    struct Case {
        std::string_view a, b;
        std::size_t distance;
    };
    const Case cases[] = {{"", "", 0},         {"abc", "", 3},           {"", "ab", 2},
                          {"abc", "abc", 0},   {"abc", "abd", 1},        {"abc", "ab", 1},
                          {"PROT", "PORT", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3},
                          {"abcd", "badc", 2}};
    for (const Case& c : cases) {
        EXPECT_EQ(edit_distance(c.a, c.b), c.distance) << c.a << ' ' << c.b;
        EXPECT_EQ(edit_distance(c.b, c.a), c.distance) << c.b << ' ' << c.a;
    }
}

TEST(Flags, AreTheNamesInLowerCaseWithoutThePrefix) {
    EXPECT_EQ(flag_of("EE_CONTROL_PORT"), "--control-port");
    EXPECT_EQ(flag_of("CLOUDFLARE_ZONE_ID"), "--cloudflare-zone-id");
}

}  // namespace
}  // namespace ee::config
