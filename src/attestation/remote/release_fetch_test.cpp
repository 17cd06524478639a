#include "attestation/remote/release_fetch.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;
using http::ClientAnswer;
using http::ClientField;

const WallTime now = std::chrono::sys_days(2026y / 6 / 1);
constexpr const char* secret = "ghp_secret";
constexpr const char* asset_url = "https://api.github.com/repos/org/repo/releases/assets/1";
constexpr const char* outcome_names[] = {"published", "unchanged", "refused", "missing", "failed"};

ClientAnswer release_answer(const std::string& url = asset_url, const std::string& more = "",
                            std::vector<ClientField> fields = {}) {
    return {200, std::move(fields),
            R"({"tag_name":"v1","assets":[{"name":"list.json","url":")" + url + "\"" + more + "}]}"};
}
ClientAnswer redirect(const std::string& location, int status = 302) {
    return {status, {{"Location", location}}, ""};
}

struct Fetching : testing::Test {
    GitHubAddress github{net::parse_url("https://api.github.com").value(), Secret(secret), "list.json"};
    ReleaseId release{"org/repo", "v1"};
    std::optional<KnownAsset> known;
    std::vector<http::ClientRequest> asked;
    std::string detail;

    static std::string field(const http::ClientRequest& request, std::string_view name) {
        for (const ClientField& f : request.fields)
            if (f.name == name) return f.value;
        return "";
    }
    static std::string address(const http::ClientRequest& request) {
        return request.url.scheme + "://" + request.url.authority() + request.url.path;
    }

    // Answers in turn; the outcome, which must come with the last one and not before.
    FetchOutcome run(const std::vector<Result<ClientAnswer>>& answers) {
        ReleaseFetch fetch(github, release, known, now);
        asked.clear();
        detail.clear();
        for (std::size_t i = 0; i < answers.size(); ++i) {
            asked.push_back(fetch.request(now));
            auto outcome = fetch.answered(answers[i], now);
            if (!outcome) continue;
            EXPECT_EQ(i + 1, answers.size()) << "ended early";
            if (const auto* failure = std::get_if<AskingFailed>(&outcome->what)) detail = failure->detail;
            if (const auto* missing = std::get_if<AssetMissing>(&outcome->what)) detail = missing->detail;
            EXPECT_EQ(detail.find(secret), std::string::npos);
            return std::move(*outcome);
        }
        ADD_FAILURE() << "asks on";
        return {AskingFailed{}};
    }
    std::string outcome(const std::vector<Result<ClientAnswer>>& answers) {
        return outcome_names[run(answers).what.index()];
    }
};

TEST_F(Fetching, AsksForTheReleaseThenForItsAsset) {
    const auto outcome = run({release_answer(asset_url, R"(,"size":5)", {{"ETag", "\"r1\""}}),
                              ClientAnswer{200, {{"etag", "\"a1\""}}, "bytes"}});
    ASSERT_EQ(asked.size(), 2u);
    EXPECT_EQ(address(asked[0]), "https://api.github.com/repos/org/repo/releases/tags/v1");
    EXPECT_EQ(field(asked[0], "Accept"), "application/vnd.github+json");
    EXPECT_EQ(field(asked[0], "X-GitHub-Api-Version"), "2022-11-28");
    EXPECT_EQ(field(asked[0], "Authorization"), "Bearer ghp_secret");
    EXPECT_EQ(field(asked[0], "If-None-Match"), "");
    EXPECT_EQ(address(asked[1]), asset_url);
    EXPECT_EQ(field(asked[1], "Accept"), "application/octet-stream");
    EXPECT_EQ(field(asked[1], "Authorization"), "Bearer ghp_secret");
    EXPECT_EQ(asked[1].body_bytes_max, allowlist_size_max);
    EXPECT_EQ(std::get<AssetPublished>(outcome.what).bytes, "bytes");
    EXPECT_EQ(outcome.known, (KnownAsset{"\"r1\"", "\"a1\"", asset_url, crypto::sha256(as_bytes("bytes"))}));
    github.token = Secret();
    run({release_answer(), ClientAnswer{200, {}, "bytes"}});
    EXPECT_EQ(field(asked[0], "Authorization"), "");
}

