#pragma once
// The ledger once more, from the specification alone: plain maps and 128-bit integers, none of the ledger's
// own functions. It says what each command must answer and what everybody has afterwards.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "ledger/command.h"

namespace ee::simulation {

__extension__ using Int = __int128;
using ledger::Outcome;

struct ModelRules {
    std::int64_t step_s = 3600;
    std::int64_t lock_ahead_s = 86'400;
    bool usage_requires_lock = false;
    bool slash_auto = false;
};

// What somebody asks: a command, by whom, under which key.
struct Step {
    ledger::Role role = ledger::Role::admin;
    std::string token{};  // a holder's
    std::string key{};
    ledger::Command command{};
    std::string text{};  // what the request says, all of it
};

struct Expected {
    // Each of these would do; none: it must succeed.
    std::set<std::string> refusals{};
    bool replayed = false;
    std::map<std::string, std::string> members{};  // of the answer's body
    std::optional<std::string> body{};             // all of it
    std::vector<std::string> outcomes{};           // of a settlement
    bool more = false;                             // of a step of settling
};

struct Unit {
    Outcome outcome = Outcome::open;
    bool has_usage = false, moving = false;
    Int uncollected = 0, paid = 0, returned = 0, claimed = 0;
    std::string reasons{};
};
// Start of the cell in seconds, node, app.
using UnitKey = std::tuple<std::int64_t, std::string, std::string>;

struct Lock {
    std::string account{};
    UnitKey unit{};
    Int amount = 0, price = 0, drawn = 0;
    char state = 'h';      // held, settled, released
    std::uint64_t id = 0;  // the ledger's
};

class Model {
public:
    explicit Model(const ModelRules& rules) : rules_(rules) {}

    // Predicts, and does it where it must succeed. `conclude` tells what the ledger said to it.
    Expected apply(const Step& step);
    void conclude(const Step& step, const std::string& code, const std::string& body, std::uint64_t id);

    struct Account {
        Int available = 0, locked = 0;
    };
    struct Terms {
        std::int64_t from = 0;
        std::optional<Int> price{};
        Int capacity = 0;
        char tier = 's';  // premium, standard, economy
    };
    struct Standing {
        std::int64_t from = 0;
        bool good = false;
    };
    struct Node {
        std::string owner{}, token{};
        bool banned = false;
        std::vector<std::pair<std::string, Int>> stake{};
        std::vector<Terms> terms{};        // in the order of `from`, then of posting
        std::vector<Standing> standing{};  // in the order they came
    };
    struct Slot {
        std::int64_t window = 0, attested = 0;
        std::optional<std::int64_t> drained{};
        std::map<std::int64_t, char> windows{};  // by number: p, o, m, d; none: unknown
        std::uint32_t passed = 0, missed = 0, open = 0;
    };
    struct Abuse {
        std::string node{}, app{};
        std::int64_t start = 0, end = 0;  // s
        char state = 'p';                 // pending, authorized, denied
        std::uint64_t id = 0;
    };
    struct Slashing {
        std::string node{}, cause{};
        std::set<std::string> events{};
        Int amount = 0;
        std::string state = "proposed";  // done, dismissed
        std::uint64_t id = 0;            // 0: not known yet
    };
    struct KeyUse {
        std::string text{}, code{}, body{};
    };

    std::int64_t now = 0;  // us
    std::map<std::string, Account> accounts{};
    std::map<std::string, std::string> tokens{};  // to principals
    std::map<std::string, std::string> token_of_account{};
    std::map<std::string, Node> nodes{};
    std::vector<Lock> locks{};
    std::map<UnitKey, Unit> units{};
    std::vector<Abuse> abuse{};
    std::vector<Slashing> slashings{};
    // Where the settlement that goes on in steps is.
    std::optional<UnitKey> cursor{};
    bool cursor_at_end = false;

