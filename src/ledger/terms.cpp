#include "ledger/terms.h"

#include <limits>

namespace ee::ledger {
namespace {

constexpr std::uint64_t last_seq = std::numeric_limits<std::uint64_t>::max();

// Records of `node` in `table`, from the newest at `at` back, until `visit` says false.
template <class Record, class Visit>
void look_back(const Batch& batch, Table table, std::string_view node, LedgerTime at, const Visit& visit) {
    const std::string prefix = Record::prefix(node);
    batch.scan_from(
        table, Record::key(node, at, last_seq), [&](std::string_view key, std::string_view record) {
            return key.starts_with(prefix) && visit(Record::from_key(key), Record::decode(record));
        });
}

template <class Record>
std::optional<Record> newest_at(const Batch& batch, Table table, std::string_view node, LedgerTime at) {
    std::optional<Record> found;
    look_back<Record>(batch, table, node, at, [&](LedgerTime, Record record) {
        found = std::move(record);
        return false;
    });
    return found;
}

// A number that no record of the same time has; the greater one is the newer.
std::uint64_t next_seq(const Batch& batch) {
    return batch.leaf_count() << 16 | (batch.mark().steps & 0xffff);
}

}  // namespace

std::optional<Terms> terms_at(const Batch& batch, std::string_view node, LedgerTime at) {
    return newest_at<Terms>(batch, Table::terms, node, at);
}

std::optional<AnnouncedTerms> announced_terms(const Batch& batch, std::string_view node, LedgerTime now) {
    std::optional<AnnouncedTerms> found;
    look_back<Terms>(batch, Table::terms, node, now + std::chrono::days(2),
                     [&](LedgerTime from, Terms terms) {
                         if (from > now) found = AnnouncedTerms{from, std::move(terms)};
                         return false;
                     });
    return found;
}

std::optional<Terms> terms_of_cell(const Batch& batch, std::string_view node, const Period& cell) {
    std::optional<Terms> found;
    visit_terms_of_cell(batch, node, cell, [&](LedgerTime, Terms terms) {
        // Where no price was posted yet, the first one in the cell is it.
        if (!terms.price && found) terms.price = found->price;
        found = std::move(terms);
    });
    return found;
}

void visit_terms_of_cell(const Batch& batch, std::string_view node, const Period& cell,
                         const std::function<void(LedgerTime from, Terms terms)>& visit) {
    const LedgerTime last = LedgerTime{cell.end} - std::chrono::microseconds{1};
    look_back<Terms>(batch, Table::terms, node, last, [&](LedgerTime from, Terms terms) {
        visit(from, std::move(terms));
        return from > cell.start;
    });
}

Hours capacity_of(const Terms& terms, const Period& cell) {
    const ExactCost micro =
        static_cast<ExactCost>(terms.capacity_vcpus) * cell.length().count() * 1'000'000 / 3600;
    constexpr ExactCost most = std::numeric_limits<std::int64_t>::max();
    return Hours(static_cast<std::int64_t>(micro < most ? micro : most));
}

std::optional<Standing> standing_at(const Batch& batch, std::string_view node, LedgerTime at) {
    return newest_at<Standing>(batch, Table::standing, node, at);
}

bool held_standing(const Batch& batch, std::string_view node, const Period& cell) {
    bool good = true;
    bool covered = false;
    const LedgerTime last = LedgerTime{cell.end} - std::chrono::microseconds{1};
    look_back<Standing>(batch, Table::standing, node, last, [&](LedgerTime from, const Standing& standing) {
        good = standing.is_good();
        covered = from <= cell.start;
        return good && !covered;
    });
    return good && covered;
}

void post_standing(Batch& batch, std::string_view node, LedgerTime from, const Standing& standing) {
    if (standing_at(batch, node, from) == standing) return;
    batch.put(Table::standing, Standing::key(node, from, next_seq(batch)), standing.encode());
}

void post_terms(Batch& batch, std::string_view node, LedgerTime from, const Terms& terms) {
    batch.put(Table::terms, Terms::key(node, from, next_seq(batch)), terms.encode());
}

}  // namespace ee::ledger
