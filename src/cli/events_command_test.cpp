#include "cli/events_command.h"

#include <gtest/gtest.h>

#include "cli/eectl_run.h"
#include "cli/response_pieces.h"
#include "cli/scripted_server.h"
#include "events/sse.h"

namespace ee::cli {
namespace {

std::string event(std::uint64_t seq, const std::string& kind = "disconnected") {
    std::string out;
    events::append_sse(out, {.seq = seq,
                             .at = test_now,
                             .kind = kind,
                             .app_name = "myapp",
                             .agent_id = "a1",
                             .code = "idle_timeout"});
    return out;
}

std::string chunk(const std::string& text) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", text.size());
    return size + text + "\r\n";
}

const std::string head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const std::string line = "2026-01-15T10:30:00.000Z 1 disconnected app=myapp agent=a1 idle_timeout\n";

TEST(Events, AreALineEach) {
    ScriptedServer server({head + chunk(event(1))});
    const EectlRun run =
        eectl({"events", "--url", server.url(), "--count", "1"}, {{"EE_ADMIN_TOKEN", "secret"}});
    EXPECT_EQ(run.code, exit_good) << run.err;
    EXPECT_EQ(run.out, line);
    const std::string request = server.requests().at(0);
    EXPECT_TRUE(request.starts_with("GET /v1/events HTTP/1.1\r\n")) << request;
    EXPECT_NE(request.find("Authorization: Bearer secret\r\n"), std::string::npos);
    EXPECT_EQ(request.find("Last-Event-ID"), std::string::npos);
}

TEST(Events, ComeBackAndGoOnBehindTheLastOne) {
    // The connection ends within the second message: it has not come.
    ScriptedServer server(
        {head + chunk(event(1)) + chunk(event(2).substr(0, 20)), head + chunk(event(2)) + chunk(event(3))});
    const EectlRun run = eectl({"events", "--url", server.url(), "--after", "0", "--app", "my app", "--kind",
                                "disconnected", "--count", "3", "--json"});
    EXPECT_EQ(run.code, exit_good) << run.err;
    EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 3) << run.out;
    for (const char* number : {"{\"seq\":1,", "{\"seq\":2,", "{\"seq\":3,"})
        EXPECT_NE(run.out.find(number), std::string::npos) << run.out;
    ASSERT_EQ(server.requests().size(), 2u);
    EXPECT_TRUE(server.requests()[0].starts_with(
        "GET /v1/events?after=0&app=my%20app&kind=disconnected HTTP/1.1\r\n"));
    EXPECT_NE(server.requests()[1].find("Last-Event-ID: 1\r\n"), std::string::npos);
}

TEST(Events, WhatIsLostIsSaid) {
    std::string lost;
    events::append_sse_lost(lost, 3, 9);
    ScriptedServer server({head + chunk(lost + event(1))});
    const EectlRun run = eectl({"events", "--url", server.url(), "--count", "1"});
    EXPECT_EQ(run.out, "(events after 3 and before 9 are not kept any more)\n" + line);
}

TEST(Events, ARefusalIsReported) {
    const std::string body = R"({"reason":"unauthorized","detail":"no token"})";
    ScriptedServer server(
        {"HTTP/1.1 401 Unauthorized\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body});
    const EectlRun run = eectl({"events", "--url", server.url()});
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_NE(run.err.find("unauthorized: no token"), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("EE_ADMIN_TOKEN"), std::string::npos) << run.err;
}

TEST(Events, APositionIsANumber) {
    EXPECT_EQ(eectl({"events", "--after", "x"}).code, exit_usage);
}

TEST(ResponsePieces, AreTheSameHoweverTheyCome) {
    struct Row {
        std::string response;
        std::string body;
    };
    const Row rows[] = {
        {head + chunk("one") + chunk("two") + "0\r\n\r\n", "onetwo"},
        {head + "3;x=y\r\none\r\n" + "A\r\n0123456789\r\n", "one0123456789"},
        {"HTTP/1.0 200 OK\r\n\r\nuntil the end", "until the end"},
        // Not HTTP from there on.
        {head + chunk("one") + "zz\r\nabc", "one"},
        {head + "3\r\noneX\r\n" + chunk("two"), "one"},
        {head, ""},
    };
    for (const Row& row : rows) {
        for (std::size_t size = 1; size <= row.response.size(); ++size) {
            std::string body;
            const OnPiece on_piece = [&](std::string_view bytes) {
                body.append(bytes);
                return true;
            };
            ResponsePieces pieces(on_piece);
            for (std::size_t at = 0; at < row.response.size(); at += size)
                if (!pieces.take(std::string_view(row.response).substr(at, size))) break;
            EXPECT_EQ(body, row.body) << row.response << " by " << size;
            EXPECT_EQ(pieces.answer().value().status, 200);
        }
    }
}

TEST(ResponsePieces, OtherAnswersAreWhole) {
    const OnPiece on_piece = [](std::string_view) {
        ADD_FAILURE();
        return false;
    };
    ResponsePieces pieces(on_piece);
    for (const char c : std::string("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"))
        ASSERT_TRUE(pieces.take({&c, 1}));
    EXPECT_EQ(pieces.answer()->status, 503);
    EXPECT_EQ(pieces.answer()->body, "no");
    ResponsePieces other(on_piece);
    ASSERT_TRUE(other.take("SSH-2.0-OpenSSH\r\n"));
    EXPECT_FALSE(other.answer());
}

}  // namespace
}  // namespace ee::cli
