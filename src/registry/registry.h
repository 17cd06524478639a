#pragma once
// Apps and their agents: who is bound to which name, who may serve, and why not. Answers from memory.
// One thread; reads no clock.

#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <variant>

#include "base/ip_address.h"
#include "base/result.h"
#include "base/text_hash.h"
#include "events/event.h"
#include "registry/nodes.h"
#include "registry/views.h"

namespace ee::registry {

// Who may serve: any agent that attests, those of registered nodes, or those of nodes that the app lists.
enum class Join : std::uint8_t { open, node, listed };

// What the registry must know of a network's policy.
struct NetworkTerms {
    std::string binding{};  // The least level it asks for.
    std::chrono::seconds evidence_grace{0};
    NodeRules nodes{};
    Join join = Join::open;  // Of apps without a list of nodes of their own.
};
using NetworkTable = std::map<std::string, NetworkTerms, std::less<>>;

struct RegistrySettings {
    EligibilityRules eligibility;
    std::chrono::seconds cell{3600};  // The step of the ledger's grid.
    std::chrono::days registration_ttl{30};
    std::chrono::days registration_warn{3};
    std::chrono::days name_reserve{90};
    std::size_t events_max = 50;
    std::size_t refusals_max = 500;
    // Disconnected agents remembered for each app.
    std::size_t disconnected_max = 16;
    // Names in all beyond which agents bind no more; admins may. And how many agents of one client's address
    // may bind within an hour.
    std::size_t apps_max = 100'000;
    std::size_t new_apps_per_address_max = 1000;
};

// What a tunnel says it is. Views, borrowed for the call.
struct Claim {
    std::string_view app_name{};
    std::string_view repo{};
    std::string_view network{};
    std::string_view node_id{};  // Empty: none.
};

// The answer to a ping of the tunnel that holds the identity.
struct Probe {
    TunnelId tunnel = no_tunnel;
    bool answered = false;
};

struct AdmitRequest {
    Claim claim{};  // But for the node.
    std::string agent_id{};
    std::optional<std::string> node_id{};  // Proven by its token.
    std::string release_tag{};
    std::string peer_address{};
    IpAddress client{};  // Of that address, as limits count it.
    std::string tunnel_version{};
    TunnelId tunnel = no_tunnel;
    AttestedVerdict verdict{};
    bool has_allowlist = true;  // The release has one.
    std::optional<Probe> probe{};
};

struct Admitted {
    std::uint64_t generation = 0;
    // These tunnels have lost their agent to this one: tell them `superseded` and drain them.
    std::vector<TunnelId> superseded{};
    bool registration_expiring = false;
    // Store this before the agent is told `ok` when the name was not bound before (`newly_bound`).
    AppRecord record{};
    bool newly_bound = false;
    // Names that were given up to make room: remove them from the store.
    std::vector<std::string> forgotten{};
};
// Another tunnel holds the identity and shares neither agent key nor node: ping it, wait 5 s at most, then
// call admit() again with the outcome.
struct NeedsProbe {
    TunnelId holder = no_tunnel;
};
using AdmitOutcome = std::variant<Admitted, NeedsProbe, Error>;

struct Renewed {
    bool registration_expiring = false;
    std::optional<AppRecord> record{};  // Store it.
};

// What an admin says of an app.
struct AppOrder {
    std::string app_name{};
    std::string repo{};
    std::string network{};
    std::optional<std::string> billing_account{};  // nullopt: stays as it is.
    ByteArray<32> token{};                         // The hash of the one it gets when it has none,
    bool rotate_token = false;                     // or in place of the one it has.
};
struct AppMade {
    AppRecord record{};  // Store it.
    bool is_new = false;
    bool has_new_token = false;
    // These tunnels have lost their agents to the move: close them.
    std::vector<TunnelId> lost{};
};

class Registry {
public:
    Registry(const RegistrySettings& settings, NetworkTable networks);
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // At start, before any tunnel.
    void load(std::span<const AppRecord> records);
    // Events of runs before, by number: each app is shown its last ones again.
    void load_events(std::span<const events::Event> events);
    // From now on each event goes to `sink`, which outlives the registry and numbers it.
    void tell(events::Sink& sink) { sink_ = &sink; }
    void set_networks(NetworkTable networks);
    // What the ledger says of nodes; a change counts from the next question on.
    Nodes& nodes() { return nodes_; }

    // ---- Tunnels; nothing here changes anything before admit() ----

    // May such an agent come at all? `invalid_network`, `app_bound_to_other_repo`,
    // `app_bound_to_other_network`, `join_not_allowed`; else the network's terms.
    Result<NetworkTerms> check_claim(const Claim& claim, WallTime now) const;

    // Whether an agent whose release has no allowlist may serve the app, as far as that goes: an admin made
    // it. Else `allowlist_missing`.
    Result<void> check_without_allowlist(const Claim& claim, std::string_view release_tag,
                                         WallTime now) const;

