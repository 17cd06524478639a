// Any bytes as an HTTP/1 response head, after a first byte that says what was asked: the same answer whether
// they come at once or one by one, and what was accepted reads the same once written again.

#include <string>

#include "base/check.h"
#include "http/fields.h"
#include "http/http1_response_parser.h"
#include "http/http1_writer.h"

namespace {

using namespace ee::http;

ee::Result<std::size_t> parse_drip(std::string_view input, AskedMethod asked, ResponseHead& head) {
    ResponseParser parser;
    for (std::size_t size = 0; size < input.size(); ++size) {
        auto parsed = parser.parse(input.substr(0, size), asked, head);
        if (!parsed || *parsed > 0) return parsed;
    }
    return parser.parse(input, asked, head);
}

void check_head(const ResponseHead& head, AskedMethod asked) {
    EE_CHECK(head.status >= 100 && head.status <= 599);
    EE_CHECK(count(head.fields, "content-length") + count(head.fields, "transfer-encoding") <= 1);
    if (asked == AskedMethod::head || head.status < 200) EE_CHECK(head.framing == Framing::none);
    if (head.framing == Framing::until_close) EE_CHECK(!head.keep_alive);

    if (head.minor_version == 0 || head.reason != trim_whitespace(head.reason)) return;
    std::string written;
    EE_CHECK(append_response_head(written, head.status, head.fields, head.reason));
    ResponseHead again;
    EE_CHECK(ResponseParser().parse(written, asked, again) == written.size());
    again.reason = head.reason;  // An empty phrase is written as the registered one.
    EE_CHECK(again == head);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const auto asked = static_cast<AskedMethod>(data[0] % 3);
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    ResponseHead whole_head;
    ResponseHead drip_head;
    const auto whole = ResponseParser().parse(input, asked, whole_head);
    const auto drip = parse_drip(input, asked, drip_head);
    EE_CHECK(whole == drip);
    if (!whole || *whole == 0) return 0;
    EE_CHECK(whole_head == drip_head);
    check_head(whole_head, asked);
    return 0;
}
