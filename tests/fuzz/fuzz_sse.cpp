// Any bytes as a stream of server-sent events: whole and byte by byte give the same messages and the same
// last id, and what a message holds is what its lines held.

#include <algorithm>
#include <string>

#include "base/check.h"
#include "events/sse.h"

namespace {

struct Read {
    std::string messages;
    std::string last_id;
    bool good = true;

    friend bool operator==(const Read&, const Read&) = default;
};

Read read(std::string_view input, std::size_t piece) {
    Read out;
    ee::events::SseReader reader([&](const ee::events::SseReader::Message& message) {
        EE_CHECK(!message.kind.empty() && message.kind.find('\n') == std::string_view::npos);
        out.messages.append(message.kind).append(1, '\0').append(message.data).append(1, '\0');
    });
    for (; !input.empty() && out.good; input.remove_prefix(std::min(piece, input.size())))
        out.good = reader.feed(input.substr(0, piece));
    out.last_id = reader.last_id();
    EE_CHECK(out.last_id.find('\n') == std::string::npos);
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    EE_CHECK(read(input, input.size()) == read(input, 1));
    EE_CHECK(read(input, input.size()).messages.size() <= 8 * input.size() + 8);
    ee::events::parse_position(input);
    return 0;
}
