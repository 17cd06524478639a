#include "proxy/waiting_visits.h"

#include <algorithm>

#include <fmt/format.h>

namespace ee::proxy {

WaitingVisits::WaitingVisits(net::Loop& loop, const tunnel::Tunnels& tunnels, telemetry::Metrics& metrics,
                             const WaitingSettings& settings, Look look)
    : loop_(loop),
      tunnels_(tunnels),
      settings_(settings),
      look_(std::move(look)),
      waiting_(metrics.gauge("ee_proxy_waiting_for_evidence",
                             "Requests that wait for younger evidence (EE-Require: max-age)")),
      challenges_(metrics.counter("ee_proxy_challenges_total",
                                  "Challenges because a request asked for younger evidence")),
      turns_(settings.challenges_apart, settings.challenges_per_second_max),
      timer_(loop, [this] { turn(); }) {}

Result<void> WaitingVisits::add(Call& call, std::string_view app, MonoTime now) {
    std::size_t& of_app = count_of_app_[std::string(app)];
    if (requests_.size() >= settings_.requests_max || of_app >= settings_.requests_per_app_max) {
        const std::size_t all = requests_.size(), here = of_app;
        if (of_app == 0) count_of_app_.erase(std::string(app));
        return fail(
            "overloaded",
            fmt::format(
                "{} requests wait for younger evidence of this app (of at most {}), {} in all (of {})", here,
                settings_.requests_per_app_max, all, settings_.requests_max));
    }
    ++of_app;
    requests_.push_back({&call, std::string(app), now + settings_.wait_max});
    place_of_[&call] = std::prev(requests_.end());
    waiting_.add(1);
    schedule();
    return {};
}

void WaitingVisits::remove(Call& call) {
    const auto found = place_of_.find(&call);
    if (found == place_of_.end()) return;
    const auto of_app = count_of_app_.find(found->second->app);
    if (--of_app->second == 0) count_of_app_.erase(of_app);
    requests_.erase(found->second);
    place_of_.erase(found);
    waiting_.add(-1);
}

void WaitingVisits::challenge(std::span<const tunnel::TunnelId> agents) {
    for (const tunnel::TunnelId agent : agents) turns_.want(agent);
    schedule();
}

void WaitingVisits::attested(std::string_view app) {
    if (requests_.empty() || !count_of_app_.contains(std::string(app))) return;
    if (std::ranges::find(attested_, app) == attested_.end()) attested_.emplace_back(app);
    schedule();
}

// In a turn of its own: what made the evidence known is not in the middle of something then.
void WaitingVisits::schedule() {
    if (!attested_.empty()) return timer_.arm_after(std::chrono::milliseconds(0));
    const MonoTime now = loop_.now();
    MonoTime due = turns_.next(now).value_or(MonoTime::max());
    if (!requests_.empty()) due = std::min(due, requests_.front().until);
    if (due == MonoTime::max()) return timer_.cancel();
    timer_.arm_after(std::max(due - now, MonoTime::duration{0}));
}

void WaitingVisits::turn() {
    look_at_attested();
    const MonoTime now = loop_.now();
    while (!requests_.empty() && now >= requests_.front().until) {
        Call& call = *requests_.front().call;
        remove(call);
        look_(call, true);
    }
    // Agents are left alone when nobody waits any more for whom it would be.
    if (requests_.empty()) turns_.unwant_all();
    for (const ChallengeTurns::Id agent : turns_.take_due(now)) {
        tunnel::Session* session = tunnels_.find(agent);
        if (session == nullptr) continue;
        challenges_.add();
        session->challenge(protocol::ChallengeReason::periodic);
    }
    schedule();
}

void WaitingVisits::look_at_attested() {
    const std::vector<std::string> apps = std::exchange(attested_, {});
    if (apps.empty()) return;
    std::vector<Call*> calls;
    for (const Waiting& waiting : requests_)
        if (std::ranges::find(apps, waiting.app) != apps.end()) calls.push_back(waiting.call);
    for (Call* call : calls)
        if (place_of_.contains(call)) look_(*call, false);
}

}  // namespace ee::proxy
