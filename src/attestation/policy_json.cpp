#include "attestation/policy_json.h"

#include <limits>

#include <fmt/format.h>

#include "attestation/object_reader.h"
#include "base/big_endian.h"
#include "base/json_writer.h"

namespace ee::attestation {
namespace {

constexpr std::size_t json_depth_max = 8;
constexpr std::size_t policy_size_max = 1024 * 1024;

struct Flag {
    const char* name;
    bool NetworkPolicy::* field;
};
constexpr Flag flags[] = {
    {"sealed_required", &NetworkPolicy::sealed_required},
    {"debug_allowed", &NetworkPolicy::debug_allowed},
    {"sept_ve_disable_required", &NetworkPolicy::sept_ve_disable_required},
    {"mr_servicetd_zero", &NetworkPolicy::mr_service_td_zero},
    {"perfmon_allowed", &NetworkPolicy::perfmon_allowed},
    {"key_locker_allowed", &NetworkPolicy::key_locker_allowed},
    {"simulated_root_allowed", &NetworkPolicy::simulated_root_allowed},
    {"legacy_ratls", &NetworkPolicy::legacy_ratls},
    {"legacy_none_allowed", &NetworkPolicy::legacy_none_allowed},
    {"allowlist_may_be_absent", &NetworkPolicy::allowlist_may_be_absent},
};

// Every value of an enumeration whose last one is named.
template <class Enum>
std::vector<Enum> all_of(Enum last) {
    std::vector<Enum> out;
    for (int i = 0; i <= static_cast<int>(last); ++i) out.push_back(static_cast<Enum>(i));
    return out;
}

template <class Enum>
std::optional<Enum> named(std::string_view name, Enum last) {
    for (const Enum value : all_of(last))
        if (to_string(value) == name) return value;
    return std::nullopt;
}

std::string list_of(const std::vector<std::string>& items) {
    std::string out;
    JsonWriter json(out);
    json.begin_array();
    for (const std::string& item : items) json.value(item);
    json.end_array();
    return out;
}

std::string json_text(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

template <class Values>
std::string hex_list(const Values& values) {
    std::vector<std::string> out;
    for (const auto& value : values) out.push_back(to_hex(value));
    return list_of(out);
}

struct Member {
    std::string name;
    std::string json;
};

std::vector<Member> members_of(const NetworkPolicy& policy) {
    std::vector<std::string> statuses, registers;
    for (const TcbStatus status : all_of(TcbStatus::revoked))
        if (policy.tcb_accepted.contains(status)) statuses.emplace_back(to_string(status));
    for (const QuoteRegister which : policy.registers_required) registers.emplace_back(to_string(which));
    std::vector<Member> out = {
        {"name", json_text(policy.name)},
        {"tcb_accepted", list_of(statuses)},
        {"xfam_allowed",
         policy.xfam_allowed ? json_text(fmt::format("{:016x}", *policy.xfam_allowed)) : "null"},
        {"tcb_evaluation_min",
         policy.tcb_evaluation_min ? std::to_string(*policy.tcb_evaluation_min) : "null"},
        {"collateral_grace_s", std::to_string(policy.collateral_grace.count())},
        {"platform_grace_days",
         policy.platform_grace ? std::to_string(policy.platform_grace->count()) : "null"},
        {"advisories_refused", list_of({policy.advisories_refused.begin(), policy.advisories_refused.end()})},
        {"binding_min", json_text(to_string(policy.binding_min))},
        {"registers_required", list_of(registers)},
        {"claims_required", list_of({policy.claims_required.begin(), policy.claims_required.end()})},
        {"fmspc_allowed", hex_list(policy.fmspc_allowed)},
        {"platforms_allowed", hex_list(policy.platforms_allowed)},
    };
    for (const Flag& flag : flags) out.push_back({flag.name, policy.*flag.field ? "true" : "false"});
    return out;
}

template <std::size_t N, class Set>
void read_hex_set(ObjectReader& reader, std::string_view name, Set& out) {
    for (const std::string& text : reader.texts(name)) {
        const auto value = from_hex_exact<N>(text);
        if (value)
            out.insert(*value);
        else
            reader.refuse(name, fmt::format("not {} bytes in hexadecimal", N));
    }
}

template <class Duration>
Duration read_duration(ObjectReader& reader, std::string_view name) {
    const std::uint64_t count = reader.number(name);
    if (count <= std::numeric_limits<std::int32_t>::max())
        return Duration(static_cast<typename Duration::rep>(count));
    reader.refuse(name, "too long");
    return Duration(0);
}

void read_names(ObjectReader& reader, NetworkPolicy& out) {
    for (const std::string& name : reader.texts("tcb_accepted")) {
        if (const auto status = parse_tcb_status(name))
            out.tcb_accepted.insert(*status);
        else
            reader.refuse("tcb_accepted", fmt::format("no TCB status is called \"{}\"", name));
    }
    for (const std::string& name : reader.texts("registers_required")) {
        if (const auto which = named(name, QuoteRegister::rtmr3))
            out.registers_required.insert(*which);
        else
            reader.refuse("registers_required", fmt::format("no register is called \"{}\"", name));
    }
    const std::string binding = reader.text("binding_min");
    if (const auto level = named(binding, Binding::channel))
        out.binding_min = *level;
    else
        reader.refuse("binding_min", fmt::format("no level is called \"{}\"", binding));
}

}  // namespace

std::string policy_json(const NetworkPolicy& policy) {
    std::string out;
    JsonWriter json(out);
    json.begin_object();
    for (const Member& member : members_of(policy)) json.key(member.name).raw(member.json);
    json.end_object();
    return out;
}

Result<NetworkPolicy> parse_policy_json(std::string_view json) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (json.size() > policy_size_max || parser.allocate(json.size(), json_depth_max) != simdjson::SUCCESS ||
        parser.parse(json.data(), json.size()).get(root) != simdjson::SUCCESS)
        return fail("policy_malformed:/", "not a JSON object of at most 1 MiB");
    Findings findings("policy_malformed");
    ObjectReader reader(root, "", findings);
    NetworkPolicy out;
    out.name = reader.text("name");
    for (const Flag& flag : flags) out.*flag.field = reader.flag(flag.name);
    if (!reader.is_null("xfam_allowed"))
        out.xfam_allowed = from_big_endian(reader.hex_array<8>("xfam_allowed"));
    if (!reader.is_null("tcb_evaluation_min")) out.tcb_evaluation_min = reader.number("tcb_evaluation_min");
    out.collateral_grace = read_duration<std::chrono::seconds>(reader, "collateral_grace_s");
    if (reader.is_null("platform_grace_days"))
        out.platform_grace.reset();
    else
        out.platform_grace = read_duration<std::chrono::days>(reader, "platform_grace_days");
    read_names(reader, out);
    for (std::string& id : reader.texts("advisories_refused")) out.advisories_refused.insert(std::move(id));
    for (std::string& claim : reader.texts("claims_required")) out.claims_required.insert(std::move(claim));
    read_hex_set<6>(reader, "fmspc_allowed", out.fmspc_allowed);
    read_hex_set<32>(reader, "platforms_allowed", out.platforms_allowed);
    reader.finish();
    if (findings.first()) return fail(*findings.first());
    return out;
}

std::vector<std::string> policy_differences(const NetworkPolicy& policy, const NetworkPolicy& reference) {
    const auto mine = members_of(policy), theirs = members_of(reference);
    std::vector<std::string> out;
    for (std::size_t i = 0; i < mine.size(); ++i) {
        if (mine[i].json == theirs[i].json) continue;
        out.push_back(fmt::format("{}: {}, not {}", mine[i].name, mine[i].json, theirs[i].json));
    }
    return out;
}

}  // namespace ee::attestation
