#pragma once
// Everything that can be asked of the ledger, as values: who asks, what, and how it is answered. A command
// holds what was read out of a request; whether it may be done is the ledger's to decide.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "crypto/digest.h"
#include "ledger/leaf.h"
#include "ledger/money.h"
#include "ledger/node_records.h"
#include "ledger/period.h"

namespace ee::ledger {

// By which token, or that it is the server itself. A holder's token says which account or node it is of.
enum class Role : std::uint8_t { admin, launcher, uptime, auditor, holder, server, app };

struct Caller {
    Role role = Role::admin;
    crypto::Sha256 token{};    // a holder's, hashed
    crypto::Sha256 address{};  // salted hash of where it came from
    std::string app{};         // whose token it is; the ledger does not keep those
};

// Accounts and credits. The hash of a token that was made for the answer comes with the command.
struct OpenAccount {
    std::string account{};
    crypto::Sha256 token{};
};
struct RotateToken {
    std::string account{};
    crypto::Sha256 token{};
};
struct Purchase {
    std::string account{};
    Money amount{};
    std::string payment_ref{};  // empty: none
};
struct Redeem {
    std::string account{};
    Money amount{};
    std::string payment_ref{};
};
struct Transfer {
    std::string from{};
    std::string to{};
    Money amount{};
    std::string memo{};
};

// Locks and usage.
struct TakeLock {
    std::string account{};
    std::string node{};
    std::string app{};  // empty: none
    Period period{};
    std::optional<Hours> hours{};   // one of these
    std::optional<Money> amount{};  // two
};
struct ReleaseLock {
    std::uint64_t lock = 0;
};
struct ReportUsage {
    std::string account{};
    std::string node{};
    std::string app{};
    Period period{};
    Hours hours{};
    std::string report_id{};
};

// Nodes. What is left out of an update keeps its value.
struct RegisterNode {
    std::string node{};
    std::optional<std::uint64_t> capacity_vcpus{};
    std::optional<Money> price{};
    std::optional<Tier> tier{};
    std::optional<Money> stake{};
    std::optional<std::string> owner{};
    std::optional<crypto::Sha256> owner_token{};  // X-EE-Owner-Token, hashed
    bool rotate_token = false;
    crypto::Sha256 token{};
};
struct Unstake {
    std::string node{};
    std::string reason{};
};
struct Ban {
    std::string node{};
    std::string reason{};
};
struct Slash {
    std::string node{};
    std::string cause{};
    std::optional<Money> amount{};
    std::vector<std::string> event_ids{};
    std::string reason{};
};
// Of a proposal that was wrong.
struct DismissSlashing {
    std::uint64_t slashing = 0;
    std::string reason{};
};
struct Observe {
    std::string node{};
    std::string event_id{};
    Observation observation{};
};

struct FileAbuse {
    std::string node{};
    std::string app{};
    std::optional<Period> period{};
    std::string reason{};
    std::string reported_by{};
    std::string evidence_url{};
};
struct DecideAbuse {
    std::uint64_t report = 0;
    bool authorize = false;
    std::string decided_by{};
};

// Settlement.
struct Finalize {
    Period period{};
    std::string node{};  // empty: all
    bool allow_pending = false;
    bool judged = false;                            // step by step, before
    LedgerTime recorded_until = LedgerTime::max();  // evidence is; what ends later waits for it
};
struct Resolve {
    Period period{};
    std::string node{};
    std::string app{};
    bool pass = false;
    bool allow_pending = false;
    std::string reason{};
};

// What the server itself records.
struct RecordSlots {
    struct Seen {
        std::string node{};
        std::string app{};
        std::string agent{};
        Slot slot{};  // of this cell, to be added to what is there
        // Of the challenges that were inconclusive: these have a verdict now.
        std::uint32_t resolved = 0;
        // It attested again after a drain that may be recorded: what of its windows that left out, they say.
        bool came_back = false;
    };
    Period cell{};
    std::vector<Seen> seen{};
};
struct RecordOutage {
    Outage outage{};
};
// Attestation fraud that challenges have shown: proposed, never carried out by this.
struct ProposeFraud {
    std::string node{};
    std::string event_id{};  // the same evidence has the same one
    std::string reason{};
    std::string evidence{};  // a JSON object
};
struct RecordLeaf {  // an allowlist, a policy, a key that came into force
    LeafKind kind = LeafKind::policy;
    std::vector<std::string> fields{};
    // Of what is in force one at a time: while it is the same under this name, no further leaf. Empty: always
    // one.
    std::string in_force{};
};
// A call that is no command of the ledger's: that it is made.
struct RecordCall {};
// A step of settling, short enough for others to get their turn: judges some units of ended cells in the
// period (nullopt: none), then makes some of the transfers of those that are decided. The answer's `next`
// says where to go on; empty: nothing more to do.
struct SettleMore {
    std::optional<Period> period{};
    std::string node{};  // empty: all
    // Of units with a pending abuse report: those of the last 30 days are left alone, or all, or none.
    enum class Pending : std::uint8_t { wait_30_days, wait, judge };
    Pending pending = Pending::judge;
    std::string from{};  // `next` of the step before
    // So often it may go back to units that came behind it, where they are more than a finalize judges at its
    // end. Whoever goes on from a `next` before `from` takes one off.
    std::uint32_t passes_left = 0;
    std::uint32_t units_max = 16;
    std::uint32_t locks_max = 128;
};

using Command = std::variant<OpenAccount, RotateToken, Purchase, Redeem, Transfer, TakeLock, ReleaseLock,
                             ReportUsage, RegisterNode, Unstake, Ban, Slash, DismissSlashing, Observe,
                             FileAbuse, DecideAbuse, Finalize, Resolve, RecordSlots, RecordOutage,
                             ProposeFraud, RecordLeaf, RecordCall, SettleMore>;

// For std::visit over a Command: one function a kind.
template <class... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};

struct Request {
    Caller caller{};
    std::string idempotency_key{};  // empty: none
    std::string method{};
    std::string path{};
    std::string request_id{};  // as the caller knows it; empty: none
    crypto::Sha256 content{};  // of the body
    Command command{};
};

// What is said once the commit is on disk. To the body the receipt of `leaf_index` is added, and the secret
// under its name: made for a first answer, null in a replay.
struct Answer {
    std::uint16_t status = 200;
    std::string body{};  // a JSON object
    std::optional<std::uint64_t> leaf_index{};
    std::string secret{};
    bool replayed = false;
    std::string next{};  // of SettleMore

    friend bool operator==(const Answer&, const Answer&) = default;
};

}  // namespace ee::ledger
