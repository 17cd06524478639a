#pragma once
// The ledger as the control plane runs it: its store in the file at EE_DB_PATH, the key of its log, a thread
// that writes, one that reads and one that checks.

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "api/ledger_door.h"
#include "attestation/collateral_source.h"
#include "attestation/trust_anchor.h"
#include "config/control_plane_config.h"
#include "control_plane/ledger_clock.h"
#include "control_plane/ledger_events.h"
#include "control_plane/liveness_mark.h"
#include "control_plane/node_directory.h"
#include "control_plane/slot_recorder.h"
#include "ledger/running_check.h"
#include "ledger/sqlite/sqlite_reader.h"
#include "net/loop.h"
#include "net/worker_pool.h"
#include "sqlite/writers.h"
#include "telemetry/log.h"

namespace ee::control_plane {

// A standstill may come before anybody listens.
class StandstillNews {
public:
    using OnStandstill = std::function<void(const ledger::Standstill&)>;
    // Any thread.
    void tell(const ledger::Standstill& why);
    // Hears what has been told last, and what will be.
    void listen(OnStandstill on_standstill);

private:
    std::mutex mutex_;
    std::optional<ledger::Standstill> last_;
    OnStandstill on_standstill_;
};

// What can fail, before there is a loop.
struct PreparedLedger {
    std::shared_ptr<StandstillNews> standstill;  // outlives the worker
    std::shared_ptr<LedgerClock> clock;
    std::unique_ptr<ledger::LedgerWorker> worker;
    std::unique_ptr<ledger::SqliteReader> reader;
    std::unique_ptr<ledger::SqliteReader> check_reader;  // of its own: another thread, shorter moments
    ledger::Rules rules;
};
// Refusals: those of LedgerWorker::start(), of the stores, and of the key's file.
Result<PreparedLedger> prepare_ledger(const config::ControlPlaneConfig& config, const std::string& log_id,
                                      sqlite::Writers& writers, const attestation::TrustAnchors& anchors,
                                      attestation::CollateralSource& collateral, const telemetry::Log& log);

// What the ledger holds that the rest of the server begins with. Nobody asks for changes before there are
// listeners.
struct KnownAtStart {
    NodeChanges nodes{};
    WindowCounts counts{ledger::Grid::hour};  // goes on from there
    RecordedEvidence evidence{};
    std::optional<LivenessMark> mark{};
};
// `store_unavailable`. Where a record is damaged, nothing is known.
Result<KnownAtStart> read_at_start(const config::ControlPlaneConfig& config, const PreparedLedger& ledger,
                                   const telemetry::Log& log);

class LedgerService final : public api::LedgerDoor {
public:
    // What is given must outlive this object.
    LedgerService(net::Loop& loop, PreparedLedger prepared);
    ~LedgerService() override;

    void run(ledger::Request request, OnReply on_reply) override;
    void recorded_until(ledger::LedgerTime time) override { worker_->recorded_until(time); }
    bool ask(Question question, std::function<void(Result<std::string>)> on_answer) override;
    // From now on `nodes` hears of every change of nodes, `events` of settlements, abuse, slashing and a
    // standstill: on the loop, before whoever asked for it is answered. `counts` belongs to the writing
    // thread then: windows are many.
    using OnNodes = std::function<void(const NodeChanges&)>;
    using OnEvents = std::function<void(const std::vector<events::Event>&)>;
    void follow(WindowCounts counts, OnNodes nodes, OnEvents events);
    State state() const override;
    Counts counts() const override;
    crypto::Sha256 salted(const net::IpAddress& address) const override;

    // Any thread. The time that entries are made at, but for a clock that steps back.
    ledger::LedgerTime now() { return clock_->now(); }

    // For witnesses; see LedgerWorker.
    std::shared_ptr<const ledger::SignedHead> head() const { return worker_->head(); }
    void witnessed(ledger::Witnessed what) { worker_->witnessed(std::move(what)); }

private:
    Result<std::string> answer(const Question& question);
    Result<std::string> answer_of_moment(const Question& question);
    Result<const ledger::LogTree*> tree_of_moment();
    Result<std::string> with_receipt(api::Shown shown);

    net::Loop& loop_;
    const std::shared_ptr<StandstillNews> standstill_;
    const std::shared_ptr<LedgerClock> clock_;
    std::unique_ptr<ledger::LedgerWorker> worker_;
    std::unique_ptr<ledger::SqliteReader> store_;
    const ledger::Rules rules_;
    // Of the reading thread.
    ledger::LogReader log_;
    std::optional<ledger::LogTree> tree_;
    // Last: they use all of the above.
    ledger::RunningCheck check_;
    net::WorkerPool thread_;
};

}  // namespace ee::control_plane
