#pragma once
// A registry with a clock, for this folder's tests.

#include <fmt/format.h>

#include "registry/registry.h"

namespace ee::registry {

// Every event, as it is told.
struct Told final : events::Sink {
    std::uint64_t add(events::Event event) override {
        told.push_back(std::move(event));
        return told.size();
    }
    std::vector<events::Event> told;
};

struct RegistryFixture {
    Moment now() const {
        return {MonoTime{std::chrono::hours{1000}} + clock,
                WallTime{std::chrono::sys_days{std::chrono::year{2026} / 1 / 15}} + clock};
    }

    static AttestedVerdict verdict(Moment at, Bytes agent_key = {}) {
        AttestedVerdict out;
        out.binding = "nonce";
        out.tcb_status = "UpToDate";
        out.agent_key = std::move(agent_key);
        out.answered_at = at;
        out.judged_at = at;
        return out;
    }

    AdmitRequest request(TunnelId tunnel, const std::string& agent_id = "a1", Bytes agent_key = {}) const {
        return {.claim = {"myapp", "org/repo", "forge-1"},
                .agent_id = agent_id,
                .release_tag = "v1",
                .peer_address = "192.0.2.1:5",
                .tunnel_version = "1",
                .tunnel = tunnel,
                .verdict = verdict(now(), std::move(agent_key))};
    }

    Admitted admit(const AdmitRequest& request) { return std::get<Admitted>(registry.admit(request, now())); }
    std::string refused(const AdmitRequest& request) {
        const AdmitOutcome outcome = registry.admit(request, now());
        const auto* error = std::get_if<Error>(&outcome);
        return error != nullptr ? error->code : "";
    }

    Resolution resolve(std::string_view app = "myapp") const { return registry.resolve(app, now()).value(); }
    AppStatus status(std::string_view app = "myapp") const { return registry.status(app, now()).value(); }
    std::vector<TunnelId> candidates(std::string_view app = "myapp") const {
        std::vector<TunnelId> out;
        registry.visit_candidates(app, now(), [&](const Agent& agent) { out.push_back(agent.tunnel); });
        return out;
    }

    std::chrono::milliseconds clock{0};
    Registry registry{RegistrySettings{},
                      {{"forge-1", {"channel", std::chrono::seconds{21600}}},
                       {"sandbox-1", {"nonce", std::chrono::seconds{86400}}}}};
};

}  // namespace ee::registry