    // The tunnel has attested. Binds the app to (repo, network) when it is free. Errors: those of
    // check_claim and check_without_allowlist, `agent_id_taken`; of a name that is new, `too_many_apps` and
    // `too_many_new_apps`.
    AdmitOutcome admit(const AdmitRequest& request, Moment now);

    // The rest concern the agent that `tunnel` carries; for a tunnel that carries none (never admitted, or
    // superseded) they change nothing.
    Renewed attested(TunnelId tunnel, AttestedVerdict verdict, Moment now);
    // What its last verdict went by, not fresh then, was found to be as it is: that renews the registration
    // too.
    Renewed confirmed(TunnelId tunnel, WallTime now);
    void inconclusive(TunnelId tunnel, const Error& reason, Moment now);
    void attest_missed(TunnelId tunnel, const Error& reason, Moment now);
    void health(TunnelId tunnel, bool pass, std::string_view detail, Moment now);
    void drain(TunnelId tunnel, std::string_view reason, WallTime now);
    void disconnected(TunnelId tunnel, std::string_view reason, WallTime now);

    // The allowlist of a release was replaced under its tag: an event of every app that serves it.
    void allowlist_changed(std::string_view repo, std::string_view release_tag, std::string_view detail,
                           WallTime now);

    // An admin has accepted another allowlist of a release: the same.
    void allowlist_accepted(std::string_view repo, std::string_view release_tag, std::string_view detail,
                            WallTime now);

    // Routing leaves an agent out, for so long at least, as requests to it have failed in a row, the last
    // with `code`; it has answered again. Events, and nothing else: routing knows.
    void ejected(std::string_view app_name, std::string_view agent_id, std::string_view code,
                 std::chrono::milliseconds out_for, Moment now);
    void readmitted(std::string_view app_name, std::string_view agent_id, Moment now);

    // What nobody has told of, as events, once each: agents that fell silent, evidence that became too old,
    // nodes that lack what is asked of them or no longer do, registrations that end soon, have ended or were
    // renewed. Looks at a part of the apps, by `steps`.
    void note_lapses(Moment now, std::size_t steps);

    // ---- What admins and owners say of apps; each change is to be stored ----

    // Reserves a name, or, where it is bound to another repo or network, moves it: token, billing account and
    // nodes stay its own, the rollout ends. `invalid_network`.
    Result<AppMade> make_app(const AppOrder& order, WallTime now);
    // Its new token could not be stored, and nobody was told it: as if there were none.
    void drop_token(std::string_view app_name, const ByteArray<32>& token);
    // The nodes whose agents alone may serve; nullopt: as the network says. nullopt: unknown app. Ask
    // may_stay() of its tunnels then.
    std::optional<AppRecord> set_nodes(std::string_view app_name,
                                       std::optional<std::vector<std::string>> nodes, WallTime now);
    // At most router::rollout_releases_max; none: every release is equal. nullopt: unknown app.
    std::optional<AppRecord> set_rollout(std::string_view app_name, std::vector<ReleaseWeight> rollout,
                                         WallTime now);
    // Forgets the registration; answers the tunnels to close, nullopt for an unknown app.
    std::optional<std::vector<TunnelId>> forget(std::string_view app_name, WallTime now);

    // The app with a token of this hash; empty: none. Valid until the next call that changes the registry.
    std::string_view app_of_token(const ByteArray<32>& token) const;
    // Whether the agent that the tunnel carries, if any, may go on serving: `join_not_allowed`.
    Result<void> may_stay(TunnelId tunnel) const;
    // Empty: there is none. Valid until the next call that changes the registry.
    std::span<const ReleaseWeight> rollout_of(std::string_view app_name) const;

    // For the operator's eyes, by app; changes nobody's standing. Of the same code and tunnel the last is
    // kept.
    void record_refusal(Refusal refusal);
    const std::deque<Refusal>& refusals() const { return refusals_; }  // Newest first.

    // ---- Questions ----

    // nullopt: unknown app.
    std::optional<Resolution> resolve(std::string_view app_name, Moment now) const;
    std::optional<AppStatus> status(std::string_view app_name, Moment now) const;

    // Calls visit(const Agent&) for every eligible agent, without allocating. nullopt: unknown app; when no
    // agent is visited status() says why.
    template <class Visit>
    std::optional<std::size_t> visit_candidates(std::string_view app_name, Moment now, Visit&& visit) const {
        const App* app = find_app(app_name);
        if (app == nullptr) return std::nullopt;
        std::size_t visited = 0;
        if (now.wall >= app->record.expires_at) return visited;
        const NodeTime time = nodes_.at(now);
        app->prefetch();
        for (const auto& agent : app->agents) {
            if (standing_of(*app, *agent, now.mono, time).status != AppStatus::active) continue;
            visit(static_cast<const Agent&>(*agent));
            ++visited;
        }
        return visited;
    }

    // What an agent is chosen by at this moment. `agent`: one of this registry's.
    Offer offer_of(const Agent& agent, Moment now) const;

