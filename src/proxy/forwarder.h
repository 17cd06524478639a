#pragma once
// Carries one request from a visitor to an eligible agent and the answer back.

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "crypto/random_pool.h"
#include "http/exchange.h"
#include "net/loop.h"
#include "protocol/limits.h"
#include "proxy/explanation.h"
#include "proxy/header_rules.h"
#include "proxy/rate_limits.h"
#include "proxy/visit_log.h"
#include "proxy/visitor.h"
#include "registry/registry.h"
#include "registry/resolution_json.h"
#include "router/choice.h"
#include "telemetry/access_log.h"
#include "telemetry/metrics.h"
#include "tunnel/tunnels.h"

namespace ee::proxy {

struct ForwardSettings {
    TrustSettings trust;
    registry::PublicNames names;  // For the resolve body of a 403.
    RateLimitSettings rate_limits;
    const BodyMemory* memory = nullptr;  // Of the process; null: as if it were endless.
    // Of a request whose body is gathered: v1 carries no larger one, so nothing larger is read.
    std::size_t whole_body_bytes_max = protocol::request_text_bytes_max;
};

// What is to be forwarded; borrowed for the call.
struct ForwardRequest {
    const Visitor& visitor;
    std::string_view request_id;
    std::string_view app;
    std::string_view method;
    std::string_view target;
    std::span<const http::Field> fields;
    std::string_view body;
    bool body_follows = false;  // The exchange streams it: only where streams_bodies() said so.
    Origin origin = Origin::app;
    bool described = false;  // By a message: the fields were written by who sent it, not on its way here.
};

class Call;

// Which agents a visit may go to.
enum class Carrier { any, streams_only };

class Forwarder {
public:
    Forwarder(net::Loop& loop, registry::Registry& registry, tunnel::Tunnels& tunnels,
              telemetry::AccessLog& access_log, telemetry::Metrics& metrics, ForwardSettings settings);
    ~Forwarder();

    // Of a request to the app: in pieces of any size where every agent that may serve it takes them so.
    http::BodyTerms body_terms(std::string_view app);

    // The agent that serves the app's next visitor; not null. Refusals: `unknown_app`, why no agent may serve
    // (`offline`, `unattested`, ...), `overloaded`; with `streams_only` also `upgrade_unsupported`, when all
    // that may serve are v1.
    Result<tunnel::Session*> choose(std::string_view app, Moment now, Carrier carrier = Carrier::any);

    // What choose() would go by, and answer, now.
    Explanation explain(std::string_view app, Moment now);

    // Answers the exchange, now or later. Never fails without an answer.
    void forward(http::Exchange& exchange, const ForwardRequest& request);

    // Answers with a refusal: problem+json with Retry-After where waiting helps.
    void refuse(http::Exchange& exchange, const ForwardRequest& request, const Error& why);

    const ForwardSettings& settings() const { return settings_; }
    // Known once the listeners have their ports.
    void set_names(registry::PublicNames names) { settings_.names = std::move(names); }
    void set_rate_limits(const RateLimitSettings& rate_limits) { rate_limits_.set(rate_limits); }
    std::size_t open_calls() const { return calls_; }

private:
    friend class Call;
    bool streams_bodies(std::string_view app);
    struct RefusalFields {
        std::string_view request_id;
        std::uint32_t retry_after_s;
    };
    void refuse_app(http::Exchange& exchange, std::string_view app, const Error& why,
                    const RefusalFields& named);
    void keep_one_release(std::string_view app);
    bool has_room_for(const tunnel::Session& session) const;
    Error exceeded(Call& call, const RateLimits::Exceeded& why);
    // Valid until the next call.
    std::string_view traceparent(std::span<const http::Field> fields);

    net::Loop& loop_;
    registry::Registry& registry_;
    tunnel::Tunnels& tunnels_;
    VisitLog visit_log_;
    ForwardSettings settings_;
    telemetry::Counter& requests_;
    telemetry::CounterFamily& refused_;
    telemetry::Histogram& duration_;
    std::array<telemetry::Counter*, RateLimits::limits> rate_limited_{};
    crypto::RandomPool random_;
    RateLimits rate_limits_;
    std::string trace_;
    RequestFields request_fields_;
    AnswerFields answer_fields_;
    std::vector<router::Candidate> candidates_;
    std::size_t calls_ = 0;
};

}  // namespace ee::proxy
