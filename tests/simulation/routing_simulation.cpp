// Registry and router against a naive model: agents that come, go and fail, nodes whose terms change, locks
// that end, clocks that step, the same for a seed whenever it is run.
//
//   routing_simulation [--from SEED] [--seeds N] [--steps N]     --seeds 0: for ever
//
// A failing seed prints what was done last and what differs; --from SEED --seeds 1 runs it alone.

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>

#include "registry/registry.h"
#include "router/choice.h"
#include "routing_model.h"
#include "seeds.h"

namespace ee::simulation {
namespace {

using namespace registry;

constexpr Ms start_ms = Ms{1'767'963'600} * 1000;  // 2026-01-09T13:00:00Z
constexpr Ms registered_ms = 30 * day_ms;
constexpr std::array networks = {"n-a", "n-b"};
constexpr std::array apps = {"shop", "chat", "site"};
constexpr std::array payers = {"alice", "bob", ""};
constexpr std::array nodes = {"n1", "n2", "n3", "n4"};
constexpr std::array tcbs = {"UpToDate", "SWHardeningNeeded", "OutOfDate", "ConfigurationNeeded", "Revoked"};

class Differs : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

class RoutingSimulation {
public:
    explicit RoutingSimulation(std::uint64_t seed) : random_(seed), registry_(RegistrySettings{}, table()) {
        model_.wall = model_.lived_from = start_ms;
        registry_.nodes().begin(now());
        std::vector<AppRecord> records;
        for (const char* app : apps) {
            ModelApp& made = model_.apps[app];
            made = {
                .network = pick(networks), .payer = pick(payers), .expires_wall = start_ms + registered_ms};
            records.push_back({.app_name = app, .repo = "org/repo", .network = made.network});
            records.back().expires_at = WallTime{std::chrono::milliseconds(made.expires_wall)};
            records.back().billing_account = made.payer;
        }
        registry_.load(records);
        for (const char* node : nodes) model_.nodes[node];
        change_networks();
    }

    void run(int steps) {
        for (int i = 0; i < steps; ++i) {
            change();
            for (const char* app : apps) request(app);
        }
    }
    const std::deque<std::string>& said() const { return said_; }
    std::uint64_t requests() const { return requests_; }
    std::uint64_t served() const { return served_; }

private:
    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
    template <std::size_t N>
    const char* pick(const std::array<const char*, N>& list) {
        return list[below(N)];
    }
    double unit() { return static_cast<double>(random_() >> 11) * 0x1.0p-53; }
    void say(std::string what) {
        said_.push_back(std::move(what));
        if (said_.size() > 25) said_.pop_front();
    }
    static WallTime wall(Ms at) { return WallTime{std::chrono::milliseconds(at)}; }
    Moment now() const { return {MonoTime{std::chrono::milliseconds(model_.mono)}, wall(model_.wall)}; }
    // The ledger says something now: its clock never goes back.
    Ms ledger_says() {
        model_.told = std::max(model_.told, model_.wall);
        registry_.nodes().told_at(wall(model_.told));
        return model_.told;
    }
    static NetworkTable table() { return {{"n-a", {"nonce"}}, {"n-b", {"nonce"}}}; }

    // ---- What happens ----

    void change() {
        switch (below(16)) {
            case 0:
            case 1:
            case 2: return come();
            case 3: return leave();
            case 4:
            case 5: return verdict();
            case 6: return health();
            case 7: return pass_time();
            case 8: return step_clock();
            case 9: return terms();
            case 10: return stake();
            case 11:
            case 12: return lock();
            case 13: return windows();
            case 14: return below(4) == 0 ? change_networks() : health();
            default: return below(6) == 0 ? punish() : come();
        }
    }

    AttestedVerdict verdict_of(const ModelAgent& agent) {
        AttestedVerdict out;
        out.binding = agent.unbound ? "none" : "nonce";
        out.simulated = agent.simulated;
        out.tcb_status = agent.tcb;
        out.answered_at = out.judged_at = now();
        return out;
    }
    void judge(ModelAgent& agent) {
        agent.verdict = ModelAgent::Verdict::good;
        agent.tcb = below(3) == 0 ? pick(tcbs) : "UpToDate";
        agent.unbound = below(12) == 0;
        agent.simulated = below(12) == 0;
        agent.judged_mono = agent.heard_mono = model_.mono;
        model_.apps[agent.app].expires_wall = model_.wall + registered_ms;
    }

    void come() {
        ModelAgent agent{.app = pick(apps), .id = fmt::format("a{}", below(5))};
        if (below(6) > 0) agent.node = pick(nodes);
        agent.tunnel = ++tunnels_;
        agent.limit = 1 + below(4);
        agent.open = below(3) == 0 ? agent.limit : below(agent.limit);
        judge(agent);
        AdmitRequest request{.claim = {agent.app, "org/repo", model_.apps[agent.app].network},
                             .agent_id = agent.id,
                             .tunnel = agent.tunnel,
                             .verdict = verdict_of(agent)};
        if (!agent.node.empty()) request.node_id = agent.node;
        AdmitOutcome outcome = registry_.admit(request, now());
        if (const auto* probe = std::get_if<NeedsProbe>(&outcome)) {
            request.probe = Probe{probe->holder, false};
            outcome = registry_.admit(request, now());
        }
        if (!std::holds_alternative<Admitted>(outcome)) throw Differs("an agent was not admitted");
        say(fmt::format("come {} {} on {} {} {}/{}", agent.app, agent.id, agent.node, agent.tcb, agent.open,
                        agent.limit));
        std::erase_if(model_.agents,
                      [&](const ModelAgent& old) { return old.app == agent.app && old.id == agent.id; });
        model_.agents.push_back(std::move(agent));
    }

    ModelAgent* any_agent() {
        return model_.agents.empty() ? nullptr : &model_.agents[below(model_.agents.size())];
    }

    void leave() {
        ModelAgent* agent = any_agent();
        if (agent == nullptr || agent->tunnel == 0) return;
        if (below(2) == 0) {
            say(fmt::format("drain {} {}", agent->app, agent->id));
            registry_.drain(agent->tunnel, "operator", now().wall);
            agent->draining = true;
            return;
        }
        say(fmt::format("leave {} {}", agent->app, agent->id));
        registry_.disconnected(agent->tunnel, "closed", now().wall);
        agent->tunnel = 0;
    }

    void verdict() {
        ModelAgent* agent = any_agent();
        if (agent == nullptr || agent->tunnel == 0) return;
        const auto what = below(4);
        say(fmt::format("verdict {} {} {}", agent->app, agent->id, what));
        if (what < 2) {
            judge(*agent);
            registry_.attested(agent->tunnel, verdict_of(*agent), now());
        } else if (what == 2) {
            agent->verdict = ModelAgent::Verdict::inconclusive;
            registry_.inconclusive(agent->tunnel, {"collateral_unavailable", ""}, now());
        } else {
            agent->verdict = ModelAgent::Verdict::bad;
            registry_.attest_missed(agent->tunnel, {"attestation_timeout", ""}, now());
        }
    }

    void health() {
        for (ModelAgent& agent : model_.agents) {
            if (agent.tunnel == 0 || below(3) == 0) continue;
            agent.healthy = below(10) > 0;
            agent.heard_mono = model_.mono;
            registry_.health(agent.tunnel, agent.healthy, "", now());
        }
        say("health of most");
    }

    void pass_time() {
        const Ms by = static_cast<Ms>(below(8) == 0   ? below(40) * static_cast<std::uint64_t>(day_ms)
                                      : below(3) == 0 ? below(7200) * 1000
                                                      : below(90'000));
        model_.mono += by;
        model_.wall += by;
        say(fmt::format("{} ms pass", by));
    }

    void step_clock() {
        const Ms by = static_cast<Ms>(below(3) == 0 ? below(80) * static_cast<std::uint64_t>(day_ms)
                                                    : below(7200) * 1000);
        model_.wall += below(2) == 0 ? by : -by;
        say(fmt::format("the clock is set by {} ms", by));
    }

    void terms() {
        const char* name = pick(nodes);
        const Ms at = ledger_says();
        ModelTerms terms{.from = below(2) == 0 ? at : at - at % hour_ms + hour_ms,
                         .tier = static_cast<int>(below(3))};
        const std::int64_t prices[] = {0, 1, 50'000, 50'400, 50'500, 50'600, 1'000'000'000'000'000};
        if (below(5) > 0) terms.price = prices[below(std::size(prices))];
        say(fmt::format("terms of {}: {} tier {} in {} ms", name, terms.price.value_or(-1), terms.tier,
                        terms.from - model_.wall));
        model_.nodes[name].terms.push_back(terms);
        registry_.nodes().of(name).set_terms(wall(terms.from),
                                             {terms.price, static_cast<NodeTier>(terms.tier)});
    }

    void stake() {
        const char* name = pick(nodes);
        const std::int64_t stakes[] = {0, 1, 10'000'000, 100'000'000};
        const std::int64_t stake = stakes[below(4)];
        ledger_says();
        say(fmt::format("stake of {}: {}", name, stake));
        model_.nodes[name].stake = stake;
        registry_.nodes().of(name).set_stake(stake);
    }

    static HeldLock held(const ModelLock& lock) {
        return {.account = lock.account, .app = lock.app, .cell = wall(lock.cell), .id = lock.id};
    }
    void lock() {
        const Ms at = ledger_says();
        if (below(3) == 0 && !model_.locks.empty()) {
            const auto which = model_.locks.begin() + static_cast<std::ptrdiff_t>(below(model_.locks.size()));
            say(fmt::format("lock {} ends", which->id));
            registry_.nodes().of(which->node).let_go(held(*which));
            model_.locks.erase(which);
            return;
        }
        const ModelLock taken{.id = ++locks_,
                              .node = pick(nodes),
                              .account = pick(payers),
                              .app = below(2) == 0 ? pick(apps) : "",
                              .cell = at - at % hour_ms + static_cast<Ms>(below(3)) * hour_ms};
        say(fmt::format("lock {} of {} on {} for {}", taken.id, taken.account, taken.node, taken.app));
        registry_.nodes().of(taken.node).hold(held(taken));
        model_.locks.push_back(taken);
    }

    void windows() {
        const char* name = pick(nodes);
        const Ms lived = model_.lived_from + model_.mono;
        const Ms cell = lived - lived % hour_ms - static_cast<Ms>(below(40)) * hour_ms;
        const auto expected = static_cast<std::uint32_t>(below(31));
        const auto passed = static_cast<std::uint32_t>(below(expected + 1));
        say(fmt::format("windows of {}: {} of {}", name, passed, expected));
        model_.nodes[name].windows[cell] = {expected, passed};
        registry_.nodes().of(name).set_windows(wall(cell), expected, passed, wall(lived));
    }

    void punish() {
        const char* name = pick(nodes);
        if (below(4) == 0) {
            say(fmt::format("ban {}", name));
            model_.nodes[name].banned = true;
            registry_.nodes().of(name).set_banned(true);
            return;
        }
        const Ms at = ledger_says();
        say(fmt::format("abuse of {}", name));
        model_.nodes[name].abuse.push_back(at);
        registry_.nodes().of(name).add_abuse(++reports_, wall(at));
    }

    void change_networks() {
        NetworkTable changed;
        for (const char* name : networks) {
            ModelRules rules{.stake = below(3) == 0, .price = below(3) == 0, .funded = below(3) == 0};
            rules.least_stake[below(3)] = 10'000'000;
            rules.grace = static_cast<Ms>(below(3)) * hour_ms;
            model_.networks[name] = rules;
            changed[name] = {
                "nonce",
                std::chrono::seconds(rules.grace / second_ms),
                {.stake_required = rules.stake,
                 .price_required = rules.price,
                 .funded_required = rules.funded,
                 .stake_min = {rules.least_stake[0], rules.least_stake[1], rules.least_stake[2]}}};
            say(fmt::format("{} asks stake {} price {} funds {}", name, rules.stake, rules.price,
                            rules.funded));
        }
        registry_.set_networks(std::move(changed));
    }

    // ---- A request, decided by both ----

    void request(const std::string& app) {
        ++requests_;
        std::vector<const ModelAgent*> eligible;
        for (const ModelAgent& agent : model_.agents)
            if (agent.app == app && model_.is_eligible(agent)) eligible.push_back(&agent);
        std::vector<router::Candidate> candidates;
        registry_.visit_candidates(app, now(), [&](const Agent& agent) {
            const ModelAgent& known = agent_of(agent.tunnel);
            const Offer offer = registry_.offer_of(agent, now());
            if (offer.price != model_.price_of(known)) throw Differs("the price of " + known.id);
            if (offer.trust.trust != model_.trust_of(known))
                throw Differs(fmt::format("the trust of {} is {}, the model says {}", known.id,
                                          offer.trust.trust, model_.trust_of(known)));
            candidates.push_back({agent.tunnel, known.open, known.limit, offer.price, offer.trust.trust});
            if (!model_.is_eligible(known)) throw Differs(known.id + " is a candidate and not eligible");
        });
        if (candidates.size() != eligible.size())
            throw Differs(
                fmt::format("{} has {} candidates, the model {}", app, candidates.size(), eligible.size()));
        const bool routable = is_routable(*registry_.status(app, now()));
        if (routable != !eligible.empty()) throw Differs("the status of " + app);
        const router::RandomPair random{unit(), unit()};
        const auto chosen = router::choose(candidates, random);
        const bool any_room =
            std::ranges::any_of(eligible, [](const ModelAgent* agent) { return agent->open < agent->limit; });
        if (chosen.has_value() != any_room) throw Differs("whether anybody of " + app + " has room");
        if (!chosen) return;
        if (router::choose(candidates, random).value() != *chosen) throw Differs("the same choice again");
        ModelAgent& agent = agent_of(candidates[*chosen].tunnel);
        if (const std::string why = model_.objection(eligible, agent); !why.empty()) throw Differs(why);
        ++served_;
        ++agent.open;
        if (below(3) > 0)
            for (ModelAgent& other : model_.agents) other.open -= std::min<std::size_t>(other.open, below(2));
    }
    ModelAgent& agent_of(std::uint64_t tunnel) {
        for (ModelAgent& agent : model_.agents)
            if (agent.tunnel == tunnel) return agent;
        throw Differs("a tunnel that there is not");
    }

    std::mt19937_64 random_;
    RoutingModel model_;
    Registry registry_;
    std::uint64_t tunnels_ = 0, locks_ = 0, reports_ = 0, requests_ = 0, served_ = 0;
    std::deque<std::string> said_;
};

// Equals share alike, with streams that last and with agents of other prices beside them.
void check_shares(std::uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto unit = [&] { return static_cast<double>(random() >> 11) * 0x1.0p-53; };
    const std::size_t equals = 2 + random() % 9;
    std::vector<router::Candidate> candidates;
    for (std::size_t i = 0; i < equals; ++i)
        candidates.push_back(
            {i + 1, 0, 1000, 50'000 + static_cast<std::int64_t>(random() % 500), router::one});
    candidates.push_back({equals + 1, 0, 1000, 60'000, router::one});
    std::vector<std::size_t> taken(candidates.size());
    std::deque<std::size_t> open;
    constexpr std::size_t requests = 40'000;
    for (std::size_t i = 0; i < requests; ++i) {
        const std::size_t chosen = router::choose(candidates, {unit(), unit()}).value();
        ++taken[chosen];
        ++candidates[chosen].open_streams;
        open.push_back(chosen);
        if (open.size() > 20 * equals || random() % 4 == 0) {
            --candidates[open.front()].open_streams;
            open.pop_front();
        }
    }
    const double fair = static_cast<double>(requests) / static_cast<double>(equals);
    for (std::size_t i = 0; i < equals; ++i) {
        const double share = static_cast<double>(taken[i]) / fair;
        if (share < 0.95 || share > 1.05)
            throw Differs(fmt::format("of {} equals one has {:.3f} of its share", equals, share));
    }
    if (taken[equals] != 0) throw Differs("a dearer one was chosen");
}

// How many requests; nullopt: it failed, and said so.
std::optional<std::uint64_t> run_seed(std::uint64_t seed, int steps, std::uint64_t& served) {
    RoutingSimulation simulation(seed);
    const auto run = [&] {
        simulation.run(steps);
        if (seed % 20 == 0) check_shares(seed);
    };
    if (!holds(simulation, seed,
               fmt::format("routing_simulation --from {} --seeds 1 --steps {}", seed, steps), run))
        return std::nullopt;
    served += simulation.served();
    return simulation.requests();
}

}  // namespace
}  // namespace ee::simulation

int main(int count, char** arguments) {
    using namespace ee::simulation;
    const std::uint64_t from = number_after(count, arguments, "--from", 1);
    const std::uint64_t seeds = number_after(count, arguments, "--seeds", 1000);
    const int steps = static_cast<int>(number_after(count, arguments, "--steps", 300));
    std::uint64_t requests = 0, served = 0;
    for (std::uint64_t seed = from; seeds == 0 || seed < from + seeds; ++seed) {
        const auto done = run_seed(seed, steps, served);
        if (!done) return 1;
        requests += *done;
        if (seed % 1000 == 0) fmt::print("seed {}: {} requests, {} of them served\n", seed, requests, served);
    }
    // A simulation in which nobody is served tries nothing.
    if (requests > 1000 && served * 10 < requests) {
        fmt::print(stderr, "only {} of {} requests were served\n", served, requests);
        return 1;
    }
    fmt::print("{} requests, {} of them served\n", requests, served);
    return 0;
}
