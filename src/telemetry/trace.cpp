#include "telemetry/trace.h"

#include <algorithm>

#include "base/hex.h"

namespace ee::telemetry {
namespace {

// The recommendation allows lower-case hexadecimal only.
template <std::size_t N>
std::optional<ByteArray<N>> from_lower_hex(std::string_view text) {
    const bool lower = std::none_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'F'; });
    return lower ? from_hex_exact<N>(text) : std::nullopt;
}

// All zeros mean "no id"; the generator may not produce it.
template <std::size_t N>
void avoid_zero(ByteArray<N>& id) {
    if (all_zero(id)) id.back() = 1;
}

}  // namespace

std::optional<TraceContext> parse_traceparent(std::string_view text) {
    if (text.size() < traceparent_size || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return std::nullopt;
    const auto version = from_lower_hex<1>(text.substr(0, 2));
    if (!version || (*version)[0] == 0xff) return std::nullopt;
    if ((*version)[0] == 0 && text.size() != traceparent_size) return std::nullopt;
    // A later version may add fields, after a dash.
    if (text.size() > traceparent_size && text[traceparent_size] != '-') return std::nullopt;

    const auto trace_id = from_lower_hex<16>(text.substr(3, 32));
    const auto parent_id = from_lower_hex<8>(text.substr(36, 16));
    const auto flags = from_lower_hex<1>(text.substr(53, 2));
    if (!trace_id || !parent_id || !flags || all_zero(*trace_id) || all_zero(*parent_id)) return std::nullopt;
    return TraceContext{.trace_id = *trace_id, .parent_id = *parent_id, .flags = (*flags)[0]};
}

std::string to_traceparent(const TraceContext& context) {
    std::string out;
    out.reserve(traceparent_size);
    append_traceparent(out, context);
    return out;
}

void append_traceparent(std::string& out, const TraceContext& context) {
    out += "00-";
    append_hex(out, context.trace_id);
    out += '-';
    append_hex(out, context.parent_id);
    out += '-';
    // Version 00 defines one flag; the others must be zero when passed on.
    out += (context.flags & 1) != 0 ? "01" : "00";
}

TraceContext begin_trace(const ByteArray<24>& random) {
    TraceContext context;
    std::copy_n(random.begin(), 16, context.trace_id.begin());
    std::copy_n(random.begin() + 16, 8, context.parent_id.begin());
    avoid_zero(context.trace_id);
    avoid_zero(context.parent_id);
    return context;
}

TraceContext continue_trace(const TraceContext& incoming, const ByteArray<8>& random) {
    TraceContext context = incoming;
    context.parent_id = random;
    avoid_zero(context.parent_id);
    return context;
}

bool is_sane_request_id(std::string_view text) {
    if (text.empty() || text.size() > 128) return false;
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
               c == '_' || c == ':' || c == '-';
    });
}

std::string make_request_id(const ByteArray<16>& random) {
    return to_hex(random);
}

}  // namespace ee::telemetry
