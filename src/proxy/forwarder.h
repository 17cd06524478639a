#pragma once
// Carries one request from a visitor to an eligible agent and the answer back.

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "crypto/random_pool.h"
#include "http/exchange.h"
#include "net/loop.h"
#include "proxy/ejections.h"
#include "proxy/explanation.h"
#include "proxy/header_rules.h"
#include "proxy/kept_request.h"
#include "proxy/rate_limits.h"
#include "proxy/requirement.h"
#include "proxy/retry_budget.h"
#include "proxy/visit_log.h"
#include "proxy/visitor.h"
#include "proxy/waiting_visits.h"
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
    WaitingSettings waiting;
    BodyMemory* memory = nullptr;  // Of the process; null: as if it were endless.
    // For so long the backend may go on with a WebSocket whose visitor has said all and is gone.
    std::chrono::milliseconds farewell_time = std::chrono::seconds(10);
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
    bool body_follows = false;  // The exchange streams it: only where body_terms() said so.
    Origin origin = Origin::app;
    bool described = false;  // By a message: the fields were written by who sent it, not on its way here.
};

class Call;

// What choose() answers of agents that need only attest again: never told to a visitor.
inline constexpr std::string_view evidence_too_old = "evidence_too_old";

// Which agents a visit may go to.
enum class Carrier { any, streams_only };

// Which agents a request may go to.
struct Selection {
    Carrier carrier = Carrier::any;
    const Requirement* requirement = nullptr;   // EE-Require; null: none.
    MonoTime asked_at{};                        // When the request came.
    std::span<const std::string> not_agents{};  // Ids of those that have had it already.
};

class Forwarder {
public:
    Forwarder(net::Loop& loop, registry::Registry& registry, tunnel::Tunnels& tunnels,
              telemetry::AccessLog& access_log, telemetry::Metrics& metrics, ForwardSettings settings);
    ~Forwarder();

    // Of a request to the app: in pieces of any size where every agent that may serve it takes them so, or
    // one does and the body is too large for the others or of no known length; but what may be sent to
    // another agent, should one be lost, is gathered.
    http::BodyTerms body_terms(std::string_view app, const http::RequestHead& head,
                               const net::IpAddress& client);
    // For a body that is gathered whatever agents there are. The request counts against its client and its
    // app from here on; beyond a limit nothing is gathered, and forward() or refuse_exceeded() answers.
    http::BodyTerms gather(std::string_view app, const net::IpAddress& client, std::size_t bytes_max);

    // The agent that serves the app's next visitor; not null. Refusals: `unknown_app`, why no agent may serve
    // (`offline`, `unattested`, ...), `overloaded`; with `streams_only` also `upgrade_unsupported`, when all
    // that may serve are v1; with a requirement also `requirement_unmet`, and `evidence_too_old` when an
    // agent meets all of it but its max-age.
    Result<tunnel::Session*> choose(std::string_view app, Moment now, const Selection& selection);
    Result<tunnel::Session*> choose(std::string_view app, Moment now, Carrier carrier = Carrier::any) {
        return choose(app, now, Selection{.carrier = carrier});
    }

    // What choose() would go by, and answer, now.
    Explanation explain(std::string_view app, Moment now);

    // Answers the exchange, now or later. Never fails without an answer.
    void forward(http::Exchange& exchange, const ForwardRequest& request);

    // Answers with a refusal: problem+json with Retry-After where waiting helps.
    void refuse(http::Exchange& exchange, const ForwardRequest& request, const Error& why);

    // Answers a request that was beyond a limit when its head came. False: it was not, and nothing happened.
    bool refuse_exceeded(http::Exchange& exchange, const ForwardRequest& request);

    // A line in the access log for what nobody was asked to forward. The request's id.
    std::string record(const http::Refusal& refusal, std::string_view app);

