#include "proxy/requirement.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/base64.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "crypto/digest.h"
#include "http/fields.h"
#include "http/structured_fields.h"

namespace ee::proxy {
namespace {

constexpr std::array<std::string_view, requirement_keys> words = {
    "sealed", "tcb", "max-age", "release", "mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"};

constexpr std::size_t first_measurement = static_cast<std::size_t>(RequirementKey::mrtd);

tl::unexpected<Error> refuse(std::string_view key, std::string_view why) {
    return fail("invalid_requirement", fmt::format("{} {}", key, why));
}

// The value when it is of this type, and has no parameters: none is defined.
template <class T>
const T* plain(const http::SfMember& member) {
    const auto* item = std::get_if<http::SfItem>(&member.value);
    if (item == nullptr || !item->parameters.empty()) return nullptr;
    return std::get_if<T>(&item->value);
}

Result<void> read_tcb(const http::SfMember& member, Requirement& out) {
    constexpr std::string_view terms = "is a list of one or more tokens, such as tcb=(UpToDate)";
    const auto* list = std::get_if<http::SfInnerList>(&member.value);
    if (list == nullptr || !list->parameters.empty() || list->items.empty()) return refuse("tcb", terms);
    for (const http::SfItem& item : list->items) {
        const auto* token = std::get_if<http::SfToken>(&item.value);
        if (token == nullptr || !item.parameters.empty()) return refuse("tcb", terms);
        out.tcb.push_back(token->text);
    }
    return {};
}

Result<void> read_member(const http::SfMember& member, Requirement& out) {
    const auto found = std::ranges::find(words, member.key);
    if (found == words.end())
        return refuse("\"" + member.key + "\"",
                      "is no key: known are " + fmt::format("{}", fmt::join(words, ", ")));
    const auto at = static_cast<std::size_t>(found - words.begin());
    if (at >= first_measurement) {
        const auto* text = plain<std::string>(member);
        const auto bytes = text == nullptr ? std::nullopt : from_hex_exact<48>(*text);
        if (!bytes) return refuse(member.key, "is a string of 96 hexadecimal digits");
        out.measured[at - first_measurement] = *bytes;
        return {};
    }
    switch (static_cast<RequirementKey>(at)) {
        case RequirementKey::sealed: {
            const bool* flag = plain<bool>(member);
            if (flag == nullptr || !*flag) return refuse("sealed", "is true or absent");
            out.sealed = true;
            return {};
        }
        case RequirementKey::tcb: return read_tcb(member, out);
        case RequirementKey::max_age: {
            const auto* seconds = plain<std::int64_t>(member);
            if (seconds == nullptr || *seconds < 0) return refuse("max-age", "is a whole number of seconds");
            // A year is as good as any age, and does not overflow.
            out.age_max = std::chrono::seconds(std::min<std::int64_t>(*seconds, 31'536'000));
            return {};
        }
        default: {
            const auto* text = plain<std::string>(member);
            if (text == nullptr) return refuse("release", "is a string, such as release=\"v0.1.3\"");
            out.release = *text;
            return {};
        }
    }
}

}  // namespace

std::string_view to_word(RequirementKey key) {
    return words[static_cast<std::size_t>(key)];
}

Result<Requirement> parse_requirement(std::string_view text) {
    if (text.size() > requirement_bytes_max)
        return fail("invalid_requirement", fmt::format("EE-Require has {} bytes, at most {} are read",
                                                       text.size(), requirement_bytes_max));
    const auto dictionary = http::parse_sf_dictionary(text);
    if (!dictionary) return fail("invalid_requirement", "EE-Require, " + dictionary.error().detail);
    if (dictionary->empty()) return fail("invalid_requirement", "EE-Require asks for nothing");
    Requirement out;
    for (const http::SfMember& member : *dictionary)
        if (auto read = read_member(member, out); !read) return fail(std::move(read.error()));
    out.met = ":" + to_base64(crypto::sha256(as_bytes(to_string(*dictionary)))) + ":";
    return out;
}

Result<std::optional<Requirement>> requirement_of(std::span<const http::Field> fields) {
    const std::size_t lines = http::count(fields, require_field);
    if (lines == 0) return std::optional<Requirement>();
    std::string text;
    for (const http::Field& field : fields) {
        if (!http::iequals(field.name, require_field)) continue;
        text.append(field.value).append(", ");
    }
    text.resize(text.size() - 2);
    auto read = parse_requirement(text);
    if (!read) return fail(std::move(read.error()));
    return std::optional(std::move(*read));
}

Unmet unmet(const Requirement& requirement, const registry::Agent& agent, MonoTime now, MonoTime asked_at) {
    const registry::AttestedVerdict& verdict = agent.verdict;
    const bool is_bound = verdict.binding != "none";
    Unmet out;
    if (!is_bound) out.add_binding();
    if (requirement.sealed && !(is_bound && verdict.sealed)) out.add(RequirementKey::sealed);
    if (!requirement.tcb.empty() &&
        !(is_bound && std::ranges::find(requirement.tcb, verdict.tcb_status) != requirement.tcb.end()))
        out.add(RequirementKey::tcb);
    if (requirement.release && !(is_bound && agent.release_tag == *requirement.release))
        out.add(RequirementKey::release);
    if (requirement.age_max) {
        const MonoTime answered_at = verdict.answered_at.mono;
        const bool is_young = answered_at >= asked_at || now - answered_at <= *requirement.age_max;
        if (!(is_bound && is_young)) out.add(RequirementKey::max_age);
    }
    for (std::size_t i = 0; i < requirement.measured.size(); ++i) {
        if (!requirement.measured[i]) continue;
        const bool is_known = verdict.measured.size() == registry::measured_bytes;
        if (!is_bound || !is_known ||
            !std::ranges::equal(*requirement.measured[i], ByteSpan(verdict.measured).subspan(i * 48, 48)))
            out.add(static_cast<RequirementKey>(first_measurement + i));
    }
    return out;
}

void Offers::add(const registry::Agent& agent) {
    if (++count_ > shown_max) return;
    const registry::AttestedVerdict& verdict = agent.verdict;
    const bool is_bound = verdict.binding != "none";
    const auto age = now_.mono - verdict.answered_at.mono;
    if (!shown_.empty()) shown_.push_back(',');
    JsonWriter json(shown_);
    json.begin_object();
    if (verdict.shown) json.field("agent", verdict.shown->agent);
    json.field("release", agent.release_tag)
        .field("bound", is_bound)
        .field("sealed", is_bound && verdict.sealed)
        .field("tcb_status", verdict.tcb_status)
        .field("attested_at", to_rfc3339(verdict.answered_at.wall))
        .field("age_s", std::chrono::duration_cast<std::chrono::seconds>(age).count())
        .key("unmet")
        .begin_array();
    const Unmet keys = unmet(requirement_, agent, now_.mono, asked_at_);
    for (std::size_t i = 0; i < requirement_keys; ++i)
        if (keys.has(static_cast<RequirementKey>(i))) json.value(words[i]);
    json.end_array().end_object();
}

std::string Offers::problem_body(const Error& why) const {
    std::string out;
    JsonWriter json(out);
    json.begin_object()
        .field("type", "about:blank")
        .field("title", "Precondition Failed")
        .field("status", 412)
        .field("detail", why.detail)
        .field("reason", why.code)
        .field("error", why.code)
        .field("eligible_agents", count_)
        .key("available")
        .raw("[" + shown_ + "]")
        .end_object();
    return out;
}

}  // namespace ee::proxy
