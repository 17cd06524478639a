#include "base/base64.h"
#include "crypto/digest.h"
#include "proxy/forwarder_fixture.h"

namespace ee::proxy {
namespace {

using namespace std::chrono_literals;
using tunnel::TestAgent;

std::string met(std::string_view canonical) {
    return "EE-Require-Met: :" + to_base64(crypto::sha256(as_bytes(canonical))) + ":\r\n";
}

// Agents a1 (release v1, UpToDate) and a2 (release v2, OutOfDate), whose evidence is ten minutes old.
struct ForwarderRequirementTest : ForwarderTest {
    ForwarderRequirementTest() {
        proven = [this](registry::AdmitRequest& request) {
            request.verdict.answered_at.mono -= 10min;
            request.verdict.tcb_status = request.agent_id == "a1" ? "UpToDate" : "OutOfDate";
            if (request.agent_id != "a1") request.release_tag = "v2";
        };
        owner.renewed = [this](tunnel::Session& session) {
            registry::AttestedVerdict verdict = registry.agent_of(session.id())->verdict;
            verdict.answered_at = now();
            registry.attested(session.id(), verdict, now());
            forwarder->attested("myapp");
        };
        first = come("a1");
        second = come("a2");
    }
    std::unique_ptr<net::Peer> require(std::string_view requirement) {
        auto visitor = visit();
        visitor->say(get("/", "EE-Require: " + std::string(requirement) + "\r\nConnection: close\r\n"));
        return visitor;
    }
    // What a visitor hears that no agent is asked for.
    std::string refused(std::string_view requirement) {
        const auto visitor = require(requirement);
        EXPECT_TRUE(until([&] { return !visitor->closed.empty(); }));
        EXPECT_TRUE(first->requests.empty() && second->requests.empty());
        EXPECT_EQ(visitor->received.find("EE-Require-Met"), std::string::npos);
        return visitor->received;
    }
    void answer(TestAgent& agent) {
        ASSERT_TRUE(until([&] { return !agent.requests.empty(); }));
        agent.answer(agent.requests.front().request_id, "done");
        agent.requests.clear();
    }

