#pragma once
// Whether a node earned a cell: a pure function of recorded evidence and a rule version, so that anyone who
// has the evidence can judge again (spec: ledger, "Evidence: windows" and "Settlement").

#include <string>
#include <vector>

#include "ledger/node_records.h"

namespace ee::ledger {

inline constexpr std::uint64_t rule_version = 1;
// How long a unit may stay inconclusive.
inline constexpr std::chrono::hours inconclusive_max{30 * 24};

struct UnitEvidence {
    UnitName unit{};
    std::uint64_t rules = rule_version;
    LedgerTime judged_at{};
    bool has_usage = false;
    bool held_standing = false;  // registered, staked and not banned from start to end

    struct AgentSlot {
        std::string app{};
        std::string agent{};
        Slot slot{};
    };
    std::vector<AgentSlot> slots{};
    struct Seen {
        std::string event_id{};
        Observation observation{};
    };
    std::vector<Seen> observations{};         // that touch the unit
    std::vector<Outage> outages{};            // that overlap the cell
    std::vector<std::uint64_t> authorized{};  // abuse reports that touch the unit
    std::vector<std::uint64_t> pending{};

    // Totals of the books, for the record; they do not decide.
    std::uint64_t locks = 0;
    Money locked{};
    Money drawn{};
    Money uncollected{};
    std::uint64_t log_size = 0;  // leaves before the settlement
    std::string checkpoint{};    // the newest one then
};

struct Judgement {
    Outcome outcome = Outcome::inconclusive;
    std::vector<std::string> reasons{};  // stable words, in a fixed order

    friend bool operator==(const Judgement&, const Judgement&) = default;
};
Judgement judge(const UnitEvidence& evidence);

// The bundle, JSON in one spelling; its SHA-256 is in the settlement's leaf.
std::string to_json(const UnitEvidence& evidence);
// `evidence_invalid:<pointer>` where it is no bundle of ours.
Result<UnitEvidence> evidence_from_json(std::string_view json);

}  // namespace ee::ledger
