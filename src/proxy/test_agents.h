#pragma once
// Agents that come in over TCP, and the registry that knows them: what tests of visitors stand before.

#include <cstdio>
#include <functional>
#include <string>

#include "base/check.h"
#include "http/server.h"
#include "registry/registry.h"
#include "telemetry/access_log.h"
#include "telemetry/metrics.h"
#include "tunnel/test_agent.h"

namespace ee::proxy {

class AgentsSide {
public:
    explicit AgentsSide(const tunnel::TunnelSettings& chosen = {}) : tunnel_settings(chosen) {
        owner.activated = [this](tunnel::Session& session) { admit(session); };
        owner.health = [this](tunnel::Session& session, bool pass) {
            registry.health(session.id(), pass, "", now());
        };
        owner.drained = [this](tunnel::Session& session, const std::string& why) {
            registry.drain(session.id(), why, wall_now());
        };
        owner.closed = [this](tunnel::Session& session, const std::string& why) {
            registry.disconnected(session.id(), why, wall_now());
        };
        EE_CHECK(control.listen("127.0.0.1", 0, nullptr));
    }

    Moment now() const { return {loop.now(), wall_now()}; }
    void admit(tunnel::Session& session) {
        registry::AdmitRequest request;
        request.claim = {session.registration()->app_name, "org/repo", "sandbox-1"};
        request.agent_id = session.registration()->agent_id;
        request.release_tag = "v1";
        request.tunnel = session.id();
        request.verdict.binding = "nonce";
        request.verdict.answered_at = request.verdict.judged_at = now();
        request.verdict.shown = std::make_shared<registry::ShownVerdict>(
            registry::ShownVerdict{.agent = "hash-of-" + request.agent_id,
                                   .attested_at = "2026-01-15T10:30:00Z",
                                   .tcb_status = "UpToDate",
                                   .attestation = "00ff"});
        if (proven) proven(request);
        EE_CHECK(std::holds_alternative<registry::Admitted>(registry.admit(request, now())));
    }
    // Registers and attests; whether it serves in time.
    bool attest(tunnel::TestAgent& agent, const protocol::Register& registration) {
        agent.send(registration);
        if (!until([&] { return agent.has_heard("challenge register"); })) return false;
        agent.attest();
        return until([&] { return agent.has_heard("status ok attested"); });
    }
    bool until(const std::function<bool()>& done) { return net::run_until(loop, done); }
    std::string logged() {
        access_log.flush();
        std::string text(16384, '\0');
        std::rewind(log_file);
        text.resize(std::fread(text.data(), 1, text.size(), log_file));
        return text;
    }

    std::function<void(registry::AdmitRequest&)> proven;  // Changes what an agent is admitted with.
    std::FILE* log_file = std::tmpfile();                 // Closed with the process.
    net::Loop loop;
    registry::Registry registry{registry::RegistrySettings{},
                                {{"sandbox-1", {"nonce", std::chrono::seconds(86400)}}}};
    tunnel::TestOwner owner;
    tunnel::TunnelSettings tunnel_settings;
    tunnel::Tunnels tunnels{loop, owner, tunnel_settings, tunnel::TunnelLimits{}, tunnel::test_entropy()};
    telemetry::Metrics metrics;
    telemetry::AccessLog access_log{::fileno(log_file)};

private:
    struct Control final : http::RequestHandler {
        explicit Control(tunnel::Tunnels& all) : tunnels(all) {}
        http::BodyTerms body_terms(const http::RequestHead&, const net::Endpoint&) override { return {}; }
        void on_request(http::Exchange& exchange) override {
            EE_CHECK(tunnels.accept(exchange, exchange.peer().ip));
        }
        std::string on_refused(const http::Refusal&) override { return ""; }
        tunnel::Tunnels& tunnels;
    };
    Control control_handler_{tunnels};

public:
    http::Server control{loop, control_handler_, http::ServerLimits{}};  // Where they come in.
};

}  // namespace ee::proxy
