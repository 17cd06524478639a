#include "agent/challenge_quote.h"

#include <algorithm>

#include "agent/quote_on_worker.h"

namespace ee::agent {
namespace {

constexpr std::chrono::milliseconds wait_max = std::chrono::seconds(8);

}  // namespace

ChallengeQuote::ChallengeQuote(net::Loop& loop, net::WorkerPool& workers,
                               attestation::QuoteProvider& provider, const telemetry::Log& log,
                               std::chrono::milliseconds retry_time)
    : loop_(loop),
      workers_(workers),
      provider_(provider),
      log_(log),
      retry_time_(retry_time),
      again_(loop, [this] { ask(); }) {}

void ChallengeQuote::begin(const attestation::ReportData& report_data, std::chrono::nanoseconds time,
                           OnDone on_done) {
    cancel();
    report_data_ = report_data;
    deadline_ = loop_.now() + time;
    wait_ = retry_time_;
    on_done_ = std::move(on_done);
    alive_ = std::make_shared<bool>(true);
    ask();
}

void ChallengeQuote::cancel() {
    if (alive_) *alive_ = false;
    alive_.reset();
    again_.cancel();
    on_done_ = nullptr;
}

void ChallengeQuote::ask() {
    const bool queued = quote_on_worker(loop_, workers_, provider_, report_data_,
                                        [this, alive = alive_](Result<Bytes> quote) {
                                            if (!*alive) return;
                                            if (!quote) return failed(quote.error());
                                            finish(std::move(*quote));
                                        });
    if (!queued) failed({"overloaded", "too many quotes are asked for at once"});
}

// A host that is busy, or whose quote generation service starts anew, may make one in time yet.
void ChallengeQuote::failed(const Error& why) {
    if (loop_.now() + wait_ >= deadline_) {
        log_.error("attestation.failed", {{"code", why.code}, {"detail", why.detail}});
        return finish(std::nullopt);
    }
    log_.warn("attestation.failed",
              {{"code", why.code}, {"detail", why.detail}, {"retry_in_ms", wait_.count()}});
    again_.arm_after(wait_);
    wait_ = std::min(2 * wait_, wait_max);
}

void ChallengeQuote::finish(std::optional<Bytes> quote) {
    const OnDone done = std::move(on_done_);
    cancel();
    done(std::move(quote));
}

}  // namespace ee::agent