TEST_F(Fetching, EncodesEveryNameAsOneSegment) {
    github.api = net::parse_url("https://ghe.example.com/api/v3").value();
    release = {"org/re.po", "release/1 ä?#"};
    run({ClientAnswer{404, {}, ""}});
    EXPECT_EQ(address(asked[0]),
              "https://ghe.example.com/api/v3/repos/org/re.po/releases/tags/release%2F1%20%C3%A4%3F%23");
    release = {"org/..", ".."};
    run({ClientAnswer{404, {}, ""}});
    EXPECT_EQ(address(asked[0]), "https://ghe.example.com/api/v3/repos/org/%2E%2E/releases/tags/%2E%2E");
}

TEST_F(Fetching, NeverTellsTheTokenToAnotherHost) {
    for (const char* elsewhere :
         {"https://storage.example.com/a?sig=1", "https://api.github.com:444/a",
          "https://api.github.com.example.com/a", "//storage.example.com/a", "https://github.com/a"}) {
        EXPECT_EQ(outcome({release_answer(), redirect(elsewhere), ClientAnswer{200, {}, "x"}}), "published");
        EXPECT_EQ(field(asked[2], "Authorization"), "") << elsewhere;
        EXPECT_EQ(field(asked[2], "X-GitHub-Api-Version"), "");
        EXPECT_EQ(field(asked[2], "Accept"), "application/octet-stream");
    }
    // Back on its own host, and with a path alone, it is the API again.
    EXPECT_EQ(outcome({release_answer(), redirect("https://x.example.com/"),
                       redirect("https://API.github.com/b"), ClientAnswer{200, {}, "x"}}),
              "published");
    EXPECT_EQ(field(asked[2], "Authorization"), "");
    EXPECT_EQ(field(asked[3], "Authorization"), "Bearer ghp_secret");
    EXPECT_EQ(outcome({redirect("/repositories/7/releases/tags/v1", 301), release_answer(),
                       ClientAnswer{200, {}, "x"}}),
              "published");
    EXPECT_EQ(address(asked[1]), "https://api.github.com/repositories/7/releases/tags/v1");
    EXPECT_EQ(field(asked[1], "Authorization"), "Bearer ghp_secret");
}

TEST_F(Fetching, AsksNobodyElseForTheAsset) {
    for (const char* elsewhere : {"https://evil.example.com/repos/org/repo/releases/assets/1",
                                  "http://api.github.com/a", "https://api.github.com:8443/a",
                                  "ftp://api.github.com/a", "/a", "", "https://u@api.github.com/a"}) {
        EXPECT_EQ(outcome({release_answer(elsewhere)}), "failed") << elsewhere;
        EXPECT_NE(detail.find("elsewhere"), std::string::npos) << detail;
    }
}

TEST_F(Fetching, FollowsThreeRedirectsAndOnlySecureOnes) {
    const auto to = [](int i) { return redirect("https://s.example.com/" + std::to_string(i)); };
    EXPECT_EQ(outcome({release_answer(), to(1), to(2), to(3), ClientAnswer{200, {}, "x"}}), "published");
    EXPECT_EQ(outcome({release_answer(), to(1), to(2), to(3), to(4)}), "failed");
    EXPECT_EQ(outcome({to(1), to(2), to(3), to(4)}), "failed");
    EXPECT_NE(detail.find("after 3 times"), std::string::npos);
    for (const char* wrong : {"http://s.example.com/", "http://api.github.com/a", "file:///etc/passwd", "",
                              "a b", "unix:/run/docker.sock", "relative"})
        EXPECT_EQ(outcome({release_answer(), redirect(wrong)}), "failed") << wrong;
    github.api = net::parse_url("http://127.0.0.1:8000").value();
    const std::string asset = "http://127.0.0.1:8000/a";
    EXPECT_EQ(outcome({release_answer(asset), redirect("http://127.0.0.1:9/b"), ClientAnswer{200, {}, "x"}}),
              "published");
    EXPECT_EQ(outcome({release_answer(asset), redirect("ws://127.0.0.1:9/b")}), "failed");
}

