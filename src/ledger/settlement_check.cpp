#include "ledger/settlement_check.h"

#include <fmt/format.h>

#include "ledger/kept_evidence.h"
#include "ledger/locks.h"
#include "ledger/log.h"
#include "ledger/meta_record.h"
#include "ledger/settlement.h"

namespace ee::ledger {
namespace {

constexpr std::string_view settlements = "settlements";

std::string words(const UnitName& name) {
    return unit_words(name.node, name.app, to_text(name.cell));
}

bool is_said_by(const Leaf& leaf, const UnitName& name, const Unit& unit) {
    return leaf.kind == LeafKind::settlement && leaf.text("cell") == to_text(name.cell) &&
           leaf.text("node") == name.node && leaf.text("app") == name.app &&
           leaf.text("outcome") == to_word(unit.outcome) &&
           leaf.text("reasons") == reasons_text(unit.reasons) && leaf.i64("paid") == unit.paid.micro() &&
           leaf.i64("returned") == unit.returned.micro();
}

void compare(const Batch& batch, const Store& store, const UnitName& name, const Unit& unit,
             CheckReport& report) {
    const crypto::Sha256 evidence = crypto::sha256(as_bytes(evidence_json(batch, unit)));
    if (unit.evidence_sha256 && *unit.evidence_sha256 != evidence)
        report.find(settlements, fmt::format("the evidence of {} is not that of its digest", words(name)));
    if (!unit.is_settled()) return;
    const auto leaf = last_leaf(store, unit.settlement_leaf + 1);
    if (!leaf || !is_said_by(*leaf, name, unit))
        return report.find(settlements,
                           fmt::format("{} is not what leaf {} says", words(name), unit.settlement_leaf));
    if (leaf->bytes("evidence_sha256") != to_bytes(evidence))
        report.find(settlements, fmt::format("the evidence of {} is not that of leaf {}", words(name),
                                             unit.settlement_leaf));
}

}  // namespace

void compare_settlements(const Store& store, std::uint64_t in_the_log, CheckReport& report) {
    const Batch batch(store);  // Nothing is written into it.
    const Grid grid = meta_record(store, grid_key, decode_grid).value_or(Grid::hour);
    std::uint64_t settled = 0;
    store.scan(Table::units, "", [&](std::string_view key, std::string_view record) {
        const Unit unit = Unit::decode(record);
        settled += unit.is_settled() ? 1 : 0;
        compare(batch, store, UnitName::from_key(key, grid), unit, report);
        return true;
    });
    if (settled != in_the_log)
        report.find(settlements, fmt::format("the log has {} settlements, {} are kept", in_the_log, settled));
}

}  // namespace ee::ledger
