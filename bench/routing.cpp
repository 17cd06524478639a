// What deciding about a request costs: may traffic go to the app, and which agent gets it.
//
//   routing_bench [AGENTS_OF_AN_APP]
//
// Prints one line of JSON, in nanoseconds of CPU time a request, at 1,000 and at 10,000 apps, and at 10,000
// of which 1,000 are asked for: what comes of the size of the tables alone. Every network asks for stake, a
// price and funding; apps are asked for in no order, so that nothing is in a cache by luck.
#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"
#include "registry/registry.h"
#include "router/choice.h"

using namespace ee;
using namespace ee::registry;

namespace {

constexpr std::size_t requests = 200'000;
const Moment now{MonoTime{std::chrono::hours{1000}},
                 WallTime{std::chrono::sys_days{std::chrono::year{2026} / 1 / 15}}};

double cpu_seconds() {
    timespec time{};
    EE_CHECK(::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// The best of five runs, in nanoseconds each.
template <class Run>
double nanoseconds(Run run) {
    double best = 1e30;
    for (int round = 0; round < 5; ++round) {
        const double start = cpu_seconds();
        for (std::size_t i = 0; i < requests; ++i) run(i);
        best = std::min(best, cpu_seconds() - start);
    }
    return best * 1e9 / static_cast<double>(requests);
}

std::string app_name(std::size_t number) {
    return "app-" + std::to_string(number);
}

// A third as many nodes as agents, each with a month of windows.
void add_nodes(Registry& registry, std::size_t count) {
    for (std::size_t n = 0; n < count; ++n) {
        Node& node = registry.nodes().of("node-" + std::to_string(n));
        node.set_stake(10'000'000);
        for (int change = 0; change < 3; ++change)
            node.set_terms(now.wall - std::chrono::hours(9 - change),
                           {.price = 50'000 + static_cast<std::int64_t>(n % 7) * 300});
        for (int hour = 719; hour >= 0; --hour)
            node.set_windows(now.wall - std::chrono::hours(hour), 30, 30 - (n % 3 == 0), now.wall);
    }
}

void add_apps(Registry& registry, std::size_t count, std::size_t agents, std::size_t nodes) {
    std::vector<AppRecord> records;
    for (std::size_t a = 0; a < count; ++a) {
        records.push_back({.app_name = app_name(a), .repo = "organisation/repository", .network = "forge-1"});
        records.back().expires_at = now.wall + std::chrono::days{30};
        records.back().billing_account = "account-" + std::to_string(a % 1000);
    }
    registry.load(records);
    TunnelId tunnel = 0;
    for (std::size_t a = 0; a < count; ++a)
        for (std::size_t i = 0; i < agents; ++i) {
            AdmitRequest request{.claim = {records[a].app_name, records[a].repo, "forge-1"},
                                 .agent_id = "agent-" + std::to_string(i),
                                 .node_id = "node-" + std::to_string((a * agents + i) % nodes),
                                 .release_tag = "v0.1.3",
                                 .tunnel = ++tunnel};
            request.verdict.binding = "channel";
            request.verdict.tcb_status = "UpToDate";
            request.verdict.answered_at = request.verdict.judged_at = now;
            EE_CHECK(std::holds_alternative<Admitted>(registry.admit(request, now)));
            registry.nodes()
                .of(*request.node_id)
                .hold({.account = records[a].billing_account,
                       .app = "",
                       .cell = registry.nodes().at(now).cell,
                       .id = tunnel});
        }
}

struct Costs {
    double resolve_ns = 0;
    double choice_ns = 0;
};

// `asked`: so many of the apps are asked for.
Costs measure(std::size_t apps, std::size_t agents, std::size_t asked) {
    Registry registry({}, {{"forge-1",
                            {"channel",
                             std::chrono::seconds{21600},
                             {.stake_required = true,
                              .price_required = true,
                              .funded_required = true,
                              .stake_min = {100'000'000, 10'000'000, 0}}}}});
    const std::size_t nodes = apps * agents / 3 + 1;
    add_nodes(registry, nodes);
    add_apps(registry, apps, agents, nodes);
    std::vector<std::string> names;
    for (std::size_t a = 0; a < apps; ++a) names.push_back(app_name(a));
    const auto any_app = [&](std::size_t i) -> const std::string& {
        return names[i * 7'919'993 % asked * (apps / asked)];
    };
    Costs out;
    std::size_t routed = 0;
    out.resolve_ns =
        nanoseconds([&](std::size_t i) { routed += registry.resolve(any_app(i), now)->allowed ? 1 : 0; });
    std::vector<router::Candidate> candidates;
    candidates.reserve(agents);
    out.choice_ns = nanoseconds([&](std::size_t i) {
        candidates.clear();
        registry.visit_candidates(any_app(i), now, [&](const Agent& agent) {
            const Offer offer = registry.offer_of(agent, now);
            candidates.push_back({agent.tunnel, i % 5, 64, offer.price, offer.trust.trust});
        });
        const double random = static_cast<double>(i % 1000) * 0.001;
        routed += router::choose(candidates, {random, 1 - random}).has_value() ? 1 : 0;
    });
    EE_CHECK(routed == 10 * requests);
    return out;
}

}  // namespace

int main(int argc, char** argv) {
    const std::size_t agents = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 5;
    const Costs few = measure(1'000, agents, 1'000), many = measure(10'000, agents, 10'000);
    const Costs few_of_many = measure(10'000, agents, 1'000);
    fmt::print(
        "{{\"agents\":{},\"resolve_1000\":{:.0f},\"resolve_10000\":{:.0f},\"choice_1000\":{:.0f},"
        "\"choice_10000\":{:.0f},\"resolve_1000_of_10000\":{:.0f},\"choice_1000_of_10000\":{:.0f}}}\n",
        agents, few.resolve_ns, many.resolve_ns, few.choice_ns, many.choice_ns, few_of_many.resolve_ns,
        few_of_many.choice_ns);
    return 0;
}
