#include "attestation/remote/github_releases.h"

#include <atomic>
#include <fcntl.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/hex.h"

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;

constexpr const char* secret = "ghp_never_shown";
const ReleaseId release{"org/repo", "v1"};

std::string asset(const std::string& name) {
    return R"({"version":"1.0","created_at":")" + name + "\"}";
}

// A GitHub in the process: what it is asked, and what it answers, on the loop's thread.
struct Releases : testing::Test {
    net::Loop loop;
    int log_pipe[2] = {-1, -1};
    std::string published = asset("a");
    int status = 200;
    std::vector<http::ClientRequest> asked;
    std::vector<StoredRelease> saved;
    std::function<void()> on_save = [] {};
    std::vector<ForgottenRelease> forgotten;
    Result<std::optional<std::string>> accepted_on_disk = std::optional<std::string>();
    std::vector<AllowlistChange> changes;
    std::optional<telemetry::Log> log;
    std::unique_ptr<GitHubReleases> releases;

    Releases() {
        EXPECT_EQ(::pipe2(log_pipe, O_NONBLOCK | O_CLOEXEC), 0);
        log.emplace(telemetry::LogLevel::debug, telemetry::LogFormat::json, log_pipe[1]);
        make({});
    }
    ~Releases() override {
        ::close(log_pipe[0]);
        ::close(log_pipe[1]);
    }

    void make(const std::vector<StoredRelease>& stored) {
        GitHubSettings settings{
            {net::parse_url("https://api.github.com").value(), Secret(secret), "list.json"}, {}};
        settings.limits.ttl = -1s;  // No copy is fresh: each find() looks up anew.
        ReleaseArchive archive{[this](const StoredRelease& one) -> Result<void> {
                                   on_save();
                                   saved.push_back(one);
                                   return {};
                               },
                               [this](const ForgottenRelease& one) -> Result<void> {
                                   forgotten.push_back(one);
                                   return {};
                               },
                               [this](const ReleaseId&) { return accepted_on_disk; }};
        releases = std::make_unique<GitHubReleases>(
            loop,
            [this](http::ClientRequest request, http::OnClientAnswer on_answer) {
                answer(std::move(request), std::move(on_answer));
            },
            std::move(settings), std::move(archive), stored, *log);
        releases->on_changed([this](const AllowlistChange& change) { changes.push_back(change); });
    }
    void answer(http::ClientRequest request, http::OnClientAnswer on_answer) {
        http::ClientAnswer out{status, {}, published};
        if (request.url.path.find("/tags/") != std::string::npos)
            out.body =
                R"({"tag_name":"v1","assets":[{"name":"list.json","url":"https://api.github.com/a"}]})";
        asked.push_back(std::move(request));
        loop.post([on_answer = std::move(on_answer), out] { on_answer(out); });
    }

    // Runs the loop until the look-up under way has ended.
    void settle() {
        releases->when_settled(release, [this] { loop.post([this] { loop.stop(); }); });
        loop.run();
    }
    std::string find(bool sealed = false) {
        const auto found = releases->find({release, sealed, "192.0.2.1"}, wall_now());
        return found ? found->allowlist->created_at : found.error().code;
    }
    std::string log_text() const {
        std::string text(65536, '\0');
        const ssize_t size = ::read(log_pipe[0], text.data(), text.size());
        text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        return text;
    }
};

TEST_F(Releases, AreFetchedInTheBackground) {
    EXPECT_EQ(find(), "allowlist_pending");
    EXPECT_TRUE(asked.empty());  // find() itself asks nobody.
    settle();
    EXPECT_EQ(asked.size(), 2u);
    EXPECT_EQ(find(), "a");
    ASSERT_EQ(saved.size(), 1u);
    EXPECT_EQ(saved[0].accepted_asset, asset("a"));
}

TEST_F(Releases, AreOnDiskWhenTheLogSaysThatTheyWereFetched) {
    std::string said_before;
    on_save = [&] { said_before = log_text(); };
    find();
    settle();
    ASSERT_EQ(saved.size(), 1u);
    EXPECT_EQ(said_before.find("allowlist.fetched"), std::string::npos) << said_before;
    EXPECT_NE(log_text().find("allowlist.fetched"), std::string::npos);
}

