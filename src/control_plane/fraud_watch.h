#pragma once
// What challenges show of a node that cheats becomes a proposal in the ledger, for the admin to decide (spec:
// ledger, "Attestation fraud"). Nothing else follows from it.

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "api/ledger_door.h"
#include "crypto/digest.h"
#include "net/loop.h"
#include "net/worker_pool.h"
#include "registry/sqlite/evidence_store.h"
#include "telemetry/log.h"

namespace ee::control_plane {

// A quote that fails check C alone, from an agent on a tunnel with its node's token.
struct ForeignQuote {
    registry::ChallengeRecord answered;  // by whom, and when; its report data are the quote's
    ByteArray<32> nonce{};               // of the challenge it was to answer
    crypto::Sha256 quote{};
};

class FraudWatch {
public:
    // What is given must outlive this object, and no verdict may be kept in the store before.
    // `answer_time`: when each challenge that is open now will have been answered and judged, or not.
    FraudWatch(net::Loop& loop, api::LedgerDoor& ledger, registry::EvidenceStore& store,
               const telemetry::Log& log, std::chrono::milliseconds answer_time);
    ~FraudWatch();

    // Proposes the node where the quote was made for a challenge of another agent, app or node that is on
    // record, or comes on it within answer_time.
    void shown(ForeignQuote quote);

private:
    struct Later {
        MonoTime due;
        ForeignQuote quote;
    };
    void look(ForeignQuote quote, bool is_last);
    void looked(ForeignQuote quote, bool is_last,
                const Result<std::optional<registry::ChallengeRecord>>& found);
    void look_later();
    void shared(const registry::SharedKey& key);
    void propose(ledger::ProposeFraud command);
    void run(ledger::ProposeFraud command);
    void ran(ledger::ProposeFraud command, const Result<ledger::Reply>& reply);
    void retry();

    net::Loop& loop_;
    api::LedgerDoor& ledger_;
    registry::EvidenceStore& store_;
    const telemetry::Log& log_;
    const std::chrono::milliseconds answer_time_;
    std::deque<Later> later_;
    std::map<std::string, std::set<std::string>> proposed_;  // events by node
    std::vector<ledger::ProposeFraud> refused_;              // for want of time; tried again
    net::Timer looks_;
    net::Timer retries_;
    net::WorkerPool reader_;  // Last: it uses the store.
};

}  // namespace ee::control_plane