TEST_F(Fetching, NamesNoQueryOfARedirect) {
    EXPECT_EQ(outcome({release_answer(), redirect("https://s.example.com/a?sig=hidden"),
                       ClientAnswer{500, {}, ""}}),
              "failed");
    EXPECT_NE(detail.find("https://s.example.com/a answers 500"), std::string::npos) << detail;
    EXPECT_EQ(detail.find("hidden"), std::string::npos);
}

TEST_F(Fetching, AsksForChangesOnly) {
    known = {"\"r1\"", "\"a1\"", asset_url, crypto::sha256(as_bytes("bytes"))};
    const auto unchanged = run({ClientAnswer{304, {}, ""}});
    EXPECT_TRUE(std::holds_alternative<AssetUnchanged>(unchanged.what));
    EXPECT_EQ(unchanged.known, *known);
    EXPECT_EQ(field(asked[0], "If-None-Match"), "\"r1\"");

    // The release has changed, its asset has not.
    const auto same_asset =
        run({release_answer(asset_url, "", {{"ETag", "\"r2\""}}), ClientAnswer{304, {}, ""}});
    EXPECT_TRUE(std::holds_alternative<AssetUnchanged>(same_asset.what));
    EXPECT_EQ(same_asset.known, (KnownAsset{"\"r2\"", "\"a1\"", asset_url, known->sha256}));
    EXPECT_EQ(field(asked[1], "If-None-Match"), "\"a1\"");

    const std::string digest = R"(,"digest":"sha256:)" + to_hex(known->sha256) + "\"";
    EXPECT_EQ(outcome({release_answer(asset_url, digest)}), "unchanged");

    // An asset at another address is another one: no tag of the old one speaks for it.
    const std::string other = "https://api.github.com/repos/org/repo/releases/assets/2";
    EXPECT_EQ(outcome({release_answer(other), ClientAnswer{200, {}, "new"}}), "published");
    EXPECT_EQ(field(asked[1], "If-None-Match"), "");
    EXPECT_EQ(outcome({release_answer(other), ClientAnswer{304, {}, ""}}), "failed");
}

TEST_F(Fetching, BelievesNotModifiedOnlyWhenItAskedSo) {
    EXPECT_EQ(outcome({ClientAnswer{304, {}, ""}}), "failed");
    known = {"", "", asset_url, {}};
    EXPECT_EQ(outcome({ClientAnswer{304, {}, ""}}), "failed");
    EXPECT_EQ(outcome({release_answer(), ClientAnswer{304, {}, ""}}), "failed");
}

TEST_F(Fetching, TellsWhatIsMissingFromWhatFailed) {
    struct Row {
        std::vector<Result<ClientAnswer>> answers;
        const char* outcome;
        const char* detail;
    };
    const Row rows[] = {
        {{ClientAnswer{404, {}, ""}}, "missing", "EE_GITHUB_TOKEN may not read it"},
        {{ClientAnswer{410, {}, ""}}, "missing", ""},
        {{release_answer(), ClientAnswer{404, {}, ""}}, "missing", ""},
        {{ClientAnswer{200, {}, R"({"tag_name":"v1","assets":[]})"}}, "missing", "no asset \"list.json\""},
        {{ClientAnswer{401, {}, ""}}, "failed", "does not know EE_GITHUB_TOKEN"},
        {{ClientAnswer{403, {}, ""}}, "failed", "403"},
        {{ClientAnswer{500, {}, ""}}, "failed", "500"},
        {{ClientAnswer{204, {}, ""}}, "failed", "204"},
        {{ClientAnswer{200, {}, "{"}}, "failed", "not a JSON object"},
        {{release_answer(), ClientAnswer{200, {}, ""}}, "published", ""},
        {{fail("timed_out", "https://api.github.com/repos")}, "failed", "timed_out"},
        {{release_answer(), fail("bad_response", "over its limit")}, "failed", "bad_response"},
        {{release_answer(asset_url, R"(,"size":6)"), ClientAnswer{200, {}, "bytes"}},
         "failed",
         "gave 5 bytes, the release says 6"},
        {{release_answer(asset_url, R"(,"digest":"sha256:)" + std::string(64, '0') + "\""),
          ClientAnswer{200, {}, "bytes"}},
         "failed",
         "the release says 0000"},
    };
    for (const Row& row : rows) {
        EXPECT_EQ(outcome(row.answers), row.outcome) << row.detail;
        EXPECT_NE(detail.find(row.detail), std::string::npos) << detail;
    }
    github.token = Secret();
    EXPECT_EQ(outcome({ClientAnswer{404, {}, ""}}), "missing");
    EXPECT_NE(detail.find("EE_GITHUB_TOKEN is not set"), std::string::npos);
}