TEST_F(Releases, ThatWereForgottenAreNotAcceptedAnew) {
    accepted_on_disk = std::optional<std::string>("5a");
    find(true);
    settle();
    EXPECT_EQ(find(true), "allowlist_unavailable");
    EXPECT_TRUE(saved.empty());
    EXPECT_EQ(changes.size(), 1u);
}

TEST_F(Releases, AreNotLookedUpWhileTheDiskCannotBeRead) {
    accepted_on_disk = fail("store_unavailable", "disk I/O error");
    find();
    settle();
    EXPECT_TRUE(asked.empty());
    EXPECT_EQ(find(), "allowlist_unavailable");
    EXPECT_NE(log_text().find("disk I/O error"), std::string::npos);
}

TEST_F(Releases, WhoWaitsHearsOnceAtOnceOrAtTheEnd) {
    int heard = 0;
    releases->when_settled(release, [&] { ++heard; });
    EXPECT_EQ(heard, 1);  // Nothing is under way.
    find();
    releases->when_settled(release, [&] { ++heard; });
    releases->when_settled({"org/repo", "v2"}, [&] { ++heard; });
    EXPECT_EQ(heard, 2);
    settle();
    EXPECT_EQ(heard, 3);
    find();
    settle();
    EXPECT_EQ(heard, 3);
}

TEST_F(Releases, AChangedAssetIsSaidKeptAndAccepted) {
    find();
    settle();
    published = asset("b");
    find();
    settle();
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].before, to_hex(crypto::sha256(as_bytes(asset("a")))));
    const std::string text = log_text();
    EXPECT_NE(text.find("allowlist.changed"), std::string::npos);
    EXPECT_NE(text.find(changes[0].before), std::string::npos);
    EXPECT_NE(text.find(changes[0].now_published), std::string::npos);
    EXPECT_EQ(find(true), "a");

    // Another process goes on where this one has ended.
    make({saved.back()});
    EXPECT_EQ(find(true), "a");
    EXPECT_EQ(find(), "b");
    EXPECT_EQ(releases->accept(release, crypto::sha256(as_bytes(asset("a")))).error().code,
              "allowlist_differs");
    EXPECT_TRUE(releases->accept(release, crypto::sha256(as_bytes(asset("b")))));
    EXPECT_EQ(find(true), "b");
    settle();
    EXPECT_EQ(saved.back().accepted_asset, asset("b"));
    EXPECT_FALSE(saved.back().published_asset);
}

TEST_F(Releases, NeverShowTheToken) {
    for (const int each : {200, 401, 403, 404, 429, 500}) {
        status = each;
        make({});
        find();
        settle();
        const auto found = releases->find({release, false, ""}, wall_now());
        const std::string detail = found ? "" : found.error().detail;
        EXPECT_EQ(detail.find(secret), std::string::npos);
    }
    const std::string text = log_text();
    EXPECT_NE(text.find("allowlist.fetch_failed"), std::string::npos);
    EXPECT_EQ(text.find(secret), std::string::npos);
    // The scan above would find it: this is what was sent.
    EXPECT_EQ(asked[0].fields.back().value, "Bearer " + std::string(secret));
}

TEST_F(Releases, MayGoWhileALookUpIsUnderWay) {
    find();
    releases.reset();
    loop.post([this] { loop.stop(); });
    loop.run();
    EXPECT_TRUE(asked.empty());
    make({});
    find();
    // The release has been asked for, its answer is still to come.
    loop.post([this] { loop.stop(); });
    loop.run();
    releases.reset();
    loop.post([this] { loop.stop(); });
    loop.run();
    EXPECT_LE(asked.size(), 1u);
    EXPECT_TRUE(saved.empty());
}

TEST_F(Releases, AnswerManyThreadsWithOneLookUp) {
    std::atomic<int> pending = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int k = 0; k < 50; ++k) pending += find() == "allowlist_pending" ? 1 : 0;
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(pending, 200);
    settle();
    EXPECT_EQ(asked.size(), 2u);
}

}  // namespace
}  // namespace ee::attestation
