#pragma once
// What the commands of one commit have changed so far, over the store as it was: commands read through it, so
// that each sees what came before it, and one that is refused leaves nothing behind.

#include <map>
#include <span>

#include "ledger/store.h"

namespace ee::ledger {

class Batch {
public:
    explicit Batch(const Store& store) : store_(store), first_leaf_(store.leaf_count()) {}
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;

    std::optional<std::string> get(Table table, std::string_view key) const;
    void put(Table table, std::string key, std::string record);
    void erase(Table table, std::string key);

    // Records whose keys begin with `prefix`, in their order, until `visit` says false; `visit` changes
    // nothing.
    void scan(Table table, std::string_view prefix, const Store::Visit& visit) const;
    // From `from` (included) on, whatever the prefix.
    void scan_from(Table table, std::string_view from, const Store::Visit& visit) const;

    // Adds an encoded leaf to the log; its index is leaf_count() as it was before.
    void append_leaf(std::string leaf) { leaves_.push_back(std::move(leaf)); }
    std::uint64_t leaf_count() const { return first_leaf_ + leaves_.size(); }
    std::optional<std::string> leaf(std::uint64_t index) const;

    // A command's beginning, to which its refusal leads back.
    struct Mark {
        std::size_t steps;
        std::size_t leaves;
    };
    Mark mark() const { return {undo_.size(), leaves_.size()}; }
    void undo_to(const Mark& mark);

    bool is_empty() const;
    std::span<const std::string> leaves() const { return leaves_; }
    // All of it, without tiles. The batch is over.
    Changes take();

private:
    using Overlay = std::map<std::string, std::optional<std::string>, std::less<>>;
    struct Step {
        Table table;
        std::string key;
        std::optional<std::optional<std::string>> before;  // outer nullopt: the batch had not touched it
    };
    void change(Table table, std::string key, std::optional<std::string> record);
    Overlay& overlay(Table table) { return overlays_[static_cast<std::size_t>(table)]; }
    const Overlay& overlay(Table table) const { return overlays_[static_cast<std::size_t>(table)]; }

    const Store& store_;
    std::uint64_t first_leaf_;
    std::array<Overlay, table_count> overlays_;
    std::vector<std::string> leaves_;
    std::vector<Step> undo_;
};

}  // namespace ee::ledger
