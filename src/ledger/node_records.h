#pragma once
// What is recorded of nodes: terms, stake, standing, and everything a settlement or a slashing goes by.

#include "ledger/records.h"

namespace ee::ledger {

enum class Tier : std::uint8_t { premium = 1, standard = 2, economy = 3 };
std::string_view to_word(Tier tier);

// A node's offer, from a time on.
struct Terms {
    std::optional<Money> price{};  // 0: it asks for nothing; nullopt: it has posted none
    std::uint64_t capacity_vcpus = 0;
    Tier tier = Tier::standard;
    LedgerTime posted_at{};

    std::string encode() const;
    static Terms decode(std::string_view record);
    // The newest first, by the time they are in force from, then by posting.
    static std::string key(std::string_view node, LedgerTime from, std::uint64_t seq);
    static std::string prefix(std::string_view node);
    static LedgerTime from_key(std::string_view key);
};

struct StakePart {
    std::string source{};  // account that paid, or @issued
    Money amount{};
};

struct Node {
    std::string owner{};  // account; empty: none
    crypto::Sha256 token{};
    LedgerTime registered_at{};
    bool banned = false;
    std::string ban_reason{};
    std::uint64_t open_units = 0;          // how many are unsettled; stake stays while there are any
    std::vector<StakePart> stake_parts{};  // one of each source; the last one returns first

    Money stake() const;  // all parts
    std::string encode() const;
    static Node decode(std::string_view record);
};

// Whether a node may earn, from a time on.
struct Standing {
    bool staked = false;
    bool banned = false;

    bool is_good() const { return staked && !banned; }
    std::string encode() const;
    static Standing decode(std::string_view record);
    static std::string key(std::string_view node, LedgerTime from, std::uint64_t seq);
    static std::string prefix(std::string_view node);
    static LedgerTime from_key(std::string_view key);
    friend bool operator==(const Standing&, const Standing&) = default;
};

enum class AbuseState : std::uint8_t { pending = 1, authorized = 2, denied = 3 };
std::string_view to_word(AbuseState state);

struct AbuseReport {
    std::string node{};
    std::string app{};  // empty: all of the node's
    Period period{};
    std::string reason{};
    std::string reported_by{};
    std::string evidence_url{};
    std::string filed_by{};  // principal
    LedgerTime filed_at{};
    AbuseState state = AbuseState::pending;
    std::string decided_by{};
    std::string deciding_principal{};
    LedgerTime decided_at{};

    bool touches(const UnitName& unit) const;
    std::string encode() const;
    static AbuseReport decode(std::string_view record);
    static std::string key(std::uint64_t id) { return KeyWriter().number(id); }
    static std::string key_by_node(std::string_view node, std::uint64_t id);
};

// What the tunnel side saw of one agent in one cell.
// `drained`: the slot was told to go by an operator, and came back later.
enum class Window : std::uint8_t { unknown = 0, pass = 1, hole = 2, miss = 3, drained = 4 };

struct Slot {
    LedgerTime attested_at{};    // its first attestation in the cell, or the cell's start
    std::uint32_t window_s = 0;  // length of a window
    std::string windows{};       // one character each, from the one with attested_at on
    std::uint32_t challenges_passed = 0;
    std::uint32_t challenges_missed = 0;
    std::uint32_t challenges_inconclusive = 0;
    std::optional<LedgerTime> drained_at{};  // nothing is expected from then on, until it is back
    std::vector<std::string> verdicts{};     // digests of evidence, of the challenges of this cell

    // The number of windows[0] on the grid of windows, which begins with the epoch. `window_s` is above 0.
    std::int64_t first_window(const Period& cell) const;
    std::string encode() const;
    static Slot decode(std::string_view record);
    static std::string key(const UnitName& unit, std::string_view agent);
};

// What Slot::key() is made of.
struct SlotKey {
    Seconds cell{};  // its start
    std::string node{};
    std::string app{};
    std::string agent{};

    static SlotKey decode(std::string_view key);
};

enum class ObservationType : std::uint8_t {
    health_pass = 1,
    health_miss = 2,
    attest_miss = 3,
    downtime_migration = 4
};
std::string_view to_word(ObservationType type);

struct Observation {
    ObservationType type = ObservationType::health_pass;
    std::string app{};  // empty: all of the node's
    LedgerTime from{};
    LedgerTime to{};
    std::string evidence_url{};

    bool touches(const UnitName& unit) const;
    std::string encode() const;
    static Observation decode(std::string_view record);
    static std::string key(std::string_view node, std::string_view event_id);
    static std::string key_by_time(std::string_view node, LedgerTime from, std::string_view event_id);
};
inline constexpr std::chrono::hours observation_length_max{24};

struct Outage {
    LedgerTime from{};
    std::optional<LedgerTime> to{};  // nullopt: not over
    std::string cause{};

    std::string encode() const;
    static Outage decode(std::string_view record);
    static std::string key(LedgerTime from, std::uint64_t seq);
};

// Either end is one for good.
enum class SlashingState : std::uint8_t { proposed = 1, done = 2, dismissed = 3 };
std::string_view to_word(SlashingState state);

struct Slashing {
    std::string node{};
    std::string cause{};  // downtime_migration, attestation_fraud, abuse, other
    std::vector<std::string> event_ids{};
    Money amount{};
    std::string reason{};
    SlashingState state = SlashingState::proposed;
    LedgerTime proposed_at{};
    LedgerTime done_at{};    // or dismissed
    std::string evidence{};  // of fraud that challenges have shown: a JSON object; else empty

    std::string encode() const;
    static Slashing decode(std::string_view record);
    static std::string key(std::uint64_t id) { return KeyWriter().number(id); }
};

}  // namespace ee::ledger
