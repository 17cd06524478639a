#pragma once
// The agent as a witness of the control plane's log: it keeps the newest checkpoint that goes on from the one
// before, across restarts, and the tunnel brings it back. A control plane whose ledger was restored from an
// older copy, or shows others another one, finds that out by it.

#include <filesystem>
#include <memory>
#include <string>

#include "ledger/checkpoint.h"
#include "net/loop.h"
#include "net/worker_pool.h"
#include "telemetry/log.h"

namespace ee::agent {

class Witness {
public:
    // Reads what is kept in `folder`/checkpoint. A file that holds no checkpoint is logged and stays until
    // there is one.
    Witness(net::Loop& loop, net::WorkerPool& workers, const telemetry::Log& log,
            std::filesystem::path folder);
    ~Witness();

    // What is held; empty: nothing yet.
    const std::string& note() const { return note_; }
    // Takes a checkpoint that goes on from the held one, as `proof` shows, and keeps it. Else logs why not,
    // and holds what it has. A loss that the log admits is gone on with once: what comes after it is not lost
    // by it. Of another log: begins anew. What can't be gone on from is added to
    // `checkpoints.old`. Whether the log's key signed is not known here.
    void told(const std::string& note, const std::string& proof);

private:
    void take(const std::string& note, const ledger::UnverifiedCheckpoint& checkpoint, bool keeps_old);
    void save();

    net::Loop& loop_;
    net::WorkerPool& workers_;
    const telemetry::Log& log_;
    const std::filesystem::path folder_;
    std::string note_;
    ledger::UnverifiedCheckpoint held_;
    std::string old_;  // to be added to checkpoints.old
    bool saving_ = false;
    bool unsaved_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // For what answers late.
};

}  // namespace ee::agent