    // nullptr for a tunnel that carries no agent. Valid until the next call that changes the registry.
    const Agent* agent_of(TunnelId tunnel) const;
    // For the tunnel and the proxy to count in. nullptr as above; ask anew each time, the tunnel may have
    // lost its agent to another.
    AgentTraffic* traffic_of(TunnelId tunnel);

    std::vector<TunnelId> tunnels_of(std::string_view app_name) const;
    // no_tunnel when there is no such connected agent.
    TunnelId tunnel_of(std::string_view app_name, std::string_view agent_id) const;

    AppPage list(const ListQuery& query, Moment now) const;
    std::optional<AppDetail> detail(std::string_view app_name, Moment now) const;
    Counts counts() const;
    // As note_lapses() found them when it last went over all apps.
    const StatusCounts& status_counts() const { return counted_; }

private:
    struct App {
        AppRecord record;
        std::chrono::seconds evidence_grace{0};  // Of its network,
        NodeRules node_rules;                    // as these are.
        std::uint64_t version = 1;  // Another one with each set_terms(): who pays, what is asked.
        std::uint64_t generations = 0;
        std::vector<std::unique_ptr<Agent>> agents;
        std::unordered_map<std::string_view, Agent*> agent_of_id;  // the same; keys live in the agents
        std::deque<Event> events;                                  // Newest first.
        std::optional<RegistrationState> told_registration;        // By an event, or found after a start.

        Agent* find_agent(std::string_view agent_id) const;
        Agent& add(std::unique_ptr<Agent> agent);
        void remove(const Agent& agent);
        // All are about to be looked at, and with many apps none is in a cache.
        void prefetch() const {
            const auto lines = [](const void* object, std::size_t bytes) {
                for (std::size_t at = 0; at < bytes; at += 64)
                    __builtin_prefetch(static_cast<const char*>(object) + at);
            };
            lines(this, sizeof *this);
            for (const auto& agent : agents) lines(agent.get(), 256);
        }
    };
    struct Carried {
        App* app = nullptr;
        Agent* agent = nullptr;
    };

    const App* find_app(std::string_view app_name) const;
    App* find_app(std::string_view app_name);
    void set_terms(App& app) const;
    bool name_is_free(const App& app, WallTime now) const;
    bool binds(const App& app, const Claim& claim, WallTime now) const;
    Result<void> check_join(const App* app, std::string_view network, std::string_view node_id) const;
    std::vector<TunnelId> lose_tunnels(App& app);
    bool give_token(App& app, const AppOrder& order);
    static void apply_rollout(const App& app, Agent& agent);
    std::vector<ReleaseShare> shares_of(const App& app, Moment now) const;
    bool is_expired(const App& app, WallTime now) const { return now >= app.record.expires_at; }
    RegistrationState registration_state(const App& app, WallTime now) const;
    Carried carried_by(TunnelId tunnel) const;
    Result<void> check_room(const AdmitRequest& request, Moment now, Admitted& admitted);
    std::vector<std::string> free_names(std::size_t count_max, WallTime now) const;
    App& bind(const Claim& claim, WallTime now, Admitted& admitted);
    Agent& place(App& app, const AdmitRequest& request, Moment now, Admitted& admitted);
    void renew(App& app, const AttestedVerdict& verdict, std::string_view release_tag, WallTime now);
    struct AgentStanding {
        AppStatus status = AppStatus::offline;
        NodeLack lack = NodeLack::nothing;
    };
    const NodeSight& sight_of(const App& app, const Agent& agent, const NodeTime& time) const;
    Offer look(const Agent& agent, const NodeTime& time) const;
    AgentStanding standing_of(const App& app, const Agent& agent, MonoTime now, const NodeTime& time) const;
    AppStatus status_of(const App& app, Moment now) const;
    Resolution resolution_of(const App& app, Moment now) const;
    void forget_oldest_disconnected(App& app) const;
    void note_lapses(App& app, Moment now) const;
    void count(const App& app, Moment now);
    void note_lack(App& app, Agent& agent, Moment now, const NodeTime& time) const;
    void note_release(std::string_view repo, std::string_view release_tag, std::string_view kind,
                      std::string_view detail, WallTime now);
    void note(App& app, Event event) const;
    void show(App& app, Event event) const;

    RegistrySettings settings_;
    events::Sink* sink_ = nullptr;
    NetworkTable networks_;
    Nodes nodes_;
    std::unordered_map<std::string, std::unique_ptr<App>, TextHash, std::equal_to<>> apps_;
    std::unordered_map<TunnelId, Carried> carried_;
    std::map<ByteArray<32>, std::string> app_of_token_;
    std::deque<Refusal> refusals_;
    std::size_t lapses_at_ = 0;  // A bucket of apps_.
    StatusCounts counting_;      // In the buckets before it.
    StatusCounts counted_;
    // Names that were bound in the hour that began then, by address.
    MonoTime new_apps_since_{};
    std::unordered_map<IpAddress, std::size_t> new_apps_;
    MonoTime free_names_sought_{};  // Not before then again.
};

}  // namespace ee::registry
