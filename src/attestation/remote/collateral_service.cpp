#include "attestation/remote/collateral_service.h"

#include "attestation/trust_anchor.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

// Name look-ups that wait; there are never more names than two.
constexpr std::size_t look_ups_max = 256;
// Those who wait for a fetch; above that they are called back at once.
constexpr std::size_t waiting_max = 65'536;

}  // namespace

CollateralService::CollateralService(ServiceSettings settings, VerifyCollateral verify,
                                     std::shared_ptr<const net::TlsContext> tls, const telemetry::Log& log,
                                     telemetry::Metrics& metrics)
    : settings_(std::move(settings)),
      verify_(std::move(verify)),
      log_(log),
      fetches_(metrics.counter_family("ee_collateral_fetches_total",
                                      "Fetches of a platform's collateral, by refusal (ok: none)", "result")),
      platforms_(metrics.gauge("ee_collateral_platforms", "Platforms whose collateral is fetched")),
      next_update_(metrics.gauge("ee_collateral_next_update_timestamp_seconds",
                                 "When the first of the fetched collateral ends, 0 without any")),
      cache_(settings_.cache),
      look_ups_(1, look_ups_max),
      due_(thread_.loop(), [this] { look(); }),
      pcs_(settings_.url ? *settings_.url : net::parse_url(intel_pcs_url).value(), settings_.timeout,
           [this](http::ClientRequest request, http::OnClientAnswer on_answer) {
               client_.send(std::move(request), std::move(on_answer));
           }),
      client_(thread_.loop(), look_ups_, std::move(tls), {.queue_max = 4 * settings_.cache.keys_max}) {
    if (settings_.folder) files_.emplace(*settings_.folder);
    restore();
    thread_.loop().post([this] { look(); });
    thread_.start();
}

CollateralService::~CollateralService() {
    thread_.stop();
}

Moment CollateralService::moment() const {
    return {std::chrono::steady_clock::now(), wall_now()};
}

// Before the thread starts.
void CollateralService::restore() {
    if (!files_) return;
    const auto skipped = [this](const std::filesystem::path& file, const Error& why) {
        log_.warn("collateral.skipped",
                  {{"file", file.string()}, {"code", why.code}, {"detail", why.detail}});
    };
    files_->read_all(
        [&](const CollateralKey& key, Collateral collateral) {
            const auto judged = judge_kept(key, std::move(collateral), verify_);
            if (!judged)
                report_failure(key, "collateral.refused", judged.error());
            else if (cache_.restore(key, *judged, moment(), random_.unit()))
                report_kept(key, "collateral.restored", *judged);
        },
        skipped);
}

// Where the operator's own service is concerns nobody else.
Error CollateralService::for_agents(const Error& why) {
    if (why.code != "collateral_service_failed") return why;
    return {"collateral_unavailable", "the collateral service gave no whole answer"};
}

Result<std::shared_ptr<const Collateral>> CollateralService::find(const CollateralKey& key, WallTime now) {
    if (!settings_.url && key.anchor_spki_sha256 != intel_root_spki_sha256)
        return fail("collateral_unavailable",
                    "a simulated platform's collateral comes only from a service of one's own (EE_PCCS_URL)");
    CollateralCache::Found found;
    {
        const std::lock_guard lock(mutex_);
        found = cache_.find(key, {std::chrono::steady_clock::now(), now});
    }
    if (found.dropped) {
        thread_.loop().post([this, dropped = *found.dropped] {
            if (files_) files_->remove(dropped);
            settle(dropped);
        });
    }
    if (found.is_due) thread_.loop().post([this] { look(); });
    return std::move(found.answer);
}

std::vector<CollateralCache::State> CollateralService::states() const {
    const std::lock_guard lock(mutex_);
    return cache_.states();
}

void CollateralService::when_settled(const CollateralKey& key, std::function<void()> on_settled) {
    {
        const std::lock_guard lock(mutex_);
        if (cache_.is_under_way(key, std::chrono::steady_clock::now()) && waiting_.size() < waiting_max) {
            waiting_.emplace(key, std::move(on_settled));
            return;
        }
    }
    thread_.loop().post(std::move(on_settled));
}

void CollateralService::look() {
    std::vector<CollateralKey> due;
    std::optional<MonoTime> next;
    {
        const std::lock_guard lock(mutex_);
        due = cache_.take_due(std::chrono::steady_clock::now());
        next = cache_.next_due();
    }
    for (const CollateralKey& key : due) begin(key);
    if (next) due_.arm_at(*next);
}

void CollateralService::begin(const CollateralKey& key) {
    pcs_.fetch(key, [this, key](Result<Collateral> answer) { fetched(key, std::move(answer)); });
}

void CollateralService::fetched(const CollateralKey& key, Result<Collateral> answer) {
    const Moment now = moment();
    const bool is_answer = answer.has_value();
    const auto judged = answer ? judge_fetched(key, std::move(*answer), verify_, now.wall)
                               : Result<JudgedCollateral>(ee::fail(answer.error()));
    Result<void> accepted = {};
    {
        const std::lock_guard lock(mutex_);
        if (judged)
            accepted = cache_.accept(key, *judged, now, random_.unit());
        else
            cache_.fail(key, for_agents(judged.error()), now, random_.unit());
    }
    const Error* why = judged ? (accepted ? nullptr : &accepted.error()) : &judged.error();
    fetches_.count(why != nullptr ? why->code : "ok");
    if (why != nullptr)
        report_failure(key, is_answer ? "collateral.refused" : "collateral.fetch_failed", *why);
    else
        report_kept(key, "collateral.fetched", *judged);
    settle(key);
    // Nobody waits for the disk.
    if (why == nullptr && files_) {
        const auto written = files_->write(key, *judged->collateral());
        if (!written) report_failure(key, "collateral.not_kept", written.error());
    }
    look();
}

void CollateralService::report_kept(const CollateralKey& key, const char* event,
                                    const JudgedCollateral& judged) {
    std::size_t platforms;
    std::optional<WallTime> ends;
    {
        const std::lock_guard lock(mutex_);
        platforms = cache_.size();
        ends = cache_.earliest_next_update();
    }
    platforms_.set(static_cast<std::int64_t>(platforms));
    if (ends) next_update_.set(std::chrono::floor<std::chrono::seconds>(*ends).time_since_epoch().count());
    log_.info(event, {{"fmspc", to_hex(key.fmspc)},
                      {"ca", to_string(key.ca)},
                      {"anchor", to_hex(key.anchor_spki_sha256)},
                      {"evaluation", judged.terms().tcb_info_evaluation},
                      {"issued_at", to_rfc3339(judged.terms().issued_at)},
                      {"next_update", to_rfc3339(judged.terms().next_update)}});
}

void CollateralService::report_failure(const CollateralKey& key, const char* event, const Error& why) {
    log_.warn(event, {{"fmspc", to_hex(key.fmspc)},
                      {"ca", to_string(key.ca)},
                      {"anchor", to_hex(key.anchor_spki_sha256)},
                      {"code", why.code},
                      {"detail", why.detail}});
}

void CollateralService::settle(const CollateralKey& key) {
    std::vector<std::function<void()>> callbacks;
    {
        const std::lock_guard lock(mutex_);
        const auto [first, last] = waiting_.equal_range(key);
        for (auto at = first; at != last; ++at) callbacks.push_back(std::move(at->second));
        waiting_.erase(first, last);
    }
    for (const auto& callback : callbacks) callback();
}

}  // namespace ee::attestation