TEST_F(Fetching, TakesNoAssetThatIsTooLarge) {
    const auto outcome = run({release_answer(asset_url, R"(,"size":1048577)")});
    EXPECT_EQ(std::get<AssetRefused>(outcome.what).why.code, "allowlist_invalid:/");
    EXPECT_EQ(this->outcome({release_answer(asset_url, R"(,"size":1048576)"), fail("bad_response", "")}),
              "failed");
}

TEST_F(Fetching, HonoursRateLimits) {
    const auto unix_s = [](WallTime time) { return std::to_string(time.time_since_epoch() / 1s); };
    struct Row {
        int status;
        std::vector<ClientField> fields;
        std::optional<std::chrono::seconds> wait;
    };
    const Row rows[] = {
        {403, {{"retry-after", "120"}}, 120s},
        {429, {{"Retry-After", "5"}}, 5s},
        {429, {{"Retry-After", "999999999"}}, 3600s},
        {429, {{"Retry-After", "soon"}}, 60s},
        {429, {}, 60s},
        {403, {}, std::nullopt},
        {403, {{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", unix_s(now + 600s)}}, 600s},
        {403, {{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", unix_s(now + 7200s)}}, 3600s},
        {403, {{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", unix_s(now - 600s)}}, 1s},
        {403, {{"x-ratelimit-remaining", "0"}}, 60s},
        {403, {{"x-ratelimit-remaining", "17"}, {"x-ratelimit-reset", unix_s(now + 600s)}}, std::nullopt},
        {500, {{"Retry-After", "120"}}, std::nullopt},
        {404, {{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", unix_s(now + 600s)}}, 600s},
    };
    for (const Row& row : rows) {
        const FetchOutcome outcome = run({ClientAnswer{row.status, row.fields, ""}});
        const auto expected = row.wait ? std::optional<WallTime>(now + *row.wait) : std::nullopt;
        EXPECT_EQ(outcome.wait_until, expected) << row.status << " " << detail;
    }
    // The last one that was allowed: what comes next waits.
    const auto last = run({release_answer(
        asset_url, "", {{"x-ratelimit-remaining", "0"}, {"x-ratelimit-reset", unix_s(now + 600s)}})});
    EXPECT_TRUE(std::holds_alternative<AskingFailed>(last.what));
    EXPECT_EQ(last.wait_until, now + 600s);
    // What is left is told where the three fields say so.
    const auto left = run({release_answer(asset_url, "",
                                          {{"x-ratelimit-limit", "60"},
                                           {"x-ratelimit-remaining", "0"},
                                           {"x-ratelimit-reset", unix_s(now + 600s)}})});
    ASSERT_TRUE(left.budget);
    EXPECT_EQ(left.budget->limit, 60);
    EXPECT_EQ(left.budget->remaining, 0);
    EXPECT_EQ(left.budget->resets_at, now + 600s);
    EXPECT_FALSE(last.budget);
    // Another host's limits are its own.
    EXPECT_FALSE(
        run({release_answer(), redirect("https://s.example.com/"), ClientAnswer{429, {}, ""}}).wait_until);
}

TEST_F(Fetching, EndsInTime) {
    ReleaseFetch fetch(github, release, known, now);
    EXPECT_EQ(fetch.request(now).timeout, 10s);
    EXPECT_EQ(fetch.request(now + 25s).timeout, 5s);
    const auto outcome = fetch.answered(release_answer(), now + 30s);
    ASSERT_TRUE(outcome);
    EXPECT_NE(std::get<AskingFailed>(outcome->what).detail.find("30 s"), std::string::npos);
}

}  // namespace
}  // namespace ee::attestation
