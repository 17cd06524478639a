#include "routing_model.h"

#include <cmath>

#include <fmt/format.h>

namespace ee::simulation {
namespace {

constexpr Ms attest_ms = 3630 * second_ms;  // the interval and the deadline
constexpr Ms health_ms = 120 * second_ms;

long double attestation(const ModelAgent& agent) {
    long double factor = 0.5L;
    const auto begins = [&](const char* word) { return agent.tcb.rfind(word, 0) == 0; };
    if (agent.tcb == "UpToDate") factor = 1;
    if (agent.tcb == "SWHardeningNeeded" || begins("Configuration")) factor = 0.9L;
    if (begins("OutOfDate") || begins("TDRelaunch")) factor = 0.8L;
    if (agent.unbound || agent.simulated) factor = 0.5L;
    return agent.verdict == ModelAgent::Verdict::inconclusive ? factor * 0.9L : factor;
}

// In whole millionths, rounded down; what is exact in decimal must not fall below itself.
std::uint64_t millionths(long double value) {
    return static_cast<std::uint64_t>(std::floor(value * 1'000'000 + 1e-9L));
}
std::uint64_t times(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t product = a * b / 1'000'000;
    return product == 0 ? 1 : product;
}

}  // namespace

// The newest posted of those that began last.
ModelTerms RoutingModel::terms_of(const ModelNode& node) const {
    ModelTerms found{.from = INT64_MIN};
    for (const ModelTerms& terms : node.terms)
        if (terms.from <= ledger() && terms.from >= found.from) found = terms;
    return found;
}

bool RoutingModel::is_eligible(const ModelAgent& agent) const {
    const ModelApp& app = apps.at(agent.app);
    const ModelRules& rules = networks.at(app.network);
    if (agent.tunnel == 0 || agent.draining || wall >= app.expires_wall) return false;
    if (!agent.healthy || mono - agent.heard_mono > health_ms) return false;
    const Ms age = mono - agent.judged_mono;
    if (agent.verdict == ModelAgent::Verdict::bad) return false;
    if (agent.verdict == ModelAgent::Verdict::good && age > attest_ms) return false;
    if (agent.verdict == ModelAgent::Verdict::inconclusive && age > rules.grace) return false;
    if (agent.node.empty()) return !rules.stake && !rules.price && !rules.funded;
    const ModelNode& node = nodes.at(agent.node);
    if (node.banned) return false;
    const ModelTerms terms = terms_of(node);
    if (rules.stake && (node.stake <= 0 || node.stake < rules.least_stake[terms.tier])) return false;
    if (rules.price && !terms.price) return false;
    if (!rules.funded) return true;
    for (const ModelLock& lock : locks)
        if (lock.node == agent.node && lock.account == app.payer && !app.payer.empty() &&
            lock.cell <= ledger() && ledger() < lock.cell + hour_ms &&
            (lock.app.empty() || lock.app == agent.app))
            return true;
    return false;
}

std::optional<std::int64_t> RoutingModel::price_of(const ModelAgent& agent) const {
    if (agent.node.empty()) return std::nullopt;
    return terms_of(nodes.at(agent.node)).price;
}

std::uint64_t RoutingModel::trust_of(const ModelAgent& agent) const {
    std::uint64_t health = 500'000, behaviour = 1'000'000;
    if (!agent.node.empty()) {
        const ModelNode& node = nodes.at(agent.node);
        const Ms now = lived_from + mono;
        std::uint64_t n = 0, p = 0, k = 0;
        for (const auto& [cell, counted] : node.windows)
            if (cell >= now - 30 * day_ms) n += counted.first, p += counted.second;
        for (const Ms at : node.abuse) k += at > now - 90 * day_ms ? 1 : 0;
        health = (p + 648) * 1'000'000 / (n + 720);
        for (; k > 0; --k) behaviour /= 2;
        if (behaviour == 0) behaviour = 1;
    }
    return times(times(millionths(attestation(agent)), health), behaviour);
}

std::string RoutingModel::objection(const std::vector<const ModelAgent*>& eligible,
                                    const ModelAgent& chosen) const {
    if (!is_eligible(chosen)) return chosen.id + " is not eligible";
    if (chosen.open >= chosen.limit) return chosen.id + " is full";
    const auto quotient = [&](const ModelAgent& agent) {
        return static_cast<long double>(*price_of(agent)) / static_cast<long double>(trust_of(agent));
    };
    for (const ModelAgent* other : eligible) {
        if (other->open >= other->limit) continue;
        const auto theirs = price_of(*other), ours = price_of(chosen);
        if (theirs && !ours) return fmt::format("{} has a price, {} has none", other->id, chosen.id);
        if (!theirs && ours) continue;
        if (ours && *ours > 0 && quotient(chosen) > quotient(*other) * 1.01L * (1 + 1e-15L))
            return fmt::format("{} is cheaper than {}", other->id, chosen.id);
        if (ours && *ours == 0 && *theirs > 0) continue;
        if ((!ours || *ours == 0) && static_cast<long double>(trust_of(chosen)) <
                                         static_cast<long double>(trust_of(*other)) * 0.99L * (1 - 1e-15L))
            return fmt::format("{} is more trusted than {}", other->id, chosen.id);
    }
    return "";
}

}  // namespace ee::simulation