    std::unique_ptr<TestAgent> first, second;
};

TEST_F(ForwarderRequirementTest, OnlyAgentsThatMeetItAreAsked) {
    for (int i = 0; i < 20; ++i) {
        const auto visitor = require("release=\"v2\",tcb=(OutOfDate UpToDate)");
        ASSERT_TRUE(until([&] { return !second->requests.empty(); }));
        EXPECT_EQ(value(second->requests.front(), "ee-require"), "release=\"v2\",tcb=(OutOfDate UpToDate)");
        answer(*second);
        ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
        EXPECT_NE(visitor->received.find(met("release=\"v2\", tcb=(OutOfDate UpToDate)")), std::string::npos)
            << visitor->received;
        EXPECT_NE(visitor->received.find("EE-Agent: hash-of-a2\r\n"), std::string::npos);
    }
    EXPECT_TRUE(first->requests.empty());
}

TEST_F(ForwarderRequirementTest, WhatNobodyMeetsIsRefusedWithWhatThereIs) {
    const std::string heard = refused("tcb=(UpToDate), release=\"v2\"");
    EXPECT_TRUE(heard.starts_with("HTTP/1.1 412 ")) << heard;
    EXPECT_NE(heard.find("Content-Type: application/problem+json\r\n"), std::string::npos);
    EXPECT_NE(heard.find("\"reason\":\"requirement_unmet\""), std::string::npos) << heard;
    EXPECT_NE(heard.find(R"("agent":"hash-of-a1","release":"v1")"), std::string::npos) << heard;
    EXPECT_NE(heard.find(R"("unmet":["release"])"), std::string::npos) << heard;
    EXPECT_NE(heard.find(R"("unmet":["tcb"])"), std::string::npos) << heard;
    // An age that a challenge could mend is not what fails here: nobody is challenged for it.
    EXPECT_TRUE(refused("max-age=1, release=\"v3\"").starts_with("HTTP/1.1 412 "));
    EXPECT_EQ(owner.count("verify"), 2u);
}

TEST_F(ForwarderRequirementTest, AnAgentWhoseAnswersAreNotBoundIsNotChallengedForItsAge) {
    proven = [](registry::AdmitRequest& request) { request.verdict.binding = "none"; };
    const auto unbound = come("a3");
    first->stream.abort();
    second->stream.abort();
    ASSERT_TRUE(until([&] { return tunnels.size() == 1; }));
    const std::string heard = refused("max-age=3600");
    EXPECT_TRUE(heard.starts_with("HTTP/1.1 412 ")) << heard;
    EXPECT_NE(heard.find(R"("bound":false)"), std::string::npos) << heard;
    EXPECT_NE(heard.find(R"("unmet":["max-age"])"), std::string::npos) << heard;
    EXPECT_EQ(metrics.counter("ee_proxy_challenges_total", "").value(), 0u);
    EXPECT_FALSE(unbound->has_heard("challenge periodic"));
}

TEST_F(ForwarderRequirementTest, WhatIsNotUnderstoodIsRefused) {
    for (const char* text :
         {"", "nonsense", "tcb=UpToDate", "sealed, sealed", "max-age=1\r\nEE-Require: max-age=2"}) {
        const std::string heard = refused(text);
        EXPECT_TRUE(heard.starts_with("HTTP/1.1 400 ")) << heard;
        EXPECT_NE(heard.find("\"reason\":\"invalid_requirement\""), std::string::npos) << heard;
    }
}

TEST_F(ForwarderRequirementTest, TheSecondAgentMustMeetItToo) {
    const auto bound = require("release=\"v1\"");
    const auto free = require("max-age=3600");
    ASSERT_TRUE(until([&] { return first->requests.size() + second->requests.size() == 2; }));
    first->stream.abort();
    ASSERT_TRUE(until([&] { return !bound->closed.empty(); }));
    EXPECT_TRUE(bound->received.starts_with("HTTP/1.1 502 ")) << bound->received;
    EXPECT_EQ(bound->received.find("EE-Require-Met"), std::string::npos);
    answer(*second);
    ASSERT_TRUE(until([&] { return !free->closed.empty(); }));
    EXPECT_NE(free->received.find(met("max-age=3600")), std::string::npos) << free->received;
}

TEST_F(ForwarderRequirementTest, AnAgeThatIsTooHighCausesOneChallengeAndTheRequestWaitsForIt) {
    std::vector<std::unique_ptr<net::Peer>> visitors;
    for (int i = 0; i < 5; ++i) visitors.push_back(require("max-age=60, release=\"v1\""));
    ASSERT_TRUE(until([&] { return first->has_heard("challenge periodic"); }));
    ASSERT_TRUE(until([&] { return forwarder->open_calls() == 5; }));
    EXPECT_TRUE(first->requests.empty());
    first->attest();
    ASSERT_TRUE(until([&] { return first->requests.size() == 5; }));
    EXPECT_EQ(std::ranges::count(first->heard, "challenge periodic"), 1);
    EXPECT_FALSE(second->has_heard("challenge periodic"));  // It would not do.
    for (const protocol::ProxyRequest& request : first->requests) {
        EXPECT_EQ(value(request, "Host"), "myapp.example");
        first->answer(request.request_id, "done");
    }
    for (const auto& visitor : visitors) {
        ASSERT_TRUE(until([&] { return !visitor->closed.empty(); }));
        EXPECT_NE(visitor->received.find(met("max-age=60, release=\"v1\"")), std::string::npos)
            << visitor->received;
    }
    first->requests.clear();
    // Fresh now: nothing is waited for.
    const auto later = require("max-age=60, release=\"v1\"");
    answer(*first);
    EXPECT_TRUE(until([&] { return later->received.ends_with("done"); }));
    EXPECT_EQ(std::ranges::count(first->heard, "challenge periodic"), 1);
    EXPECT_EQ(metrics.gauge("ee_proxy_waiting_for_evidence", "").value(), 0);
}

TEST_F(ForwarderRequirementTest, AnAgentThatHasJustAnsweredRestsBeforeItIsAskedAgain) {
    settings.waiting.challenges_apart = 300ms;
    open();
    const MonoTime start = std::chrono::steady_clock::now();
    const auto early = require("max-age=0, release=\"v1\"");
    ASSERT_TRUE(until([&] { return first->has_heard("challenge periodic"); }));
    first->attest();
    answer(*first);
    const auto late = require("max-age=0, release=\"v1\"");
    ASSERT_TRUE(until([&] { return std::ranges::count(first->heard, "challenge periodic") == 2; }));
    EXPECT_GE(std::chrono::steady_clock::now() - start, 300ms);
    first->attest();
    answer(*first);
    EXPECT_TRUE(until([&] { return late->received.ends_with("done"); })) << late->received;
}

TEST_F(ForwarderRequirementTest, ItWaitsNoLongerThanAnAgentMayTake) {
    settings.waiting.wait_max = 1s;
    open();
    const std::string heard = refused("max-age=60");
    EXPECT_TRUE(heard.starts_with("HTTP/1.1 412 ")) << heard;
    EXPECT_NE(heard.find(R"("unmet":["max-age"])"), std::string::npos) << heard;
    EXPECT_TRUE(until(
        [&] { return first->has_heard("challenge periodic") && second->has_heard("challenge periodic"); }));
    EXPECT_EQ(forwarder->open_calls(), 0u);
}

TEST_F(ForwarderRequirementTest, AVisitorThatLeavesWaitsNoMore) {
    auto visitor = require("max-age=60");
    ASSERT_TRUE(until([&] { return forwarder->open_calls() == 1; }));
    visitor.reset();
    ASSERT_TRUE(until([&] { return forwarder->open_calls() == 0; }));
    EXPECT_EQ(metrics.gauge("ee_proxy_waiting_for_evidence", "").value(), 0);
    if (first->has_heard("challenge periodic")) first->attest();
    net::run_turns(loop, 10);
    EXPECT_TRUE(first->requests.empty() && second->requests.empty());
    EXPECT_NE(logged().find("\"status\":499,\"error\":\"visitor_gone\""), std::string::npos);
}

TEST_F(ForwarderRequirementTest, ABodyWaitsWithItsRequest) {
    const auto visitor = visit();
    visitor->say(
        "POST /x HTTP/1.1\r\nHost: myapp.example\r\nConnection: close\r\nEE-Require: max-age=60, "
        "tcb=(UpToDate)\r\n"
        "Content-Length: 4\r\n\r\nbody");
    ASSERT_TRUE(until([&] { return first->has_heard("challenge periodic"); }));
    first->attest();
    ASSERT_TRUE(until([&] { return !first->requests.empty(); }));
    EXPECT_EQ(first->requests.front().method + " " + first->requests.front().body, "POST body");
    answer(*first);
    EXPECT_TRUE(until([&] { return visitor->received.ends_with("done"); }));
}

TEST_F(ForwarderRequirementTest, ABodyOfUnknownLengthIsGatheredWhereOnlyAgentsThatTakeItWholeMeetIt) {
    const auto streaming = stream_from("a3");  // Release v2, as a2; a1 takes whole requests only.
    // The second: all are too old, and one that answers anew takes it as it takes bodies.
    for (const char* requirement : {"release=\"v1\"", "max-age=60, release=\"v1\""}) {
        first->heard.clear();
        const auto visitor = visit();
        visitor->say("POST /x HTTP/1.1\r\nHost: myapp.example\r\nConnection: close\r\nEE-Require: " +
                     std::string(requirement) + "\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n");
        net::run_turns(loop, 20);
        EXPECT_TRUE(first->requests.empty() && visitor->closed.empty()) << visitor->received;
        visitor->say("0\r\n\r\n");
        ASSERT_TRUE(until([&] {
            if (first->has_heard("challenge periodic")) {
                first->attest();
                first->heard.clear();
            }
            return !first->requests.empty() || !visitor->closed.empty();
        }));
        ASSERT_FALSE(first->requests.empty()) << visitor->received;
        EXPECT_EQ(first->requests.front().body, "body");
        answer(*first);
        EXPECT_TRUE(until([&] { return visitor->received.ends_with("done"); })) << visitor->received;
    }
    EXPECT_EQ(streaming->asked, "");
}

TEST_F(ForwarderRequirementTest, ABodyIsStreamedWhereAgentsThatStreamMeetIt) {
    const auto streaming = stream_from("a3");
    second.reset();
    ASSERT_TRUE(until([&] { return registry.resolve("myapp", now())->agents == 2; }));
    const auto visitor = visit();
    visitor->say(
        "POST /x HTTP/1.1\r\nHost: myapp.example\r\nEE-Require: release=\"v2\"\r\n"
        "Content-Length: 100\r\n\r\nbegun");
    ASSERT_TRUE(until([&] { return streaming->received == "begun"; })) << visitor->received;
}

struct PlacesToWait : ForwarderRequirementTest {
    void expect_two() {
        open();
        const auto one = require("max-age=60"), two = require("max-age=60");
        ASSERT_TRUE(until([&] { return forwarder->open_calls() == 2; }));
        const std::string heard = refused("max-age=60");
        EXPECT_TRUE(heard.starts_with("HTTP/1.1 503 ")) << heard;
        EXPECT_NE(heard.find("\"overloaded\""), std::string::npos);
        EXPECT_NE(heard.find("Retry-After: "), std::string::npos);
    }
};

TEST_F(PlacesToWait, AreNotAllOneApps) {
    settings.waiting.requests_per_app_max = 2;
    expect_two();
}

TEST_F(PlacesToWait, AreLimited) {
    settings.waiting.requests_max = 2;
    expect_two();
}

TEST_F(ForwarderRequirementTest, AnAppWithoutAnAgentSaysSo) {
    first->stream.abort();
    second->stream.abort();
    ASSERT_TRUE(until([&] { return tunnels.size() == 0; }));
    EXPECT_TRUE(refused("sealed").starts_with("HTTP/1.1 503 "));
}

}  // namespace
}  // namespace ee::proxy
