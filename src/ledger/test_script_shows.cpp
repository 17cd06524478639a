// How a script looks at what there is.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "ledger/books.h"
#include "ledger/kept_evidence.h"
#include "ledger/locks.h"
#include "ledger/nodes.h"
#include "ledger/outcome.h"
#include "ledger/terms.h"
#include "ledger/test_script.h"

namespace ee::ledger {
namespace {

std::string joined(const std::vector<std::string>& texts, std::string_view by) {
    return fmt::format("{}", fmt::join(texts, by));
}

}  // namespace

// show ACCOUNT: available, and locked where anything is.
std::string Script::show(const Words& words) {
    const auto account = find_account(Batch(*store_), words.at(1));
    if (!account) return "none";
    if (account->locked.is_zero()) return to_usd(account->available);
    return fmt::format("{} and {} locked", to_usd(account->available), to_usd(account->locked));
}

std::string Script::show_lock(const Words& words) {
    const auto lock = find_lock(Batch(*store_), id_of(words.at(1)));
    if (!lock) return "none";
    return fmt::format("{} of {} {}", to_usd(lock->drawn), to_usd(lock->amount), to_word(lock->state));
}

std::string Script::show_unit(const Words& words) {
    const Place place = place_of(words.at(1));
    const auto unit = find_unit(Batch(*store_), {period_of(words.at(2)), place.node, place.app});
    if (!unit) return "none";
    std::string out(to_word(unit->outcome));
    if (!unit->reasons.empty()) out += " (" + joined(unit->reasons, ", ") + ")";
    if (unit->is_settled()) {
        out += fmt::format(", {} paid, {} returned", to_usd(unit->paid), to_usd(unit->returned));
        const std::string bundle = evidence_json(Batch(*store_), *unit);
        const auto evidence = evidence_from_json(bundle);
        EXPECT_TRUE(evidence) << evidence.error().detail;
        if (!evidence) return out;
        EXPECT_EQ(to_json(*evidence), bundle);
        // P3: whoever has the evidence comes to the same.
        if (!unit->reasons.empty() && unit->reasons[0].starts_with("resolved")) return out;
        const Judgement again = judge(*evidence);
        EXPECT_EQ(again.outcome, unit->outcome);
        EXPECT_EQ(again.reasons, unit->reasons);
    }
    return out;
}

// show-node ID: stake by its parts, open units.
std::string Script::show_node(const Words& words) {
    const Batch batch(*store_);
    const auto found = find_node(batch, words.at(1));
    if (!found) return "none";
    std::vector<std::string> parts;
    for (const StakePart& part : found->stake_parts)
        parts.push_back(fmt::format("{} of {}", to_usd(part.amount), part.source));
    return fmt::format("stake {}{}, {} open{}", to_usd(stake_of(batch, words.at(1))),
                       parts.empty() ? "" : " (" + joined(parts, ", ") + ")", found->open_units,
                       found->banned ? ", banned" : "");
}

// show-terms ID TIME
std::string Script::show_terms(const Words& words) {
    const auto terms = terms_at(Batch(*store_), words.at(1), time_of(words.at(2)));
    if (!terms) return "none";
    return fmt::format("{} vCPUs at {}, {}", terms->capacity_vcpus,
                       terms->price ? to_usd(*terms->price) : "no price", to_word(terms->tier));
}

std::string Script::show_slashings(const Words&) {
    std::vector<std::string> all;
    store_->scan(Table::slashings, "", [&](std::string_view, std::string_view record) {
        const Slashing s = Slashing::decode(record);
        all.push_back(fmt::format("{} {} {} {}", s.node, s.cause, to_usd(s.amount), to_word(s.state)));
        return true;
    });
    return all.empty() ? "none" : joined(all, "; ");
}

}  // namespace ee::ledger
