#include "control_plane/fraud_watch.h"

#include <utility>

#include "base/hex.h"
#include "base/json_writer.h"

namespace ee::control_plane {

using registry::ChallengeRecord;

namespace {

constexpr std::size_t looks_waiting_max = 64;
constexpr std::size_t later_max = 256;
constexpr std::size_t refused_max = 256;
// Each would cost the node all it has: more say nothing more.
constexpr std::size_t proposals_of_node_max = 16;
// Between tries where the ledger has too much to do.
constexpr std::chrono::seconds retry_time{2};

bool is_another(const ChallengeRecord& a, const ChallengeRecord& b) {
    return a.agent_id != b.agent_id || a.app_name != b.app_name || a.node_id != b.node_id;
}

void append_challenge(JsonWriter& json, const ChallengeRecord& challenge) {
    json.field("agent_id", challenge.agent_id)
        .field("app_name", challenge.app_name)
        .field("node_id", challenge.node_id)
        .field("at", to_rfc3339(challenge.at));
}

std::string evidence_of(const ForeignQuote& quote, const ChallengeRecord& other) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().field("kind", "foreign_quote").key("quote_sha256").hex(quote.quote);
    json.key("challenge").begin_object();
    append_challenge(json, quote.answered);
    json.key("nonce").hex(quote.nonce).end_object();
    json.key("other").begin_object();
    append_challenge(json, other);
    json.key("report_data_sha256").hex(other.report_data_sha256).end_object();
    json.end_object();
    return out;
}

std::string evidence_of(const registry::SharedKey& key) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().field("kind", "shared_agent_key").key("agent_key_sha256").hex(*key.now.agent_key);
    json.key("challenge").begin_object();
    append_challenge(json, key.now);
    json.key("report_data_sha256").hex(key.now.report_data_sha256).end_object();
    json.key("other").begin_object();
    append_challenge(json, key.first);
    json.end_object().end_object();
    return out;
}

}  // namespace

FraudWatch::FraudWatch(net::Loop& loop, api::LedgerDoor& ledger, registry::EvidenceStore& store,
                       const telemetry::Log& log, std::chrono::milliseconds answer_time)
    : loop_(loop),
      ledger_(ledger),
      store_(store),
      log_(log),
      answer_time_(answer_time),
      looks_(loop, [this] { look_later(); }),
      retries_(loop, [this] { retry(); }),
      reader_(1, looks_waiting_max, net::WorkerPriority::background) {
    store_.on_shared_key(
        [this](const registry::SharedKey& key) { loop_.post([this, key] { shared(key); }); });
}

// The store tells of nothing after this; what it has posted is never run, the loop being at its end.
FraudWatch::~FraudWatch() {
    store_.on_shared_key({});
}

void FraudWatch::shown(ForeignQuote quote) {
    look(std::move(quote), false);
}

void FraudWatch::look(ForeignQuote quote, bool is_last) {
    const std::string node = quote.answered.node_id;
    auto job = [this, quote = std::move(quote), is_last] {
        auto found = store_.find_challenge(quote.answered.report_data_sha256, wall_now());
        loop_.post([this, quote, is_last, found = std::move(found)] { looked(quote, is_last, found); });
    };
    if (!reader_.run(std::move(job))) log_.warn("fraud.not_looked_up", {{"node", node}});
}

void FraudWatch::looked(ForeignQuote quote, bool is_last,
                        const Result<std::optional<ChallengeRecord>>& found) {
    const std::string& node = quote.answered.node_id;
    if (!found) {
        log_.error("fraud.not_looked_up",
                   {{"node", node}, {"code", found.error().code}, {"detail", found.error().detail}});
        return;
    }
    if (!*found) {
        // A challenge may be open that it is the answer to: held back, so that this one comes first.
        if (is_last || later_.size() >= later_max) return;
        later_.push_back({loop_.now() + answer_time_, std::move(quote)});
        if (!looks_.armed()) looks_.arm_at(later_.front().due);
        return;
    }
    // Its own earlier answer is late, no fraud.
    if (!is_another(quote.answered, **found)) return;
    propose({.node = node,
             .event_id = "foreign_quote:" + to_hex(quote.answered.report_data_sha256),
             .reason = "answered a challenge with a quote made for another one",
             .evidence = evidence_of(quote, **found)});
}

void FraudWatch::look_later() {
    while (!later_.empty() && later_.front().due <= loop_.now()) {
        ForeignQuote quote = std::move(later_.front().quote);
        later_.pop_front();
        look(std::move(quote), true);
    }
    if (!later_.empty()) looks_.arm_at(later_.front().due);
}

// Whoever holds the key has had the token of both, and could have come with either first: both are proposed.
void FraudWatch::shared(const registry::SharedKey& key) {
    for (const std::string& node : {key.first.node_id, key.now.node_id})
        propose({.node = node,
                 .event_id = "shared_agent_key:" + to_hex(*key.now.agent_key),
                 .reason = "one agent key was attested under two nodes",
                 .evidence = evidence_of(key)});
}

void FraudWatch::propose(ledger::ProposeFraud command) {
    std::set<std::string>& events = proposed_[command.node];
    if (events.size() >= proposals_of_node_max || !events.insert(command.event_id).second) return;
    log_.warn("fraud.found",
              {{"node", command.node}, {"event", command.event_id}, {"evidence", command.evidence}});
    run(std::move(command));
}

void FraudWatch::run(ledger::ProposeFraud command) {
    ledger::Request request{.caller = {.role = ledger::Role::server}};
    request.command = command;
    ledger_.run(std::move(request),
                [this, command = std::move(command)](const Result<ledger::Reply>& reply) mutable {
                    ran(std::move(command), reply);
                });
}

// What the ledger had no time for is tried again; what it refuses is found anew when it is seen again.
void FraudWatch::ran(ledger::ProposeFraud command, const Result<ledger::Reply>& reply) {
    if (reply) return;
    if (reply.error().code == "ledger_busy" && refused_.size() < refused_max) {
        refused_.push_back(std::move(command));
        if (!retries_.armed()) retries_.arm_after(retry_time);
        return;
    }
    log_.error("fraud.not_proposed",
               {{"node", command.node}, {"code", reply.error().code}, {"detail", reply.error().detail}});
    proposed_[command.node].erase(command.event_id);
}

void FraudWatch::retry() {
    for (ledger::ProposeFraud& command : std::exchange(refused_, {})) run(std::move(command));
}

}  // namespace ee::control_plane
