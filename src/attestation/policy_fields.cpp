#include "attestation/policy_fields.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/hex.h"

namespace ee::attestation {
namespace {

using std::chrono::days;
using std::chrono::seconds;

constexpr std::int64_t grace_s_max = 366 * 86400;
// Long enough for "for ever" in practice, short enough for any date to be added.
constexpr std::int64_t grace_days_max = 36500;
constexpr std::int64_t usd_max = 1'000'000'000;
// Far more than any network names; a longer list is a mistake.
constexpr std::size_t list_max = 1024;

std::optional<std::string_view> text_of(const toml::node& value) {
    const auto* text = value.as_string();
    if (text == nullptr) return std::nullopt;
    return std::string_view(text->get());
}

bool is_word(const toml::node& value, std::string_view word) {
    return text_of(value) == word;
}

std::optional<std::int64_t> integer_of(const toml::node& value, std::int64_t min, std::int64_t max) {
    const auto* number = value.as_integer();
    if (number == nullptr || number->get() < min || number->get() > max) return std::nullopt;
    return number->get();
}

template <bool NetworkPolicy::* Member>
const toml::node* read_flag(const toml::node& value, NetworkPolicy& policy) {
    const auto* flag = value.as_boolean();
    if (flag == nullptr) return &value;
    policy.*Member = flag->get();
    return nullptr;
}

template <seconds NetworkPolicy::* Member>
const toml::node* read_seconds(const toml::node& value, NetworkPolicy& policy) {
    const auto number = integer_of(value, 0, grace_s_max);
    if (!number) return &value;
    policy.*Member = seconds(*number);
    return nullptr;
}

// Calls insert(text) for each element, which answers whether it is one. An empty list would allow, or ask
// for, nothing: where that is meant there is a word for it.
template <class Insert>
const toml::node* read_list(const toml::node& value, Insert&& insert, std::size_t size_min = 1) {
    const toml::array* list = value.as_array();
    if (list == nullptr || list->size() < size_min || list->size() > list_max) return &value;
    for (const toml::node& element : *list) {
        const auto text = text_of(element);
        if (!text || !insert(*text)) return &element;
    }
    return nullptr;
}

const toml::node* read_tcb_accepted(const toml::node& value, NetworkPolicy& policy) {
    policy.tcb_accepted = {};
    return read_list(value, [&](std::string_view text) {
        const auto status = parse_tcb_status(text);
        // No network takes a platform that nobody has evaluated.
        if (!status || *status == TcbStatus::not_evaluated) return false;
        policy.tcb_accepted.insert(*status);
        return true;
    });
}

const toml::node* read_mr_service_td(const toml::node& value, NetworkPolicy& policy) {
    policy.mr_service_td_zero = is_word(value, "zero");
    return policy.mr_service_td_zero || is_word(value, "any") ? nullptr : &value;
}

const toml::node* read_xfam(const toml::node& value, NetworkPolicy& policy) {
    policy.xfam_allowed.reset();
    if (is_word(value, "any")) return nullptr;
    std::uint64_t mask = 0;
    if (const auto number = integer_of(value, 0, std::numeric_limits<std::int64_t>::max())) {
        mask = static_cast<std::uint64_t>(*number);
    } else {
        const auto text = text_of(value);
        if (!text || !text->starts_with("0x")) return &value;
        const auto [end, error] = std::from_chars(text->data() + 2, text->data() + text->size(), mask, 16);
        if (error != std::errc{} || end != text->data() + text->size()) return &value;
    }
    // Every TD has x87 and SSE state: a mask without them admits none.
    constexpr std::uint64_t always_set = 3;
    if ((mask & always_set) != always_set) return &value;
    policy.xfam_allowed = mask;
    return nullptr;
}

const toml::node* read_evaluation_min(const toml::node& value, NetworkPolicy& policy) {
    policy.tcb_evaluation_min.reset();
    if (is_word(value, "none")) return nullptr;
    const auto number = integer_of(value, 1, std::numeric_limits<std::int32_t>::max());
    if (!number) return &value;
    policy.tcb_evaluation_min = static_cast<std::uint64_t>(*number);
    return nullptr;
}

const toml::node* read_platform_grace(const toml::node& value, NetworkPolicy& policy) {
    policy.platform_grace.reset();
    if (is_word(value, "any")) return nullptr;
    const auto number = integer_of(value, 0, grace_days_max);
    if (!number) return &value;
    policy.platform_grace = days(static_cast<days::rep>(*number));
    return nullptr;
}

// A mistyped one would be refused nowhere.
bool is_advisory(std::string_view text) {
    constexpr std::string_view prefix = "INTEL-SA-";
    if (!text.starts_with(prefix)) return false;
    const std::string_view digits = text.substr(prefix.size());
    return digits.size() == 5 &&
           std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
}

const toml::node* read_advisories(const toml::node& value, NetworkPolicy& policy) {
    policy.advisories_refused.clear();
    if (is_word(value, "none")) return nullptr;
    return read_list(value, [&](std::string_view text) {
        policy.advisories_refused.emplace(text);
        return is_advisory(text);
    });
}

const toml::node* read_binding(const toml::node& value, NetworkPolicy& policy) {
    for (const Binding binding : {Binding::nonce, Binding::key, Binding::ratls, Binding::channel}) {
        if (!is_word(value, to_string(binding))) continue;
        policy.binding_min = binding;
        return nullptr;
    }
    return &value;
}

const toml::node* read_legacy_cidrs(const toml::node& value, NetworkPolicy& policy) {
    policy.legacy_cidrs.clear();
    if (is_word(value, "any")) return nullptr;
    return read_list(value, [&](std::string_view text) {
        const auto network = Cidr::parse(text);
        if (network) policy.legacy_cidrs.push_back(*network);
        return network.has_value();
    });
}

const toml::node* read_registers(const toml::node& value, NetworkPolicy& policy) {
    using enum QuoteRegister;
    policy.registers_required.clear();
    const auto insert = [&](std::string_view text) {
        for (const QuoteRegister which : {mrtd, rtmr0, rtmr1, rtmr2, rtmr3}) {
            if (text != to_string(which)) continue;
            policy.registers_required.insert(which);
            return true;
        }
        return false;
    };
    return read_list(value, insert, 0);
}

const toml::node* read_claims(const toml::node& value, NetworkPolicy& policy) {
    policy.claims_required.clear();
    const auto is_claim_char = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-' || c == '.';
    };
    const auto insert = [&](std::string_view text) {
        policy.claims_required.emplace(text);
        return !text.empty() && text.size() <= 128 && std::all_of(text.begin(), text.end(), is_claim_char);
    };
    return read_list(value, insert, 0);
}

const toml::node* read_join(const toml::node& value, NetworkPolicy& policy) {
    constexpr std::array<std::pair<std::string_view, Join>, 3> words = {
        {{"open", Join::open}, {"node", Join::node}, {"listed", Join::listed}}};
    for (const auto& [word, join] : words) {
        if (!is_word(value, word)) continue;
        policy.join = join;
        return nullptr;
    }
    return &value;
}

const toml::node* read_evidence(const toml::node& value, NetworkPolicy& policy) {
    policy.evidence = is_word(value, "app") ? EvidenceVisibility::private_ : EvidenceVisibility::public_;
    return is_word(value, "app") || is_word(value, "public") ? nullptr : &value;
}

template <std::size_t Size, class Set>
const toml::node* read_hex_list(const toml::node& value, Set& out) {
    out.clear();
    if (is_word(value, "any")) return nullptr;
    return read_list(value, [&](std::string_view text) {
        const auto bytes = from_hex_exact<Size>(text);
        if (bytes) out.insert(*bytes);
        return bytes.has_value();
    });
}

const toml::node* read_fmspcs(const toml::node& value, NetworkPolicy& policy) {
    return read_hex_list<6>(value, policy.fmspc_allowed);
}

const toml::node* read_platforms(const toml::node& value, NetworkPolicy& policy) {
    return read_hex_list<32>(value, policy.platforms_allowed);
}

template <std::size_t Tier>
constexpr std::string_view tier_name =
    std::array<std::string_view, 3>{"premium", "standard", "economy"}[Tier];

template <std::size_t Tier>
const toml::node* read_stake_min(const toml::node& value, NetworkPolicy& policy) {
    const auto number = integer_of(value, 0, usd_max);
    if (!number) return &value;
    policy.stake_min_usd[std::string(tier_name<Tier>)] = *number;
    return nullptr;
}

constexpr std::string_view flag = "true or false";
constexpr std::string_view grace = "a whole number of seconds from 0 to 31622400";
constexpr std::string_view usd = "whole dollars from 0 to 1000000000";

constexpr PolicyField allowlist_fields[] = {
    {"quote_measurements", "a list of mrtd, rtmr0, rtmr1, rtmr2, rtmr3", read_registers},
    {"measurements", "a list of names of claims, each 1 to 128 of A-Z, a-z, 0-9, ., _ and -", read_claims},
    {"may_be_absent", flag, read_flag<&NetworkPolicy::allowlist_may_be_absent>},
};

constexpr PolicyField stake_fields[] = {
    {tier_name<0>, usd, read_stake_min<0>},
    {tier_name<1>, usd, read_stake_min<1>},
    {tier_name<2>, usd, read_stake_min<2>},
};

constexpr PolicyField fields[] = {
    {"sealed", flag, read_flag<&NetworkPolicy::sealed_required>},
    {"tcb_accepted",
     "a list of UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, "
     "OutOfDate, "
     "OutOfDateConfigurationNeeded, TDRelaunchAdvised, TDRelaunchAdvisedConfigurationNeeded, Revoked",
     read_tcb_accepted},
    {"debug", flag, read_flag<&NetworkPolicy::debug_allowed>},
    {"sept_ve_disable", flag, read_flag<&NetworkPolicy::sept_ve_disable_required>},
    {"mr_servicetd", "\"zero\" or \"any\"", read_mr_service_td},
    {"xfam",
     "\"any\", or the bits that may be set: a number or a text such as \"0xe742e7\", bits 0 and 1 among them",
     read_xfam},
    {"perfmon", flag, read_flag<&NetworkPolicy::perfmon_allowed>},
    {"key_locker", flag, read_flag<&NetworkPolicy::key_locker_allowed>},
    {"tcb_evaluation_min", "\"none\" or a whole number from 1", read_evaluation_min},
    {"collateral_grace_s", grace, read_seconds<&NetworkPolicy::collateral_grace>},
    {"platform_grace_days", "\"any\" or a whole number of days from 0 to 36500", read_platform_grace},
    {"advisories_refused", "\"none\" or a list of advisories such as \"INTEL-SA-00837\"", read_advisories},
    {"simulated_root", flag, read_flag<&NetworkPolicy::simulated_root_allowed>},
    {"binding", "\"nonce\", \"key\", \"ratls\" or \"channel\"", read_binding},
    {"legacy_ratls", flag, read_flag<&NetworkPolicy::legacy_ratls>},
    {"legacy_none", flag, read_flag<&NetworkPolicy::legacy_none_allowed>},
    {"legacy_cidrs", "\"any\" or a list of networks such as \"10.0.0.0/8\"", read_legacy_cidrs},
    {"allowlist", "a table", nullptr, allowlist_fields},
    {"join", "\"open\", \"node\" or \"listed\"", read_join},
    {"stake_required", flag, read_flag<&NetworkPolicy::stake_required>},
    {"stake_min_usd", "a table", nullptr, stake_fields},
    {"price_required", flag, read_flag<&NetworkPolicy::price_required>},
    {"funded", flag, read_flag<&NetworkPolicy::funded_required>},
    {"evidence", "\"public\" or \"app\"", read_evidence},
    {"evidence_grace_s", grace, read_seconds<&NetworkPolicy::evidence_grace>},
    {"fmspc_allowed", "\"any\" or a list of FMSPCs, 12 hex characters each", read_fmspcs},
    {"platforms_allowed", "\"any\" or a list of SHA-256 of PPIDs, 64 hex characters each", read_platforms},
};

}  // namespace

std::span<const PolicyField> policy_fields() {
    return fields;
}

}  // namespace ee::attestation