    Int stake_of(const std::string& node) const;
    std::int64_t cell_of(std::int64_t time_us) const;  // its start, s
    const ModelRules& rules() const { return rules_; }

private:
    template <class Any>
    Expected perform(const Any& command) = delete;
    Expected perform(const ledger::OpenAccount& command);
    Expected perform(const ledger::RotateToken& command);
    Expected perform(const ledger::Purchase& command);
    Expected perform(const ledger::Redeem& command);
    Expected perform(const ledger::Transfer& command);
    Expected perform(const ledger::TakeLock& command);
    Expected perform(const ledger::ReleaseLock& command);
    Expected perform(const ledger::ReportUsage& command);
    Expected perform(const ledger::RegisterNode& command);
    Expected perform(const ledger::Unstake& command);
    Expected perform(const ledger::Ban& command);
    Expected perform(const ledger::Slash& command);
    Expected perform(const ledger::DismissSlashing& command);
    Expected perform(const ledger::Observe& command);
    Expected perform(const ledger::FileAbuse& command);
    Expected perform(const ledger::DecideAbuse& command);
    Expected perform(const ledger::Finalize& command);
    Expected perform(const ledger::Resolve& command);
    Expected perform(const ledger::RecordSlots& command);
    Expected perform(const ledger::RecordOutage& command);
    Expected perform(const ledger::ProposeFraud& command);
    Expected perform(const ledger::RecordLeaf& command);
    Expected perform(const ledger::RecordCall& command);
    Expected perform(const ledger::SettleMore& command);

    bool may(const ledger::Command& command) const;
    bool is(const std::string& principal) const { return principal_ == principal; }
    Expected pay(const std::string& kind, const std::string& account, const ledger::Money& amount,
                 const std::string& ref);
    void move(const std::string& from, const std::string& to, Int amount);
    bool is_on_grid(const ledger::Period& period) const;
    const Terms* terms_at(const Node& node, std::int64_t time) const;
    std::optional<Terms> terms_of_cell(const Node& node, std::int64_t start) const;
    void change_terms(Node& node, const ledger::RegisterNode& command, std::int64_t from);
    void record_standing(const std::string& name);
    bool held_standing(const Node& node, std::int64_t start) const;
    Expected book(const ledger::ReportUsage& command);
    std::string book_cell(const ledger::ReportUsage& command, const UnitKey& unit, Int hours, Int& amount,
                          Int& uncollected);
    std::uint64_t open_units(const std::string& node) const;

    struct Judged {
        Outcome outcome;
        std::string reasons;
    };
    Judged judge(const UnitKey& key) const;
    static void add_windows(Slot& slot, const ledger::Slot& more, std::int64_t start);
    void judge_slots(const UnitKey& key, bool& miss, bool& attest_miss, bool& hole, bool& open,
                     bool& silent) const;
    bool touched(const UnitKey& key, const Abuse& report) const;
    bool has_pending(const UnitKey& key) const;
    void settle(const UnitKey& key, const Judged& judged);
    void judge_and_settle(const UnitKey& key, ledger::SettleMore::Pending pending);
    bool move_locks(std::uint64_t most);
    std::vector<UnitKey> open_in(const ledger::Period& period, const std::string& node) const;

    void propose(Slashing slashing);
    Int penalty(const std::string& node, std::int64_t down) const;
    Int slash(Slashing& slashing);
    Int proposed(const std::string& node) const;
    Slashing* find_slashing(const std::string& node, const std::string& cause, const std::string& event);

    ModelRules rules_;
    std::string principal_{};
    std::map<std::pair<std::string, std::string>, KeyUse> keys_{};
    struct Payment {
        std::string account{};
        Int amount = 0;
    };
    std::map<std::pair<std::string, std::string>, Payment> payments_{};
    std::map<std::pair<std::string, std::string>, std::string> reports_{};  // (node, id): content
    std::map<std::pair<std::int64_t, std::string>, Int> hours_{};           // (cell, node)
    std::map<std::tuple<std::int64_t, std::string, std::string, std::string>, Slot> slots_{};
    std::map<std::pair<std::string, std::string>, ledger::Observation> observations_{};
    std::map<std::int64_t, std::optional<std::int64_t>> outages_{};
    std::map<std::pair<std::string, std::int64_t>, Int> earnings_{};
};

std::string usd(Int micro);

}  // namespace ee::simulation
