#include "cli/recorded_unit.h"

#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/hex.h"
#include "crypto/digest.h"

namespace ee::cli {
namespace {

using ledger::Money;
using simdjson::dom::array;
using simdjson::dom::element;

constexpr std::string_view resolved = "resolved: ";

// What is wrong is told once.
class Members {
public:
    Members(element object, std::optional<Error>& error) : object_(object), error_(error) {}

    std::string text(const char* name) {
        std::string_view out;
        if (object_[name].get(out) != simdjson::SUCCESS) refuse(name, "it is no text");
        return std::string(out);
    }
    std::string text_or_null(const char* name) {
        element member;
        return object_[name].get(member) == simdjson::SUCCESS && member.is_null() ? "" : text(name);
    }
    Money money(const char* name) {
        const auto sum = ledger::parse_total(text(name));
        if (!sum) refuse(name, "it is no sum in USD");
        return sum.value_or(Money{});
    }
    std::vector<element> list(const char* name) {
        std::vector<element> out;
        array items;
        if (object_[name].get(items) != simdjson::SUCCESS)
            refuse(name, "it is no list");
        else
            for (const element item : items) out.push_back(item);
        return out;
    }
    bool flag(const char* name) {
        bool out = false;
        if (object_[name].get(out) != simdjson::SUCCESS) refuse(name, "it is neither true nor false");
        return out;
    }

private:
    void refuse(const char* name, std::string detail) {
        if (!error_) error_ = Error{fmt::format("settlement_invalid:{}", name), std::move(detail)};
    }

