#include "cli/leaf_words.h"

#include <fmt/format.h>

#include "base/base64.h"
#include "base/hex.h"
#include "base/printable.h"
#include "base/time.h"

namespace ee::cli {
namespace {

using ledger::FieldType;
using ledger::Leaf;
using ledger::LeafKind;

// Texts of a leaf come from strangers.
std::string shown(std::string_view text) {
    return text.empty() ? "none" : printable(text);
}

std::string named(const Leaf& leaf, std::string_view name) {
    return shown(leaf.text(name));
}

// With its sign, for what was added or taken.
std::string change_text(std::int64_t micros) {
    return (micros < 0 ? "" : "+") + usd_text(micros);
}

std::string entry_words(const Leaf& leaf) {
    return fmt::format(
        "account {}: {} USD available, {} USD locked; after it {} USD available, {} USD locked. "
        "A {} against {}, transfer {}, reference {}, memo {}",
        named(leaf, "account"), change_text(leaf.i64("available_delta")),
        change_text(leaf.i64("locked_delta")), usd_text(leaf.i64("available_after")),
        usd_text(leaf.i64("locked_after")), named(leaf, "transfer_kind"), named(leaf, "counterparty"),
        leaf.u64("transfer"), named(leaf, "reference"), named(leaf, "memo"));
}

std::string settlement_words(const Leaf& leaf) {
    return fmt::format(
        "cell {} of node {}, app {}: {} (reasons: {}). {} USD paid to the node, {} USD returned; by rule "
        "version {} on the evidence {}",
        named(leaf, "cell"), named(leaf, "node"), named(leaf, "app"), named(leaf, "outcome"),
        named(leaf, "reasons"), usd_text(leaf.i64("paid")), usd_text(leaf.i64("returned")),
        leaf.u64("rule_version"), to_hex(leaf.bytes("evidence_sha256")));
}

std::string usage_words(const Leaf& leaf) {
    return fmt::format(
        "account {} used {} vCPU-hours of node {}, app {}, in cell {}: {} USD, {} USD of it uncollected; "
        "report {}",
        named(leaf, "account"), usd_text(leaf.i64("micro_hours")), named(leaf, "node"), named(leaf, "app"),
        named(leaf, "cell"), usd_text(leaf.i64("amount")), usd_text(leaf.i64("uncollected")),
        named(leaf, "report_id"));
}

std::string log_key_words(const Leaf& leaf) {
    return fmt::format(
        "from here on the log is signed by {} of release {} of {}; before it the log had {} "
        "leaves, root {}. {}",
        to_hex(leaf.bytes("public_key")), named(leaf, "release_tag"), named(leaf, "repo"),
        leaf.u64("last_size"), to_hex(leaf.bytes("last_root")),
        leaf.bytes("quote").empty() ? "No quote binds the key" : "A quote binds the key");
}

// What becomes of the stake; the state is at the end of the cause.
std::string_view slashing_verb(std::string_view cause) {
    if (cause.ends_with(":proposed")) return "is to lose";
    return cause.ends_with(":dismissed") ? "is not to lose" : "loses";
}

std::string conduct_words(const Leaf& leaf) {
    switch (leaf.kind) {
        case LeafKind::abuse_decision:
            return fmt::format("abuse report {} on node {}, app {}, for {}: {}, decided by {}",
                               named(leaf, "report_id"), named(leaf, "node"), named(leaf, "app"),
                               named(leaf, "period"), named(leaf, "decision"), named(leaf, "decided_by"));
        case LeafKind::slashing:
            return fmt::format("slashing {}: node {} {} {} USD of its stake for {}: {}",
                               named(leaf, "slashing_id"), named(leaf, "node"),
                               slashing_verb(leaf.text("cause")), usd_text(leaf.i64("amount")),
                               named(leaf, "cause"), named(leaf, "reason"));
        case LeafKind::outage:
            return fmt::format("the control plane was out from {} to {}: {}", time_text(leaf.i64("from")),
                               time_text(leaf.i64("to")), named(leaf, "cause"));
        default:
            return fmt::format("node {}, app {}: {} observed from {} to {}, event {}, evidence {}",
                               named(leaf, "node"), named(leaf, "app"), named(leaf, "type"),
                               time_text(leaf.i64("from")), time_text(leaf.i64("to")),
                               named(leaf, "event_id"), named(leaf, "evidence_url"));
    }
}

std::string rules_words(const Leaf& leaf) {
    switch (leaf.kind) {
        case LeafKind::allowlist:
            return fmt::format("the allowlist {} came into force for release {} of {}, accepted by {}",
                               to_hex(leaf.bytes("sha256")), named(leaf, "release_tag"), named(leaf, "repo"),
                               named(leaf, "accepted_by"));
        case LeafKind::policy:
            return fmt::format("the policy {} came into force for network {}", to_hex(leaf.bytes("sha256")),
                               named(leaf, "network"));
        case LeafKind::call:
            return fmt::format("{} called {} {}, request {}", named(leaf, "principal"), named(leaf, "method"),
                               named(leaf, "path"), to_hex(leaf.bytes("request_sha256")));
        case LeafKind::restored:
            return fmt::format("the log was restored from a copy of {} leaves; {} after it were lost",
                               leaf.u64("size"), leaf.u64("lost_size"));
        default: return fmt::format("settlement works by the {}", named(leaf, "settle_period"));
    }
}

// The members that fields become.
void write_field(JsonWriter& json, const ledger::FieldRule& rule, const Leaf& leaf) {
    json.key(rule.name);
    switch (rule.type) {
        case FieldType::u64: json.value(leaf.u64(rule.name)); break;
        case FieldType::i64: json.value(leaf.i64(rule.name)); break;
        case FieldType::text: json.value(leaf.text(rule.name)); break;
        case FieldType::bytes: json.value(to_base64(leaf.bytes(rule.name))); break;
        case FieldType::digest:
        case FieldType::digest_or_empty: json.value(to_hex(leaf.bytes(rule.name))); break;
    }
}

}  // namespace

std::string usd_text(std::int64_t micros) {
    const std::uint64_t size =
        micros < 0 ? 0 - static_cast<std::uint64_t>(micros) : static_cast<std::uint64_t>(micros);
    std::string out = fmt::format("{}{}.{:06}", micros < 0 ? "-" : "", size / 1'000'000, size % 1'000'000);
    out.erase(out.find_last_not_of('0') + 1);
    if (out.back() == '.') out.pop_back();
    return out;
}

std::string time_text(std::int64_t time_us) {
    constexpr std::int64_t end_of_9999_us = 253'402'300'799'999'999;
    if (time_us < 0 || time_us > end_of_9999_us) return fmt::format("{} us", time_us);
    return to_rfc3339(WallTime(std::chrono::milliseconds(time_us / 1000)));
}

std::string leaf_in_words(const Leaf& leaf) {
    switch (leaf.kind) {
        case LeafKind::entry: return entry_words(leaf);
        case LeafKind::settlement: return settlement_words(leaf);
        case LeafKind::usage: return usage_words(leaf);
        case LeafKind::log_key: return log_key_words(leaf);
        case LeafKind::abuse_decision:
        case LeafKind::slashing:
        case LeafKind::outage:
        case LeafKind::observation: return conduct_words(leaf);
        case LeafKind::allowlist:
        case LeafKind::policy:
        case LeafKind::call:
        case LeafKind::restored:
        case LeafKind::grid: return rules_words(leaf);
    }
    return {};
}

void write_leaf(JsonWriter& json, const Leaf& leaf) {
    json.begin_object()
        .field("kind", ledger::to_string(leaf.kind))
        .field("seq", leaf.seq)
        .field("time", time_text(leaf.time_us))
        .field("time_us", leaf.time_us)
        .key("fields")
        .begin_object();
    for (const ledger::FieldRule& rule : ledger::find_leaf_kind(static_cast<std::uint8_t>(leaf.kind))->fields)
        write_field(json, rule, leaf);
    json.end_object().end_object();
}

}  // namespace ee::cli
