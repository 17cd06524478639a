#include "telemetry/access_log.h"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <stdlib.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <gtest/gtest.h>
#include <simdjson.h>

namespace ee::telemetry {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

AccessRecord record() {
    return {.time = WallTime(std::chrono::milliseconds(1'768'473'000'007)),
            .request_id = "r1",
            .trace_id = "0af7651916cd43dd8448eb211c80319c",
            .client = "192.0.2.7",
            .app = "myapp",
            .agent = "a1",
            .method = "GET",
            .path = "/x",
            .status = 200,
            .error = {},
            .request_bytes = 0,
            .response_bytes = 1024,
            .queue = 0us,
            .tunnel = 310us,
            .upstream = 1200us,
            .total = 1500us};
}

class AccessLogTest : public testing::Test {
protected:
    AccessLogTest() { EXPECT_EQ(::pipe2(ends_, O_NONBLOCK), 0); }
    ~AccessLogTest() override {
        for (const int end : ends_)
            if (end >= 0) ::close(end);
    }
    std::string read_all() const {
        std::string text;
        char chunk[4096];
        for (;;) {
            const ssize_t count = ::read(ends_[0], chunk, sizeof chunk);
            if (count <= 0) return text;
            text.append(chunk, static_cast<std::size_t>(count));
        }
    }
    int ends_[2] = {-1, -1};
};

TEST_F(AccessLogTest, ALineHoldsEveryFieldOfTheRequest) {
    AccessLog log(ends_[1]);
    log.append(record());
    EXPECT_EQ(read_all(), "") << "nothing is written before a flush";
    log.flush();
    EXPECT_EQ(
        read_all(),
        R"({"time":"2026-01-15T10:30:00.007Z","event":"access","request_id":"r1",)"
        R"("trace_id":"0af7651916cd43dd8448eb211c80319c","client":"192.0.2.7","app":"myapp","agent":"a1",)"
        R"("method":"GET","path":"/x","status":200,"request_bytes":0,"response_bytes":1024,)"
        R"("queue_us":0,"tunnel_us":310,"upstream_us":1200,"total_us":1500})"
        "\n");
    EXPECT_EQ(log.pending_bytes(), 0u);
}

TEST_F(AccessLogTest, WhatIsNotKnownIsLeftOut) {
    AccessLog log(ends_[1]);
    log.append({.time = record().time, .method = "GET", .path = "/", .status = 503, .error = "overloaded"});
    log.flush();
    EXPECT_EQ(read_all(),
              R"({"time":"2026-01-15T10:30:00.007Z","event":"access","method":"GET","path":"/","status":503,)"
              R"("error":"overloaded","request_bytes":0,"response_bytes":0})"
              "\n");
}

TEST_F(AccessLogTest, TimesFollowEachOtherAcrossSeconds) {
    AccessLog log(ends_[1]);
    AccessRecord each = record();
    for (const auto step : {0ms, 992ms, 993ms, 60'993ms, -8ms}) {
        each.time = record().time + step;
        log.append(each);
    }
    log.flush();
    const std::string text = read_all();
    for (const char* time :
         {"10:30:00.007Z", "10:30:00.999Z", "10:30:01.000Z", "10:31:01.000Z", "10:29:59.999Z"})
        EXPECT_THAT(text, HasSubstr(time));
}

TEST_F(AccessLogTest, WhatAVisitorSendsIsEscapedAndCut) {
    AccessLog log(ends_[1]);
    AccessRecord each = record();
    const std::string path = "/\"\n\x1b\xff" + std::string(5000, 'a');
    each.path = path;
    each.method = "G\"ET";
    log.append(each);
    log.flush();
    const std::string text = read_all();
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
    EXPECT_LT(text.size(), 3000u);
    simdjson::dom::parser parser;
    simdjson::dom::element line;
    ASSERT_EQ(parser.parse(text).get(line), simdjson::SUCCESS);
    EXPECT_EQ(std::string_view(line["method"]), "G\"ET");
}

TEST_F(AccessLogTest, ItFlushesItselfAt64KiB) {
    AccessLog log(ends_[1]);
    std::size_t appended = 0;
    while (log.pending_bytes() < 64 * 1024 - 400) {
        log.append(record());
        ++appended;
    }
    EXPECT_EQ(read_all(), "");
    log.append(record());
    log.append(record());
    EXPECT_LT(log.pending_bytes(), 64u * 1024);
    EXPECT_GT(read_all().size(), 32u * 1024);
    EXPECT_GT(appended, 100u);
}

TEST_F(AccessLogTest, AStalledReaderKeepsOneMebibyteAndThenCostsLines) {
    AccessLog log(ends_[1]);
    for (int i = 0; i < 20'000; ++i) log.append(record());
    EXPECT_GT(log.dropped(), 0u);
    EXPECT_LT(log.pending_bytes(), (1u << 20) + 4096);

    // Once somebody reads again, nothing that was kept is lost or torn.
    std::string text;
    while (log.pending_bytes() > 0) {
        text += read_all();
        log.flush();
    }
    text += read_all();
    log.append(record());
    log.flush();
    text += read_all();
    EXPECT_THAT(text, HasSubstr(",\"dropped\":"));
    EXPECT_EQ(log.dropped(), 0u);
    simdjson::dom::parser parser;
    std::size_t lines = 0;
    for (std::size_t at = 0; at < text.size(); ++lines) {
        const std::size_t end = text.find('\n', at);
        ASSERT_NE(end, std::string::npos);
        ASSERT_EQ(parser.parse(text.substr(at, end - at)).error(), simdjson::SUCCESS);
        at = end + 1;
    }
    EXPECT_GT(lines, 2000u);
}

TEST_F(AccessLogTest, ItWritesTheRestWhenItGoes) {
    {
        AccessLog(ends_[1]).append(record());
    }
    EXPECT_THAT(read_all(), HasSubstr("\"request_id\":\"r1\""));
}

TEST_F(AccessLogTest, AtTheEndItWaitsForAReaderThatIsSlow) {
    constexpr std::size_t lines = 2000;  // More than a pipe takes at once.
    AccessLog log(ends_[1]);
    for (std::size_t i = 0; i < lines; ++i) log.append(record());
    ASSERT_GT(log.pending_bytes(), 64u * 1024);
    std::size_t read = 0;
    std::thread reader([&] {
        pollfd entry{.fd = ends_[0], .events = POLLIN, .revents = 0};
        while (read < lines && ::poll(&entry, 1, 10'000) == 1) {
            const std::string text = read_all();
            read += static_cast<std::size_t>(std::ranges::count(text, '\n'));
        }
    });
    EXPECT_EQ(log.finish(10s), 0u);
    reader.join();
    EXPECT_EQ(read, lines);
}

TEST_F(AccessLogTest, AtTheEndItCountsWhatItsReaderHasNotTaken) {
    constexpr std::uint64_t lines = 20'000;  // Some of them were dropped before.
    AccessLog log(ends_[1]);
    for (std::uint64_t i = 0; i < lines; ++i) log.append(record());
    ASSERT_GT(log.dropped(), 0u);
    const std::uint64_t lost = log.finish(20ms);
    EXPECT_EQ(log.pending_bytes(), 0u);
    const std::string text = read_all();
    EXPECT_EQ(static_cast<std::uint64_t>(std::ranges::count(text, '\n')) + lost, lines);
    EXPECT_EQ(log.finish(20ms), 0u) << "told once";
}

TEST_F(AccessLogTest, AtTheEndItWaitsForNobodyWhereNobodyReads) {
    std::signal(SIGPIPE, SIG_IGN);  // As the programs do.
    AccessLog log(ends_[1]);
    for (int i = 0; i < 2000; ++i) log.append(record());
    ::close(std::exchange(ends_[0], -1));
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_GT(log.finish(60s), 0u);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 30s);
}

TEST(AccessLog, TurnedOffKeepsNothing) {
    AccessLog log(-1);
    EXPECT_FALSE(log.enabled());
    log.append(record());
    EXPECT_EQ(log.pending_bytes(), 0u);
    EXPECT_EQ(log.finish(60s), 0u);
}

TEST(AccessLog, AFileIsWrittenWhole) {
    std::string path = testing::TempDir() + "ee_access_XXXXXX";
    const int fd = ::mkstemp(path.data());
    ASSERT_GE(fd, 0);
    AccessLog log(fd);
    for (int i = 0; i < 100; ++i) log.append(record());
    log.flush();
    EXPECT_EQ(log.pending_bytes(), 0u);
    EXPECT_GT(::lseek(fd, 0, SEEK_END), 10'000);
    ::close(fd);
    ::unlink(path.c_str());
}

}  // namespace
}  // namespace ee::telemetry