    element object_;
    std::optional<Error>& error_;
};

std::string digest_of(const ledger::UnitEvidence& evidence) {
    return to_hex(crypto::sha256(as_bytes(to_json(evidence))));
}

// What each lock comes to follows from the outcome, and the sums from that.
std::optional<Error> difference_of_transfers(const RecordedUnit& recorded) {
    const bool is_settled = recorded.is_settled();
    if (!is_settled && !recorded.transfers.empty())
        return Error{"transfers_mismatch:0",
                     fmt::format("of a unit that is {} nothing moves", recorded.outcome)};
    Money paid, returned;
    for (std::size_t i = 0; i < recorded.transfers.size(); ++i) {
        const RecordedUnit::Transfer& one = recorded.transfers[i];
        const Money due = recorded.outcome == "pass" ? one.drawn : Money{};
        const auto both = checked_add(one.paid, one.returned);
        if (one.paid != due || one.paid > one.amount || both != one.amount)
            return Error{fmt::format("transfers_mismatch:{}", i),
                         fmt::format("of {} USD, {} drawn, a {} pays {}; recorded are {} paid, {} returned",
                                     to_usd(one.amount), to_usd(one.drawn), recorded.outcome, to_usd(due),
                                     to_usd(one.paid), to_usd(one.returned))};
        paid = checked_add(paid, one.paid).value_or(ledger::largest_money);
        returned = checked_add(returned, one.returned).value_or(ledger::largest_money);
    }
    // Those that are not shown can only add to the sums.
    const bool all_are_shown = recorded.transfers_complete || !is_settled;
    const auto compare = [](const char* name, Money sum, Money said, bool is_all) -> std::optional<Error> {
        if (is_all ? sum == said : sum <= said) return std::nullopt;
        return Error{fmt::format("transfers_mismatch:{}", name),
                     fmt::format("the transfers{} come to {} USD, recorded are {}",
                                 is_all ? "" : " that are shown", to_usd(sum), to_usd(said))};
    };
    const bool pays = recorded.outcome == "pass";
    if (auto differs = compare("paid_usd", paid, recorded.paid, all_are_shown || !pays)) return differs;
    return compare("returned_usd", returned, recorded.returned, all_are_shown);
}

}  // namespace

bool RecordedUnit::is_resolved() const {
    return is_settled() && reasons.size() == 1 && reasons[0].starts_with(resolved);
}

Result<RecordedUnit> read_recorded_unit(element item) {
    std::optional<Error> error;
    Members in(item, error);
    RecordedUnit out{.cell = in.text("cell"),
                     .node = in.text("node_id"),
                     .app = in.text_or_null("app_name"),
                     .outcome = in.text("outcome"),
                     .sha256 = in.text_or_null("evidence_sha256")};
    element settled_at;
    out.has_settled_at = item["settled_at"].get(settled_at) == simdjson::SUCCESS && !settled_at.is_null();
    for (const element reason : in.list("reasons"))
        if (std::string_view text; reason.get(text) == simdjson::SUCCESS) out.reasons.emplace_back(text);
    out.paid = in.money("paid_usd");
    out.returned = in.money("returned_usd");
    for (const element transfer : in.list("transfers")) {
        Members of(transfer, error);
        out.transfers.push_back({.amount = of.money("amount_usd"),
                                 .drawn = of.money("drawn_usd"),
                                 .paid = of.money("paid_usd"),
                                 .returned = of.money("returned_usd")});
    }
    out.transfers_complete = in.flag("transfers_complete");
    if (error) return fail(*std::move(error));
    return out;
}

std::optional<Error> difference_without_evidence(const RecordedUnit& recorded, bool has_receipt) {
    const bool is_open = recorded.outcome == "open" && recorded.sha256.empty() && recorded.reasons.empty() &&
                         !recorded.has_settled_at && recorded.transfers.empty() && recorded.paid.is_zero() &&
                         recorded.returned.is_zero();
    if (is_open && !has_receipt) return std::nullopt;
    return Error{"evidence_missing",
                 fmt::format("recorded are {} [{}], {} USD paid and {} returned{}", recorded.outcome,
                             fmt::join(recorded.reasons, ", "), to_usd(recorded.paid),
                             to_usd(recorded.returned), has_receipt ? ", with a receipt" : "")};
}

std::optional<Error> difference_of(const RecordedUnit& recorded, const ledger::UnitEvidence& evidence,
                                   const ledger::Judgement& judgement) {
    const ledger::UnitName& unit = evidence.unit;
    if (recorded.cell != to_text(unit.cell) || recorded.node != unit.node || recorded.app != unit.app)
        return Error{"unit_mismatch",
                     fmt::format("it is recorded for {} {} {}, the evidence is of {} {} {}", recorded.cell,
                                 recorded.node, recorded.app, to_text(unit.cell), unit.node, unit.app)};
    if (const std::string digest = digest_of(evidence); digest != recorded.sha256)
        return Error{"evidence_mismatch",
                     fmt::format("its digest is {}, recorded is {}", digest, recorded.sha256)};
    const bool is_open_to_the_admin =
        recorded.is_resolved() && judgement.outcome == ledger::Outcome::inconclusive;
    if (!is_open_to_the_admin &&
        (to_word(judgement.outcome) != recorded.outcome || judgement.reasons != recorded.reasons))
        return Error{"outcome_mismatch",
                     fmt::format("it comes to {} [{}], recorded is {} [{}]", to_word(judgement.outcome),
                                 fmt::join(judgement.reasons, ", "), recorded.outcome,
                                 fmt::join(recorded.reasons, ", "))};
    return difference_of_transfers(recorded);
}

std::optional<Error> difference_of(const RecordedUnit& recorded, const ledger::UnitEvidence& evidence,
                                   const ledger::Receipt& receipt) {
    const auto verified = verify_receipt(receipt);
    if (!verified) return verified.error();
    const ledger::Leaf& leaf = verified->leaf();
    if (leaf.kind != ledger::LeafKind::settlement)
        return Error{"leaf_mismatch:kind",
                     fmt::format("the receipt is of a leaf of kind {}", to_string(leaf.kind))};
    const auto usd = [&](std::string_view name) { return to_usd(Money(leaf.i64(name))); };
    const std::array<std::array<std::string, 3>, 8> fields{{
        {"cell", std::string(leaf.text("cell")), recorded.cell},
        {"node", std::string(leaf.text("node")), recorded.node},
        {"app", std::string(leaf.text("app")), recorded.app},
        {"outcome", std::string(leaf.text("outcome")), recorded.outcome},
        {"reasons", std::string(leaf.text("reasons")), fmt::format("{}", fmt::join(recorded.reasons, ","))},
        {"paid", usd("paid"), to_usd(recorded.paid)},
        {"returned", usd("returned"), to_usd(recorded.returned)},
        {"evidence_sha256", to_hex(leaf.bytes("evidence_sha256")), recorded.sha256},
    }};
    for (const auto& [name, logged, said] : fields)
        if (logged != said)
            return Error{"leaf_mismatch:" + name,
                         fmt::format("the log says {}, the settlement {}", logged, said)};
    if (verified->leaf_index() < evidence.log_size)
        return Error{"leaf_mismatch:log_size",
                     fmt::format("it is leaf {}, and the evidence was gathered after {} leaves",
                                 verified->leaf_index(), evidence.log_size)};
    return std::nullopt;
}

}  // namespace ee::cli
