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
    std::vector<Seen> observations{};  // that touch the unit
    std::vector<Outage> outages{};     // that overlap the cell
    struct Abuse {
        std::uint64_t id = 0;
        std::string app{};  // empty: all of the node's
        AbuseState state = AbuseState::pending;
        LedgerTime filed_at{};
        std::optional<LedgerTime> decided_at{};  // nullopt: it is pending
        std::string decided_by{};

        friend bool operator==(const Abuse&, const Abuse&) = default;
    };
    std::vector<Abuse> abuse{};  // reports that touch the unit

    // For the record; these do not decide.
    struct Price {
        LedgerTime from{};
        Terms terms{};
    };
    std::vector<Price> prices{};  // the terms in force at the cell's start, and those that came in it
    std::uint64_t log_size = 0;   // leaves before the settlement
    std::string checkpoint{};     // the newest one that was signed before it

    // The first report of that state; nullptr: none.
    const Abuse* find_abuse(AbuseState state) const;
};

struct Judgement {
    Outcome outcome = Outcome::inconclusive;
    std::vector<std::string> reasons{};  // stable words, in a fixed order

    friend bool operator==(const Judgement&, const Judgement&) = default;
};
Judgement judge(const UnitEvidence& evidence);

// The bundle, JSON in one spelling; its SHA-256 is in the settlement's leaf. It has no sums of money: whoever
// has a part in the unit sees all of it. What the outcome moves is in the leaf and in those of the transfers.
std::string to_json(const UnitEvidence& evidence);
// `evidence_invalid:<pointer>` where it is no bundle of ours: each member is there once, and no other.
Result<UnitEvidence> evidence_from_json(std::string_view json);

}  // namespace ee::ledger
