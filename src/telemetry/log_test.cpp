#include "telemetry/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <limits>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>
#include <simdjson.h>

namespace ee::telemetry {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

WallTime fixed_clock() {
    return WallTime(std::chrono::milliseconds(1'768'473'000'123));
}

// A pipe whose other end the test reads.
class LogTest : public testing::Test {
protected:
    LogTest() { EXPECT_EQ(::pipe2(ends_, O_NONBLOCK), 0); }
    ~LogTest() override {
        ::close(ends_[0]);
        ::close(ends_[1]);
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
    void fill() const {
        const std::string block(4096, 'x');
        while (::write(ends_[1], block.data(), block.size()) > 0) {
        }
    }
    Log make(LogLevel level, LogFormat format) const { return {level, format, ends_[1], &fixed_clock}; }

    int ends_[2] = {-1, -1};
};

TEST_F(LogTest, AnEventIsOneLineOfJson) {
    const Log log = make(LogLevel::info, LogFormat::json);
    const std::string app = "myapp";
    log.info("agent.attested", {{"app", app},
                                {"agent", std::string_view("a1")},
                                {"literal", "x"},
                                {"ms", 12},
                                {"bytes", std::size_t{7}},
                                {"share", 0.25},
                                {"sealed", true}});
    EXPECT_EQ(read_all(),
              R"({"time":"2026-01-15T10:30:00.123Z","level":"info","event":"agent.attested","app":"myapp",)"
              R"("agent":"a1","literal":"x","ms":12,"bytes":7,"share":0.25,"sealed":true})"
              "\n");
}

TEST_F(LogTest, AnEventIsOneLineOfText) {
    const Log log = make(LogLevel::info, LogFormat::text);
    log.warn("agent.refused", {{"app", "myapp"}, {"detail", "two words"}, {"ms", 12}, {"sealed", false}});
    EXPECT_EQ(
        read_all(),
        "2026-01-15T10:30:00.123Z warn  agent.refused app=myapp detail=\"two words\" ms=12 sealed=false\n");
}

TEST_F(LogTest, AValueCannotForgeALineOrAField) {
    for (const LogFormat format : {LogFormat::json, LogFormat::text}) {
        const Log log = make(LogLevel::info, format);
        for (const char* value : {"a\nb", "a level=error", "a\"b", "a=b", "\x1b[31m", "", "\xff"})
            log.info("x", {{"value", value}});
        const std::string text = read_all();
        EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 7);
        EXPECT_EQ(text.find('\x1b'), std::string::npos);
        EXPECT_THAT(text, Not(HasSubstr(" level=error\n")));
    }
}

TEST_F(LogTest, EveryJsonLineParsesWhateverTheValues) {
    const Log log = make(LogLevel::debug, LogFormat::json);
    log.debug("x", {{"text", std::string(5000, '"')},
                    {"cut", std::string(1023, 'a') + "\u00e4\u00e4"},
                    {"nan", std::numeric_limits<double>::quiet_NaN()},
                    {"infinite", std::numeric_limits<double>::infinity()},
                    {"least", std::numeric_limits<std::int64_t>::min()},
                    {"invalid", "\xc3"}});
    simdjson::dom::parser parser;
    simdjson::dom::element line;
    ASSERT_EQ(parser.parse(read_all()).get(line), simdjson::SUCCESS);
    EXPECT_EQ(std::string_view(line["cut"]), std::string(1023, 'a') + "\u2026");
    EXPECT_TRUE(line["nan"].is_null());
    EXPECT_EQ(std::int64_t(line["least"]), std::numeric_limits<std::int64_t>::min());
    EXPECT_THAT(std::string(std::string_view(line["text"])), EndsWith("\u2026"));
}

TEST_F(LogTest, LevelsBelowTheThresholdAreNotWritten) {
    Log log = make(LogLevel::warn, LogFormat::json);
    log.debug("a");
    log.info("b");
    EXPECT_EQ(read_all(), "");
    log.warn("c");
    log.error("d");
    const std::string text = read_all();
    EXPECT_THAT(text, HasSubstr("\"event\":\"c\""));
    EXPECT_THAT(text, HasSubstr("\"event\":\"d\""));

    log.set_level(LogLevel::debug);
    EXPECT_TRUE(log.enabled(LogLevel::debug));
    log.debug("e");
    EXPECT_THAT(read_all(), HasSubstr("\"event\":\"e\""));

    log.set_level(LogLevel::off);
    log.error("f");
    EXPECT_EQ(read_all(), "");
}

TEST_F(LogTest, AStalledReaderCostsLinesWhichAreCountedAndReported) {
    const Log log = make(LogLevel::info, LogFormat::json);
    fill();
    for (int i = 0; i < 3; ++i) log.info("lost");
    EXPECT_EQ(log.dropped(), 3u);
    read_all();
    log.info("kept");
    const std::string text = read_all();
    EXPECT_THAT(text, HasSubstr("\"event\":\"log.dropped\",\"lines\":3}\n"));
    EXPECT_THAT(text, HasSubstr("\"event\":\"kept\"}\n"));
    EXPECT_THAT(text, Not(HasSubstr("lost")));
    EXPECT_EQ(log.dropped(), 0u);
}

TEST_F(LogTest, LinesOfSeveralThreadsDoNotMix) {
    const Log log = make(LogLevel::info, LogFormat::json);
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t)
            threads.emplace_back([&log] {
                for (int i = 0; i < 50; ++i)
                    log.info("x", {{"text", std::string_view("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")}});
            });
    }
    const std::string text = read_all();
    const std::string line = R"({"time":"2026-01-15T10:30:00.123Z","level":"info","event":"x",)"
                             R"("text":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})"
                             "\n";
    EXPECT_EQ(text.size(), 200 * line.size());
    for (std::size_t at = 0; at < text.size(); at += line.size())
        ASSERT_EQ(text.substr(at, line.size()), line);
}

TEST(LogLevels, AreReadByName) {
    for (const LogLevel level :
         {LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error, LogLevel::off})
        EXPECT_EQ(parse_log_level(to_string(level)), level);
    for (const char* text : {"", "INFO", "trace", "warning"}) EXPECT_FALSE(parse_log_level(text)) << text;
}

TEST(LogFormats, AutoIsTextOnATerminalOnly) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    EXPECT_EQ(parse_log_format("auto", ends[1]), LogFormat::json);
    EXPECT_EQ(parse_log_format("text", ends[1]), LogFormat::text);
    EXPECT_EQ(parse_log_format("json", ends[1]), LogFormat::json);
    EXPECT_EQ(parse_log_format("xml", ends[1]), std::nullopt);
    ::close(ends[0]);
    ::close(ends[1]);

    const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0) GTEST_SKIP() << "no pseudo-terminals here";
    EXPECT_EQ(parse_log_format("auto", terminal), LogFormat::text);
    ::close(terminal);
}

}  // namespace
}  // namespace ee::telemetry
