#include "registry/node.h"

#include <algorithm>

#include "base/check.h"

namespace ee::registry {

std::string_view to_word(NodeTier tier) {
    switch (tier) {
        case NodeTier::premium: return "premium";
        case NodeTier::standard: return "standard";
        case NodeTier::economy: return "economy";
    }
    EE_CHECK(false);
}

std::string_view to_word(NodeLack lack) {
    switch (lack) {
        case NodeLack::nothing: return "";
        case NodeLack::funding: return "unfunded";
        case NodeLack::price: return "no_price";
        case NodeLack::stake: return "no_stake";
        case NodeLack::standing: return "banned";
    }
    EE_CHECK(false);
}

void Node::set_banned(bool banned) {
    banned_ = banned;
    changed();
}

void Node::set_stake(std::int64_t stake) {
    stake_ = stake;
    changed();
}

void Node::set_windows(WallTime cell, std::uint32_t expected, std::uint32_t passed, WallTime lived) {
    windows_.set(cell, expected, passed, lived);
    changed();
}

void Node::set_terms(WallTime from, const NodeTerms& terms) {
    auto place = std::lower_bound(terms_.begin(), terms_.end(), from,
                                  [](const auto& known, WallTime at) { return known.first < at; });
    if (place != terms_.end() && place->first == from)
        place->second = terms;
    else
        terms_.emplace(place, from, terms);
    changed();
}

NodeTerms Node::terms_at(WallTime ledger) const {
    const auto after = std::upper_bound(terms_.begin(), terms_.end(), ledger,
                                        [](WallTime at, const auto& known) { return at < known.first; });
    return after == terms_.begin() ? NodeTerms{} : std::prev(after)->second;
}

void Node::hold(const HeldLock& lock) {
    locks_[lock.cell][{lock.account, lock.app}].insert(lock.id);
    changed();
}

void Node::let_go(const HeldLock& lock) {
    changed();
    const auto cell = locks_.find(lock.cell);
    if (cell == locks_.end()) return;
    const auto payer = cell->second.find(PayerView{lock.account, lock.app});
    if (payer == cell->second.end()) return;
    payer->second.erase(lock.id);
    if (payer->second.empty()) cell->second.erase(payer);
    if (cell->second.empty()) locks_.erase(cell);
}

bool Node::is_funded(std::string_view account, std::string_view app, WallTime cell) const {
    if (account.empty()) return false;
    const auto found = locks_.find(cell);
    if (found == locks_.end()) return false;
    return found->second.contains(PayerView{account, app}) ||
           found->second.contains(PayerView{account, std::string_view()});
}

void Node::add_abuse(std::uint64_t report, WallTime authorized_at) {
    const auto known =
        std::find_if(abuse_.begin(), abuse_.end(), [&](const auto& one) { return one.first == report; });
    if (known == abuse_.end()) abuse_.emplace_back(report, authorized_at);
    changed();
}

router::NodeRecord Node::record_at(WallTime lived) const {
    const NodeWindows::Sum sum = windows_.sum_at(lived);
    router::NodeRecord out{.windows = sum.expected, .windows_passed = sum.passed};
    for (const auto& [report, authorized_at] : abuse_)
        if (authorized_at > lived - abuse_counts_for) ++out.abuse_reports;
    return out;
}

NodeSpan Node::span_around(const NodeTime& time) const {
    // What lies before `lived` is not asked for again.
    NodeSpan out{.ledger_from = time.cell,
                 .ledger_until = time.cell_end,
                 .lived_from = time.lived,
                 .lived_until = windows_.holds_until(time.lived)};
    for (const auto& [from, terms] : terms_) {
        if (from <= time.ledger)
            out.ledger_from = std::max(out.ledger_from, from);
        else
            out.ledger_until = std::min(out.ledger_until, from);
    }
    for (const auto& [report, authorized_at] : abuse_)
        if (authorized_at + abuse_counts_for > time.lived)
            out.lived_until = std::min<WallTime>(out.lived_until, authorized_at + abuse_counts_for);
    return out;
}

NodeLack lack_of(const Node* node, const NodeRules& rules, std::string_view account, std::string_view app,
                 const NodeTime& now) {
    if (node != nullptr && node->is_banned()) return NodeLack::standing;
    if (rules.ask_nothing()) return NodeLack::nothing;
    const NodeTerms terms = node != nullptr ? node->terms_at(now.ledger) : NodeTerms{};
    if (rules.stake_required) {
        const std::int64_t stake = node != nullptr ? node->stake() : 0;
        if (stake <= 0 || stake < rules.stake_min[static_cast<std::size_t>(terms.tier)])
            return NodeLack::stake;
    }
    if (rules.price_required && !terms.price) return NodeLack::price;
    if (rules.funded_required && (node == nullptr || !node->is_funded(account, app, now.cell)))
        return NodeLack::funding;
    return NodeLack::nothing;
}

}  // namespace ee::registry