    // An agent of the app has shown fresh evidence: requests may wait for it.
    void attested(std::string_view app) { waiting_.attested(app); }
    // Until when an agent is left out because of failures in a row; in the past: its probe is due or under
    // way.
    std::optional<MonoTime> ejected_until(std::string_view app, std::string_view agent_id) const {
        return ejections_.out_until({app, agent_id});
    }
    // For whoever sends something to an agent: begins an attempt, ends it with a failure or an answer.
    Attempt attempt(Ejections::AgentName agent, tunnel::TunnelId tunnel) {
        return {ejections_, agent, tunnel, loop_.now()};
    }
    void failed(Attempt& attempt, std::string_view code);
    void answered(Attempt& attempt) {
        if (attempt.answered())
            registry_.readmitted(attempt.agent().app, attempt.agent().agent_id, {loop_.now(), wall_now()});
    }

    // What a visit counts against, until it ends. Refusal: `rate_limited`.
    Result<Buckets::Pass> take_client(const net::IpAddress& client, MonoTime now);
    Result<Buckets::Pass> take_app(std::string_view app, MonoTime now);

    const ForwardSettings& settings() const { return settings_; }
    // Known once the listeners have their ports.
    void set_names(registry::PublicNames names) { settings_.names = std::move(names); }
    void set_rate_limits(const RateLimitSettings& rate_limits) { rate_limits_.set(rate_limits); }
    std::size_t open_calls() const { return calls_; }

private:
    friend class Call;
    // Whom choose() has left out, and why.
    struct LeftOut {
        bool v1 = false;
        bool unmet = false;
        bool too_old = false;
    };
    bool suits(const Selection& selection, const registry::Agent& agent, Moment now, LeftOut& left_out);
    Error nobody_left(std::string_view app, Moment now, const LeftOut& left_out) const;
    void leave_out_ejected(std::string_view app, MonoTime now);

    // What a request counts against that is not forwarded yet. An error is for its visitor.
    struct Passes final : http::Claim {
        RateLimits::Taken client, app;
    };

    // The rest of forward(), with an agent or before there is one.
    void carry(std::unique_ptr<Call> call, http::Exchange& exchange, const ForwardRequest& request,
               tunnel::Session* session, Moment now);
    void await_evidence(std::unique_ptr<Call> call, Moment now);
    // For a request that waits: see WaitingVisits.
    void look_again(Call& call, bool last);
    // Sends what the call keeps to an agent that has not had it. False: there is none, and nothing happened.
    bool send_elsewhere(Call& call);
    // Whether there is an agent that has not had it, and the budget has it.
    bool may_retry(const Call& call);

    struct RefusalFields {
        std::string_view request_id;
        std::uint32_t retry_after_s;
        const Requirement* requirement = nullptr;
        MonoTime asked_at{};
        bool is_timed = false;  // Every answer of the control listener is.
    };
    // How many bytes its body has.
    std::size_t refuse_app(http::Exchange& exchange, std::string_view app, const Error& why,
                           const RefusalFields& named);
    struct PickedRelease {
        std::size_t place;  // In the app's rollout.
        double random;      // What picked it, in [0, 1).
    };
    // nullopt: all candidates stay.
    std::optional<PickedRelease> keep_one_release(std::string_view app);
    bool has_room_for(const tunnel::Session* session) const;
    Error exceeded(const RateLimits::Exceeded& why);
    Error exceeded(Call& call, const RateLimits::Exceeded& why);
    // Valid until the next call.
    std::string_view traceparent(std::span<const http::Field> fields);

    net::Loop& loop_;
    registry::Registry& registry_;
    tunnel::Tunnels& tunnels_;
    VisitLog visit_log_;
    ForwardSettings settings_;
    telemetry::StatusCounters requests_;
    telemetry::CounterFamily& refused_;
    telemetry::Histogram& duration_;
    std::array<telemetry::Counter*, RateLimits::limits> rate_limited_{};
    telemetry::Counter& retried_;
    telemetry::Counter& not_retried_;
    telemetry::Counter& ejected_;
    crypto::RandomPool random_;
    RateLimits rate_limits_;
    std::string trace_;
    RequestFields request_fields_;
    AnswerFields answer_fields_;
    std::vector<router::Candidate> candidates_;
    std::vector<tunnel::TunnelId> too_old_;  // Of the last choice: they meet all but the max-age.
    KeptRequests spare_;
    RetryBudget retry_budget_;
    Ejections ejections_;
    WaitingVisits waiting_;
    std::size_t calls_ = 0;
};

}  // namespace ee::proxy
