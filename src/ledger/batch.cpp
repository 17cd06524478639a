#include "ledger/batch.h"

#include <algorithm>

namespace ee::ledger {

std::optional<std::string> Batch::get(Table table, std::string_view key) const {
    const Overlay& changed = overlay(table);
    if (const auto found = changed.find(key); found != changed.end()) return found->second;
    return store_.get(table, key);
}

void Batch::put(Table table, std::string key, std::string record) {
    change(table, std::move(key), std::move(record));
}

void Batch::erase(Table table, std::string key) {
    change(table, std::move(key), std::nullopt);
}

void Batch::change(Table table, std::string key, std::optional<std::string> record) {
    const auto [place, is_new] = overlay(table).try_emplace(std::move(key));
    Step step{.table = table, .key = place->first, .before = std::nullopt};
    if (!is_new) step.before = std::move(place->second);
    undo_.push_back(std::move(step));
    place->second = std::move(record);
}

void Batch::scan(Table table, std::string_view prefix, const Store::Visit& visit) const {
    scan_from(table, prefix, [&](std::string_view key, std::string_view record) {
        return key.starts_with(prefix) && visit(key, record);
    });
}

void Batch::scan_from(Table table, std::string_view from, const Store::Visit& visit) const {
    const Overlay& changed = overlay(table);
    auto next = changed.lower_bound(from);
    bool over = false;
    store_.scan(table, from, [&](std::string_view key, std::string_view record) {
        for (; next != changed.end() && next->first < key; ++next)
            if (next->second && !visit(next->first, *next->second)) return !(over = true);
        if (next != changed.end() && next->first == key) {
            const auto& replaced = (next++)->second;
            if (replaced && !visit(key, *replaced)) over = true;
        } else if (!visit(key, record)) {
            over = true;
        }
        return !over;
    });
    for (; !over && next != changed.end(); ++next)
        if (next->second && !visit(next->first, *next->second)) return;
}

std::optional<std::string> Batch::leaf(std::uint64_t index) const {
    if (index < first_leaf_) return store_.leaf(index);
    if (index >= leaf_count()) return std::nullopt;
    return leaves_[index - first_leaf_];
}

void Batch::undo_to(const Mark& mark) {
    for (; undo_.size() > mark.steps; undo_.pop_back()) {
        Step& step = undo_.back();
        Overlay& changed = overlay(step.table);
        if (step.before)
            changed.find(step.key)->second = std::move(*step.before);
        else
            changed.erase(changed.find(step.key));
    }
    leaves_.resize(mark.leaves);
}

bool Batch::is_empty() const {
    return leaves_.empty() &&
           std::ranges::all_of(overlays_, [](const Overlay& changed) { return changed.empty(); });
}

Changes Batch::take() {
    Changes changes;
    for (std::size_t table = 0; table < table_count; ++table) {
        Overlay& changed = overlays_[table];
        while (!changed.empty()) {
            auto node = changed.extract(changed.begin());
            changes.records[table].emplace_back(std::move(node.key()), std::move(node.mapped()));
        }
    }
    changes.first_leaf = first_leaf_;
    changes.leaves = std::move(leaves_);
    undo_.clear();
    return changes;
}

}  // namespace ee::ledger
