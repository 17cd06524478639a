// A dictionary that is read is written in one way, which reads as the same; and as a caller's requirement,
// what is taken asks for something and names itself by that one way.
#include <string>

#include "base/check.h"
#include "http/structured_fields.h"
#include "proxy/requirement.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace ee;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto parsed = http::parse_sf_dictionary(text);
    const auto required = proxy::parse_requirement(text);
    if (!parsed) {
        EE_CHECK(!required);
        return 0;
    }
    const std::string canonical = to_string(*parsed);
    const auto again = http::parse_sf_dictionary(canonical);
    EE_CHECK(again && *again == *parsed && to_string(*again) == canonical);
    if (!required) return 0;
    EE_CHECK(!parsed->empty());
    const auto required_again = proxy::parse_requirement(canonical);
    EE_CHECK(required_again && required_again->met == required->met);
    return 0;
}
