#include "proxy/visit_log.h"

#include <algorithm>
#include <fcntl.h>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/check.h"
#include "net/test_peer.h"

namespace ee::proxy {
namespace {

struct Pipe {
    Pipe() { EE_CHECK(::pipe2(ends, O_NONBLOCK) == 0); }
    ~Pipe() {
        for (const int end : ends) ::close(end);
    }
    int ends[2] = {-1, -1};
};

class VisitLogTest : public testing::Test {
protected:
    // Reads all the time.
    bool has_read(std::size_t lines) {
        return net::run_until(loop, [&] {
            char chunk[4096];
            for (ssize_t size; (size = ::read(pipe.ends[0], chunk, sizeof chunk)) > 0;)
                lines_ += static_cast<std::size_t>(std::count(chunk, chunk + size, '\n'));
            return lines_ >= lines;
        });
    }

    Pipe pipe;
    std::size_t lines_ = 0;
    net::Loop loop;
    telemetry::AccessLog access_log{pipe.ends[1]};
    VisitLog visits{loop, access_log};
};

// A pipe takes 64 KiB, and the end of a burst has nothing behind it that would push it out.
TEST_F(VisitLogTest, ABurstIsWrittenToItsEndWhenNoLineComesAfterIt) {
    constexpr std::size_t burst = 3000;
    for (std::size_t i = 0; i < burst; ++i) visits.append({.method = "GET", .path = "/x", .status = 200});
    ASSERT_GT(access_log.pending_bytes(), 64u * 1024);
    EXPECT_TRUE(has_read(burst)) << lines_;
    EXPECT_EQ(access_log.pending_bytes(), 0u);
    EXPECT_EQ(access_log.dropped(), 0u);
}

TEST_F(VisitLogTest, AReaderThatWasAwayGetsTheRestWithoutANewLine) {
    constexpr std::size_t burst = 1500;
    for (std::size_t i = 0; i < burst; ++i) visits.append({.method = "GET", .path = "/x", .status = 200});
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(250);
    ASSERT_TRUE(net::run_until(loop, [&] { return std::chrono::steady_clock::now() > until; }));
    ASSERT_GT(access_log.pending_bytes(), 0u) << "its timer has come, and nothing could be written";
    EXPECT_TRUE(has_read(burst)) << lines_;
}

}  // namespace
}  // namespace ee::proxy
