#pragma once
// The quote that an open challenge waits for. Where one cannot be made, it is tried again until the deadline.

#include <chrono>
#include <functional>
#include <memory>
#include <optional>

#include "attestation/quote_provider.h"
#include "attestation/report_data.h"
#include "net/loop.h"
#include "net/worker_pool.h"
#include "telemetry/log.h"

namespace ee::agent {

class ChallengeQuote {
public:
    // `retry_time`: after a first failure, before the next try; doubles, to 8 s at most. What is given must
    // outlive this object, and all but the log what the workers run for it.
    ChallengeQuote(net::Loop& loop, net::WorkerPool& workers, attestation::QuoteProvider& provider,
                   const telemetry::Log& log, std::chrono::milliseconds retry_time);
    ~ChallengeQuote() { cancel(); }
    ChallengeQuote(const ChallengeQuote&) = delete;
    ChallengeQuote& operator=(const ChallengeQuote&) = delete;

    // In place of one before it, if that is still open. Calls back once, perhaps from within; without a quote
    // when none could be made within `time`. Each failure is logged.
    using OnDone = std::function<void(std::optional<Bytes> quote)>;
    void begin(const attestation::ReportData& report_data, std::chrono::nanoseconds time, OnDone on_done);
    // No call comes after this.
    void cancel();
    bool is_open() const { return alive_ != nullptr; }

private:
    void ask();
    void failed(const Error& why);
    void finish(std::optional<Bytes> quote);

    net::Loop& loop_;
    net::WorkerPool& workers_;
    attestation::QuoteProvider& provider_;
    const telemetry::Log& log_;
    const std::chrono::milliseconds retry_time_;
    net::Timer again_;
    attestation::ReportData report_data_{};
    MonoTime deadline_{};
    std::chrono::milliseconds wait_{};  // After the next failure.
    OnDone on_done_;
    std::shared_ptr<bool> alive_;  // Told apart from an earlier challenge's, whose quote comes late.
};

}  // namespace ee::agent
