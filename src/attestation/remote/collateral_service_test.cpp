#include "attestation/remote/collateral_service.h"

#include <fstream>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "attestation/remote/test_pcs.h"
#include "attestation/simulated_platform.h"
#include "http/http1_writer.h"
#include "http/test_server.h"

namespace ee::attestation {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::string text_of(const http::ClientAnswer& answer) {
    std::string text;
    EXPECT_TRUE(http::append_status_line(text, answer.status));
    for (const http::ClientField& field : answer.fields)
        EXPECT_TRUE(http::append_field(text, field.name, field.value));
    http::append_content_length(text, answer.body.size());
    return text.append("\r\n").append(answer.body);
}

// A collateral service on loopback, and a service that asks it.
class CollateralServiceTest : public testing::Test {
protected:
    CollateralServiceTest() {
        std::string name = (fs::temp_directory_path() / "ee-collateral-XXXXXX").string();
        folder = ::mkdtemp(name.data());
    }
    ~CollateralServiceTest() override {
        service.reset();
        loop.collect();
        fs::remove_all(folder);
    }

    void open() {
        service.reset();
        ServiceSettings settings;
        if (names_a_service) settings.url = server.url();
        settings.folder = folder / "fetched";
        settings.timeout = 2s;
        settings.cache.times = {20ms, 20ms, 20ms, 20ms, 20ms};
        service.emplace(std::move(settings), verify, nullptr, log, metrics);
    }
    static Result<void> holds(const CollateralKey&, const Collateral&, WallTime) { return {}; }
    Collateral issued(WallTime at) const {
        return parse_collateral(make_simulated_collateral(platform, at)).value();
    }
    // Answers what has been asked of the server, unless it is silent.
    void serve() {
        for (auto& peer : server.peers) {
            if (silent || peer->received.find("\r\n\r\n") == std::string::npos) continue;
            const std::string target = peer->received.substr(4, peer->received.find(' ', 4) - 4);
            asked.push_back(target);
            peer->received.clear();
            auto answer = pcs_answer(published, target);
            if (broken) answer = {.status = 500, .fields = {}, .body = {}};
            peer->say(text_of(answer));
        }
    }
    bool until(const std::function<bool()>& done) {
        return net::run_until(loop, [&] {
            serve();
            return done();
        });
    }
    std::string code() {
        const auto found = service->find(key, wall_now());
        return found ? "ok" : found.error().code;
    }
    bool settled() {
        std::atomic<bool> called{false};
        service->when_settled(key, [&] { called = true; });
        return until([&] { return called.load(); });
    }
    WallTime found_issue_date() {
        const auto found = service->find(key, wall_now());
        return found ? read_collateral_label(**found)->issued_at : WallTime();
    }
    std::uint64_t fetches(std::string_view result) {
        return metrics.counter_family("ee_collateral_fetches_total", "", "result").value(result);
    }

    const WallTime now = std::chrono::floor<std::chrono::seconds>(wall_now());
    const SimulatedPlatform platform = make_simulated_platform(now - 200 * 24h);
    Collateral published = issued(now - 1h);
    const CollateralKey key = read_collateral_label(published)->key;
    bool names_a_service = true, silent = false, broken = false;
    std::vector<std::string> asked;
    VerifyCollateral verify = holds;
    fs::path folder;
    telemetry::Log log{telemetry::LogLevel::off, telemetry::LogFormat::json};
    telemetry::Metrics metrics;
    net::Loop loop;
    http::TestServer server{loop};
    std::optional<CollateralService> service;
};

TEST_F(CollateralServiceTest, FetchesOnceForAllWhoAskAndTellsThem) {
    open();
    std::vector<std::thread> threads;
    std::atomic<int> pending{0}, called{0};
    silent = true;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
            const auto found = service->find(key, wall_now());
            if (!found && found.error().code == "collateral_pending") ++pending;
            service->when_settled(key, [&] { ++called; });
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(pending, 8);
    EXPECT_TRUE(until([&] { return server.peers.size() == 4; }));
    EXPECT_EQ(called, 0);
    silent = false;
    EXPECT_TRUE(until([&] { return called == 8; }));
    EXPECT_EQ(asked.size(), 4u);
    EXPECT_EQ(code(), "ok");
    EXPECT_EQ(fetches("ok"), 1u);
    EXPECT_TRUE(settled());  // At once.
    EXPECT_EQ(service->find(key, wall_now()).value()->sha256(), published.sha256());
}

TEST_F(CollateralServiceTest, SaysWhyThereIsNoneAndRecovers) {
    open();
    broken = true;
    EXPECT_EQ(code(), "collateral_pending");
    EXPECT_TRUE(settled());
    const auto found = service->find(key, wall_now());
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, "collateral_unavailable");
    EXPECT_NE(found.error().detail.find("answered 500"), std::string::npos) << found.error().detail;
    EXPECT_TRUE(until([&] { return fetches("collateral_unavailable") >= 3; }));  // Nobody has to ask again.
    broken = false;
    EXPECT_TRUE(until([&] { return code() == "ok"; }));
}

