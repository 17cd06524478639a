#include "attestation/remote/release_answer.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace ee::attestation {
namespace {

std::string answer(const std::string& assets, const std::string& tag = "v1") {
    return R"({"id":7,"tag_name":")" + tag + R"(","draft":false,"assets":[)" + assets +
           R"(],"body":"notes"})";
}
std::string asset(const std::string& members, const std::string& name = "list.json") {
    return R"({"id":1,"name":")" + name + "\"" + (members.empty() ? "" : "," + members) + "}";
}
const std::string url = R"("url":"https://api.github.com/repos/o/r/releases/assets/1")";

TEST(ReleaseAnswer, NamesTheAsset) {
    const std::string digest(64, 'a');
    const auto found = parse_release_answer(
        answer(asset(url, "other.json") + "," +
               asset(url + R"(,"size":1234,"state":"uploaded","digest":"sha256:)" + digest + "\"")),
        "v1", "list.json");
    ASSERT_TRUE(found) << found.error().detail;
    EXPECT_EQ(found->url, "https://api.github.com/repos/o/r/releases/assets/1");
    EXPECT_EQ(found->size, 1234u);
    EXPECT_EQ(to_hex(*found->sha256), digest);
}

TEST(ReleaseAnswer, DoesWithoutWhatOlderServersDoNotSay) {
    for (const std::string& more : {std::string(), std::string(R"(,"digest":null)"),
                                    std::string(R"(,"digest":"sha512:00")"), std::string(R"(,"size":-1)")}) {
        const auto found = parse_release_answer(answer(asset(url + more)), "v1", "list.json");
        ASSERT_TRUE(found) << more;
        EXPECT_FALSE(found->size || found->sha256);
    }
}

TEST(ReleaseAnswer, IsRefusedForWhatItIsNot) {
    const std::pair<std::string, const char*> rows[] = {
        {"", "bad_answer"},
        {"{", "bad_answer"},
        {"[]", "bad_answer"},
        {"null", "bad_answer"},
        {std::string(release_answer_size_max + 1, ' '), "bad_answer"},
        {std::string(100, '[') + std::string(100, ']'), "bad_answer"},
        {"{}", "bad_answer"},
        {R"({"tag_name":7,"assets":[]})", "bad_answer"},
        {R"({"tag_name":"v1"})", "bad_answer"},
        {R"({"tag_name":"v1","assets":{}})", "bad_answer"},
        {answer("1"), "bad_answer"},
        {answer("{}"), "bad_answer"},
        {answer(asset(url), "v2"), "bad_answer"},
        {answer(asset("")), "bad_answer"},
        {answer(asset(R"("url":null)")), "bad_answer"},
        {answer(asset(url) + "," + asset(url)), "bad_answer"},
        {answer(""), "asset_missing"},
        {answer(asset(url, "list.JSON")), "asset_missing"},
        {answer(asset(url + R"(,"state":"starter")")), "asset_missing"},
    };
    for (const auto& [json, code] : rows) {
        const auto found = parse_release_answer(json, "v1", "list.json");
        ASSERT_FALSE(found) << json.substr(0, 100);
        EXPECT_EQ(found.error().code, code) << json.substr(0, 100);
    }
}

}  // namespace
}  // namespace ee::attestation
