#pragma once
// The seam between the endpoints and the ledger's threads.

#include <functional>
#include <optional>
#include <string>

#include "ledger/ledger_worker.h"
#include "ledger/views.h"
#include "net/address.h"

namespace ee::api {

// What a question may look at: the ledger at one moment.
struct LedgerView {
    const ledger::Store& store;
    const ledger::Rules& rules;
    ledger::LogReader& log;
    // The log's, which is read with the first question that needs it: `ledger_halted` where it is damaged.
    // Everything else is shown all the same.
    std::function<Result<const ledger::LogTree*>()> tree;
    ledger::LedgerTime now;  // Not before the newest leaf's (invariant L7).
};

// A body, and, where there is one, the leaf whose receipt is added to it.
struct Shown {
    std::string body{};
    std::optional<std::uint64_t> leaf_index{};
};

class LedgerDoor {
public:
    virtual ~LedgerDoor() = default;

    // This and ask() call back on the loop, later, once.
    using OnReply = std::function<void(Result<ledger::Reply>)>;
    virtual void run(ledger::Request request, OnReply on_reply) = 0;
    // See LedgerWorker.
    virtual void recorded_until(ledger::LedgerTime time) = 0;
    // The question is asked on another thread, beside the writer. False, and nothing is called, when too many
    // wait.
    using Question = std::function<Result<Shown>(const LedgerView&)>;
    virtual bool ask(Question question, std::function<void(Result<std::string>)> on_answer) = 0;

    // `ok`, `halted` or `forked`, and why.
    struct State {
        std::string word = "ok";
        std::string code{};  // what writes are refused with; empty: they are not
        std::string detail{};
    };
    virtual State state() const = 0;
    // Since the start.
    struct Counts {
        std::uint64_t commits = 0;
        std::uint64_t commands = 0;
        std::uint64_t leaves = 0;  // of the log, all there are; 0 while nothing is written
    };
    virtual Counts counts() const = 0;
    // A salted hash of a client's address, for the log.
    virtual crypto::Sha256 salted(const net::IpAddress& address) const = 0;
};

}  // namespace ee::api
