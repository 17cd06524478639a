#pragma once
// Collateral from a service: fetched once for each platform, in the background, on a thread of its own; kept
// in memory and on disk; refreshed before it ends.

#include <filesystem>
#include <mutex>
#include <optional>

#include "attestation/collateral_source.h"
#include "attestation/remote/collateral_cache.h"
#include "attestation/remote/collateral_files.h"
#include "attestation/remote/pcs_client.h"
#include "crypto/random_pool.h"
#include "http/client.h"
#include "net/loop_thread.h"
#include "net/worker_pool.h"
#include "telemetry/log.h"
#include "telemetry/metrics.h"

namespace ee::attestation {

struct ServiceSettings {
    // EE_PCCS_URL; without it Intel's service, which is asked for nobody's platforms but Intel's.
    std::optional<net::Url> url;
    // Where what was fetched is kept; without it only in memory.
    std::optional<std::filesystem::path> folder;
    std::chrono::milliseconds timeout{10'000};  // of one of the four answers
    CacheSettings cache;
};

class CollateralService final : public CollateralSource {
public:
    // Reads what an earlier process kept, and starts. `log` and `metrics` outlive it.
    CollateralService(ServiceSettings settings, VerifyCollateral verify,
                      std::shared_ptr<const net::TlsContext> tls, const telemetry::Log& log,
                      telemetry::Metrics& metrics);
    // Waits for its thread; fetches under way end without a word, and nobody is called back any more.
    ~CollateralService() override;

    // As CollateralCache::find. Besides, `collateral_unavailable` for a simulated platform's when EE_PCCS_URL
    // is not set.
    Result<std::shared_ptr<const Collateral>> find(const CollateralKey& key, WallTime now) override;

    // Calls back once, on the service's thread, which must not be held up: when the fetch under way for this
    // key has ended, well or not; soon when there is none. Any thread.
    void when_settled(const CollateralKey& key, std::function<void()> on_settled) override;

    // Any thread.
    std::vector<CollateralCache::State> states() const;

private:
    void restore();
    void look();
    void begin(const CollateralKey& key);
    void fetched(const CollateralKey& key, Result<Collateral> answer);
    void report_kept(const CollateralKey& key, const char* event, const JudgedCollateral& judged);
    static Error for_agents(const Error& why);
    void report_failure(const CollateralKey& key, const char* event, const Error& why);
    void settle(const CollateralKey& key);
    Moment moment() const;

    const ServiceSettings settings_;
    const VerifyCollateral verify_;
    const telemetry::Log& log_;
    telemetry::CounterFamily& fetches_;
    telemetry::Gauge& platforms_;
    telemetry::Gauge& next_update_;
    std::optional<CollateralFiles> files_;

    mutable std::mutex mutex_;  // of the next two
    CollateralCache cache_;
    std::multimap<CollateralKey, std::function<void()>> waiting_;

    // On the thread, and last: what runs on it uses all of the above.
    net::LoopThread thread_;
    net::WorkerPool look_ups_;
    crypto::RandomPool random_;
    net::Timer due_;
    PcsClient pcs_;
    http::Client client_;
};

}  // namespace ee::attestation
