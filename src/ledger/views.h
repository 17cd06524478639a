#pragma once
// What the ledger shows: bodies of answers, read from a store at one moment. Who may see something is decided
// here, as what may be done is by Ledger::apply.

#include <optional>
#include <string>

#include "ledger/audit.h"
#include "ledger/context.h"
#include "ledger/log.h"

namespace ee::ledger {

// A list's piece: `after` is where the last piece ended, opaque; 1 to 500 items.
struct Page {
    std::string after{};
    std::size_t limit = 50;
};

struct CallPage {
    std::vector<CallRecord> calls{};
    std::optional<std::string> next{};  // nullopt: it was the last piece
};

// Reading for one caller.
class Views {
public:
    // `unauthorized` when the holder's token is nobody's.
    static Result<Views> open(const Store& store, const Rules& rules, const Caller& caller, LedgerTime now);

    // Each refuses with `forbidden`, or with what is unknown.
    Result<std::string> balance(std::string_view account, std::optional<LedgerTime> at) const;
    Result<std::string> entries(std::string_view account, const Page& page) const;
    Result<std::string> lock(std::uint64_t id) const;
    Result<std::string> node(std::string_view id) const;
    Result<std::string> nodes(const Page& page) const;
    // The caller's part; all of it for the admin and the auditor. `node` and `app` choose, where they are
    // given. Of one settled unit alone, its leaf. A piece may be empty and not the last: it looks at so many
    // units and no more.
    Result<Answer> settlements(const Period& period, const std::optional<std::string>& node,
                               const std::optional<std::string>& app, const Page& page) const;
    Result<std::string> abuse_reports(std::optional<AbuseState> state, const Page& page) const;
    Result<std::string> slashings(std::optional<SlashingState> state, const Page& page) const;
    // Calls that changed something, the newest first.
    Result<CallPage> calls(const Page& page) const;
    // Leaves of the log, in full.
    Result<std::string> leaves(const Page& page) const;

    // A settlement as it would come out now; nothing is changed.
    Result<Answer> dry_run(const Finalize& command) const;

private:
    Views(const Store& store, const Rules& rules, const Caller& caller, std::string principal, LedgerTime now)
        : batch_(std::make_unique<Batch>(store)),
          rules_(rules),
          caller_(caller),
          principal_(std::move(principal)),
          now_(now) {}
    bool sees_all() const { return caller_.role == Role::admin || caller_.role == Role::auditor; }
    // The caller's own account, or its node's.
    bool sees(std::string_view account) const;

    std::unique_ptr<Batch> batch_;  // nothing is ever written into it but by a dry run
    const Rules& rules_;
    Caller caller_;
    std::string principal_;
    LedgerTime now_;
};

// For everybody.
Result<std::string> head_json(const Store& store);
Result<std::string> inclusion_json(LogReader& reader, const LogTree& tree, std::uint64_t index,
                                   std::uint64_t size);
Result<std::string> consistency_json(LogReader& reader, const LogTree& tree, std::uint64_t older,
                                     std::uint64_t newer);

}  // namespace ee::ledger
