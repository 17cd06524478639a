// What an agent says over HTTP/2, and when.
#include "agent/tunnel_streams.h"

#include <gtest/gtest.h>

#include "http/fields.h"
#include "net/loop.h"
#include "tunnel/message_sink.h"

namespace ee::agent {
namespace {

struct TunnelStreamsTest : testing::Test, http::Http2Observer {
    void on_head(http::Http2StreamId, const http::Http2Head& head, bool) override {
        status = head.status;
        code = http::find(head.fields, "ee-error").value_or("");
    }
    void on_body(http::Http2StreamId, std::string_view) override {}
    void on_end(http::Http2StreamId, std::span<const http::Field>) override {}
    void on_reset(http::Http2StreamId, std::uint32_t with) override { reset_code = with; }
    void on_goaway(std::uint32_t) override { is_told_to_go = true; }

    struct Said final : http::Http2Sink {
        void write(std::string_view bytes) override { text.append(bytes); }
        std::string text;
    };
    std::string pull() {
        Said said;
        streams.pull(said, 1 << 20);
        return said.text;
    }

    net::Loop loop;
    net::WorkerPool workers{1, 8};
    net::Resolver resolver{loop, workers};
    telemetry::Log log{telemetry::LogLevel::error, telemetry::LogFormat::json};
    std::unique_ptr<Backend> backend = make_backend(
        loop, resolver, {.url = net::parse_url("unix:/nonexistent/backend.sock").value(), .tls = nullptr});
    TunnelStreams streams{loop, *backend, nullptr, log, [] {}};
    http::Http2Session control{{.role = http::Http2Settings::Role::client}, *this};
    // What the agent answers a request that it gives to no backend.
    std::string answer_to(const http::Http2Head& head) {
        status = 0;
        code.clear();
        std::string asked;
        EXPECT_TRUE(control.open(head, "", true));
        control.pull(asked, 1 << 20);
        EXPECT_TRUE(streams.receive(asked));
        EXPECT_TRUE(control.receive(pull()));
        return std::to_string(status) + ' ' + code;
    }
    int status = 0;
    std::string code;
    std::optional<std::uint32_t> reset_code;
    bool is_told_to_go = false;
};

TEST_F(TunnelStreamsTest, SaysNothingBeforeTheControlPlaneHasSpoken) {
    EXPECT_FALSE(streams.wants_output());
    EXPECT_EQ(pull(), "");
    std::string preface;
    control.pull(preface, 1 << 20);
    ASSERT_TRUE(streams.receive(preface));
    EXPECT_TRUE(streams.wants_output());
    ASSERT_TRUE(control.receive(pull()));
}

TEST_F(TunnelStreamsTest, AnswersAtOnceWhatNoBackendCanBeAsked) {
    const std::string settings_first =
        answer_to({.method = "GET", .scheme = "https", .authority = "a.example", .path = "/"});
    EXPECT_EQ(settings_first, "0 ");  // That is given to the backend.
    EXPECT_EQ(answer_to({.method = "CONNECT",
                         .scheme = "https",
                         .authority = "a.example",
                         .path = "/",
                         .protocol = "connect-udp"}),
              "501 upgrade_unsupported");
    const std::vector<http::Field> many(tunnel::head_limits.fields_max + 1, {"x", "1"});
    EXPECT_EQ(
        answer_to(
            {.method = "GET", .scheme = "https", .authority = "a.example", .path = "/", .fields = many}),
        "400 bad_request");
}

// A backend whose answer begins and is given up.
struct FailingBackend final : Backend, http::ClientExchange {
    http::ClientExchange& open(const BackendRequest&, http::AnswerObserver& asker) override {
        observer = &asker;
        return *this;
    }
    void send(const protocol::ProxyRequest&, OnDone) override {}
    std::size_t requests_open() const override { return 0; }
    bool send_body(std::string_view) override { return true; }
    bool end_body(std::span<const http::Field>) override { return true; }
    void body_consumed(std::size_t) override {}
    void keep_head() override {}
    void cancel() override {}

    http::AnswerObserver* observer = nullptr;
};

TEST_F(TunnelStreamsTest, TellsALateAnswerFromABrokenOne) {
    FailingBackend failing;
    TunnelStreams with_failing{loop, failing, nullptr, log, [] {}};
    struct {
        http::RequestFailure failure;
        std::uint32_t code;
    } const rows[] = {{http::RequestFailure::timed_out, http::http2_code::cancel},
                      {http::RequestFailure::broken, http::http2_code::internal_error}};
    for (const auto& row : rows) {
        std::string asked;
        ASSERT_TRUE(control.open({.method = "GET", .scheme = "https", .authority = "a.example", .path = "/"},
                                 "", true));
        control.pull(asked, 1 << 20);
        ASSERT_TRUE(with_failing.receive(asked));
        http::ResponseHead head;
        head.status = 200;
        head.framing = http::Framing::chunked;
        failing.observer->on_head(head);
        failing.observer->on_failure(row.failure, "given up");
        reset_code.reset();
        Said said;
        with_failing.pull(said, 1 << 20);
        ASSERT_TRUE(control.receive(said.text));
        EXPECT_EQ(reset_code, row.code);
        loop.collect();
    }
}

TEST_F(TunnelStreamsTest, ThatItLeavesItSaysUnasked) {
    streams.close_to_new();
    EXPECT_TRUE(streams.wants_output());
    std::string preface;
    control.pull(preface, 1 << 20);
    ASSERT_TRUE(control.receive(pull()));
    EXPECT_TRUE(is_told_to_go);
}

}  // namespace
}  // namespace ee::agent
