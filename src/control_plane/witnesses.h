#pragma once
// Agents as witnesses of the ledger's log: what each holds is compared with the log, and it is told what
// leads from there to the newest checkpoint (spec: ledger, "Witnesses"). Off the data path: the ledger's
// reading thread does the work, for a few agents at a time and for each at most once a minute.

#include <chrono>
#include <memory>
#include <string>
#include <unordered_map>

#include "control_plane/ledger_service.h"
#include "ledger/forks.h"
#include "telemetry/metrics.h"
#include "tunnel/tunnels.h"

namespace ee::control_plane {

class Witnesses {
public:
    Witnesses(net::Loop& loop, LedgerService& ledger, const telemetry::Log& log, telemetry::Metrics& metrics);
    // Once, before the first tunnel.
    void serve(tunnel::Tunnels& tunnels) { tunnels_ = &tunnels; }

    // The newest checkpoint; empty when nothing is written to the ledger any more.
    std::string newest() const;
    // By an attested agent, in `register` or `health`. What comes too early is passed over: it is told again.
    void told(tunnel::Session& session, const std::string& note);
    void gone(tunnel::TunnelId id) { turns_.erase(id); }

private:
    struct Turn {
        MonoTime next_at{};
        bool open = false;
    };
    // Of the reading thread's answer.
    struct Answer {
        ledger::Witnessed witnessed{};
        Error refusal{};  // why the note counts for nothing
        std::string newest{};
        std::string proof{};
    };
    static Result<void> answer(const api::LedgerView& view, ledger::LoggedKeys& keys, const std::string& note,
                               Answer& out);
    void answered(tunnel::TunnelId id, const Answer& answer);

    net::Loop& loop_;
    LedgerService& ledger_;
    tunnel::Tunnels* tunnels_ = nullptr;
    const telemetry::Log& log_;
    telemetry::CounterFamily& witnessed_;
    const std::shared_ptr<ledger::LoggedKeys> keys_;  // the reading thread's
    std::unordered_map<tunnel::TunnelId, Turn> turns_;
    std::size_t open_ = 0;
};

}  // namespace ee::control_plane
