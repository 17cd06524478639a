// The heads that a peer sends, field by field.

#include <algorithm>
#include <charconv>

#include "http/http2_session.h"

namespace ee::http {
namespace {

constexpr std::size_t too_large_by_max = 4;  // times what a head may have
constexpr std::size_t too_large_heads_max = 64;

}  // namespace

// A byte of HPACK may stand for 4 KiB, and each costs its decoding. So a head may be somewhat too large, to
// be answered, and a peer may have some of them.
bool Http2Session::is_bomb(std::size_t bytes) {
    collected_.bytes_seen += bytes;
    return collected_.bytes_seen > too_large_by_max * settings_.head.bytes_max ||
           ++collected_.all_seen > too_large_by_max * settings_.head.fields_max;
}

bool Http2Session::collect(std::string_view name, std::string_view value) {
    Collected& into = collected_;
    if (is_bomb(name.size() + value.size())) return false;
    if (into.is_too_large) return true;
    into.is_too_large = into.text.size() + name.size() + value.size() > settings_.head.bytes_max ||
                        (!name.starts_with(':') && ++into.fields_seen > settings_.head.fields_max);
    if (into.is_too_large)
        return settings_.role != Http2Settings::Role::server || ++too_large_heads_ <= too_large_heads_max;
    into.spans.push_back({static_cast<std::uint32_t>(into.text.size()),
                          static_cast<std::uint32_t>(name.size()), static_cast<std::uint32_t>(value.size())});
    into.text.append(name).append(value);
    return true;
}

void Http2Session::Collected::clear() {
    text.clear();
    spans.clear();
    fields.clear();
    fields_seen = bytes_seen = all_seen = 0;
    is_too_large = is_malformed = false;
}

// RFC 9113 section 8.2.3: a Cookie field may have come in pieces.
void Http2Session::Collected::join_cookies() {
    const auto is_cookie = [](const Field& field) { return field.name == "cookie"; };
    if (std::ranges::count_if(fields, is_cookie) < 2) return;
    cookies.clear();
    for (const Field& field : fields)
        if (is_cookie(field)) cookies.append(cookies.empty() ? "" : "; ").append(field.value);
    std::erase_if(fields, is_cookie);
    fields.push_back({"cookie", cookies});
}

// Takes the pseudo-header fields out.
Http2Head Http2Session::Collected::read() {
    Http2Head head;
    for (const Span& span : spans) {
        const std::string_view name = std::string_view(text).substr(span.name, span.name_size);
        const std::string_view value =
            std::string_view(text).substr(span.name + span.name_size, span.value_size);
        if (!name.starts_with(':')) fields.push_back({name, value});
        if (name == ":method") head.method = value;
        if (name == ":scheme") head.scheme = value;
        if (name == ":authority") head.authority = value;
        if (name == ":path") head.path = value;
        if (name == ":protocol") head.protocol = value;
        if (name == ":status") std::from_chars(value.data(), value.data() + value.size(), head.status);
    }
    join_cookies();
    head.fields = fields;
    head.is_too_large = is_too_large;
    return head;
}

}  // namespace ee::http