TEST_F(CollateralServiceTest, WhatDoesNotHoldReplacesNothing) {
    published = issued(now - 29 * 24h);  // Refreshed often: most of its life is over.
    std::atomic<bool> refuses{false};
    verify = [&](const CollateralKey&, const Collateral&, WallTime) -> Result<void> {
        if (refuses) return fail("collateral_signature_invalid:tcb_info", "not signed by anybody known");
        return {};
    };
    open();
    EXPECT_EQ(code(), "collateral_pending");
    EXPECT_TRUE(settled());
    EXPECT_EQ(code(), "ok");
    refuses = true;
    service->find(CollateralKey{}, wall_now());
    EXPECT_TRUE(until([&] { return fetches("collateral_signature_invalid") == 1; }));
    EXPECT_EQ(found_issue_date(), now - 29 * 24h);
    EXPECT_EQ(service->find(CollateralKey{}, wall_now()).error().detail, "not signed by anybody known");
}

TEST_F(CollateralServiceTest, KeepsItAcrossARestartAndGoesBackToNoneOlder) {
    open();
    code();
    EXPECT_TRUE(settled());
    broken = true;
    asked.clear();
    open();
    EXPECT_EQ(found_issue_date(), now - 1h);
    EXPECT_TRUE(asked.empty());
    service.reset();

    // Expired on disk: it does not answer before the service was asked, but it guards.
    fs::remove_all(folder / "fetched");
    published = issued(now - 31 * 24h);
    ASSERT_TRUE(CollateralFiles(folder / "fetched").write(key, published));
    published = issued(now - 32 * 24h);
    broken = false;
    open();
    EXPECT_EQ(code(), "collateral_pending");
    EXPECT_TRUE(settled());
    EXPECT_EQ(fetches("collateral_rolled_back"), 1u);
    EXPECT_EQ(found_issue_date(), now - 31 * 24h);
    published = issued(now);
    EXPECT_TRUE(until([&] { return found_issue_date() == now; }));
}

TEST_F(CollateralServiceTest, BelievesNoFileThatDoesNotHoldOrIsNamedForAnother) {
    const CollateralFiles files(folder / "fetched");
    ASSERT_TRUE(files.write(key, published));
    verify = [](auto&&...) { return Result<void>(fail("collateral_signature_invalid:tcb_info", "")); };
    open();
    EXPECT_EQ(code(), "collateral_pending");
    verify = holds;
    service.reset();
    const fs::path file = fs::directory_iterator(folder / "fetched")->path();
    fs::rename(file, folder / "fetched" / "ffffffffffff-platform-00.json");
    std::ofstream(folder / "fetched" / "broken.json") << "{";
    open();
    EXPECT_EQ(code(), "collateral_pending");
}

TEST_F(CollateralServiceTest, AsksIntelForNoSimulatedPlatform) {
    names_a_service = false;
    open();
    const auto found = service->find(key, wall_now());
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, "collateral_unavailable");
    EXPECT_NE(found.error().detail.find("EE_PCCS_URL"), std::string::npos);
    EXPECT_TRUE(settled());
    EXPECT_TRUE(server.peers.empty());
}

TEST_F(CollateralServiceTest, EndsWhileAFetchIsUnderWay) {
    open();
    silent = true;
    code();
    std::atomic<int> called{0};
    service->when_settled(key, [&] { ++called; });
    EXPECT_TRUE(until([&] { return server.peers.size() == 4; }));
    service.reset();
    EXPECT_EQ(called, 0);
}

}  // namespace
}  // namespace ee::attestation
