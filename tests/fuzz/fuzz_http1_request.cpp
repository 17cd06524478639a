// Any bytes as an HTTP/1 request head: the same answer whether they come at once or one by one, and a head
// that was accepted reads the same once written again.

#include <string>

#include "base/check.h"
#include "http/fields.h"
#include "http/http1_request_parser.h"
#include "http/http1_writer.h"
#include "http/target.h"

namespace {

using namespace ee::http;

ee::Result<std::size_t> parse_drip(std::string_view input, RequestHead& head) {
    RequestParser parser;
    for (std::size_t size = 0; size < input.size(); ++size) {
        auto parsed = parser.parse(input.substr(0, size), head);
        if (!parsed || *parsed > 0) return parsed;
    }
    return parser.parse(input, head);
}

void check_head(std::string_view input, const RequestHead& head) {
    EE_CHECK(is_token(head.method));
    EE_CHECK(head.origin_form == "*" || head.origin_form.starts_with('/'));
    EE_CHECK(head.authority.empty() ? head.minor_version == 0 : parse_authority(head.authority).has_value());
    const std::size_t lengths = count(head.fields, "content-length");
    const std::size_t codings = count(head.fields, "transfer-encoding");
    EE_CHECK(lengths + codings <= 1);
    EE_CHECK((lengths == 1) == (head.framing == Framing::length));
    EE_CHECK((codings == 1) == (head.framing == Framing::chunked));
    for (const Field& field : head.fields) {
        EE_CHECK(is_token(field.name) && is_valid_field_value(field.value));
        EE_CHECK(field.name.data() >= input.data());
        EE_CHECK(field.value.data() + field.value.size() <= input.data() + input.size());
    }

    if (head.minor_version == 0) return;  // The writer speaks 1.1.
    std::string written;
    EE_CHECK(append_request_head(written, head.method, head.target, head.fields));
    RequestHead again;
    EE_CHECK(RequestParser().parse(written, again) == written.size());
    EE_CHECK(again == head);
    std::vector<Field> end_to_end;
    if (copy_end_to_end(head.fields, end_to_end)) EE_CHECK(end_to_end.size() <= head.fields.size() + 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    RequestHead whole_head;
    RequestHead drip_head;
    const auto whole = RequestParser().parse(input, whole_head);
    const auto drip = parse_drip(input, drip_head);
    EE_CHECK(whole == drip);
    if (!whole || *whole == 0) return 0;
    EE_CHECK(*whole <= size);
    EE_CHECK(whole_head == drip_head);
    check_head(input.substr(0, *whole), whole_head);
    return 0;
}
