// Requests whose bodies are streamed to v2 agents.
#include "proxy/forwarder_fixture.h"

namespace ee::proxy {
namespace {

using namespace std::chrono_literals;

const std::string upload = "POST /up HTTP/1.1\r\nHost: myapp.example\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST_F(ForwarderTest, PassesTrailersThatSayNothingOfOurs) {
    const auto agent = stream_from();
    const auto visitor = visit();
    visitor->say(
        upload +
        "2\r\nhi\r\n0\r\nEE-Attestation: forged\r\nee-client: 9.9.9.9\r\nX-Forwarded-For: 6.6.6.6\r\n"
        "Forwarded: for=1.1.1.1\r\nX-Sum: 1\r\nCookie: a=1\r\n\r\n");
    ASSERT_TRUE(until([&] { return agent->ended; }));
    EXPECT_EQ(agent->received, "hi");
    EXPECT_EQ(agent->trailers, "x-sum=1 ");
}

}  // namespace
}  // namespace ee::proxy
