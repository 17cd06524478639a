#pragma once
// Who may serve and who is to be chosen, as the specification of routing says it, without a look at how the
// registry and the router do it: plain lists, everything computed anew each time.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ee::simulation {

using Ms = std::int64_t;  // milliseconds, of whichever clock the name says

inline constexpr Ms second_ms = 1000, hour_ms = 3600 * second_ms, day_ms = 24 * hour_ms;

struct ModelRules {
    bool stake = false, price = false, funded = false;
    std::int64_t least_stake[3] = {0, 0, 0};  // micro-USD: premium, standard, economy
    Ms grace = 0;
};

struct ModelTerms {
    Ms from = 0;
    std::optional<std::int64_t> price{};
    int tier = 1;
};

struct ModelLock {
    std::uint64_t id = 0;
    std::string node{}, account{}, app{};
    Ms cell = 0;
};

struct ModelNode {
    bool banned = false;
    std::int64_t stake = 0;
    std::vector<ModelTerms> terms{};                                  // as they were posted
    std::map<Ms, std::pair<std::uint32_t, std::uint32_t>> windows{};  // by cell: expected, passed
    std::vector<Ms> abuse{};                                          // when authorized
};

struct ModelAgent {
    std::string app{}, id{}, node{};  // node: empty for none
    std::uint64_t tunnel = 0;         // 0: disconnected
    enum class Verdict { good, inconclusive, bad } verdict = Verdict::good;
    std::string tcb = "UpToDate";
    bool unbound = false, simulated = false;
    Ms judged_mono = 0;
    bool healthy = true;
    Ms heard_mono = 0;
    bool draining = false;
    std::size_t open = 0, limit = 1;
};

struct ModelApp {
    std::string network{}, payer{};
    Ms expires_wall = 0;
};

class RoutingModel {
public:
    std::map<std::string, ModelRules> networks;
    std::map<std::string, ModelApp> apps;
    std::map<std::string, ModelNode> nodes;
    std::vector<ModelAgent> agents;
    std::vector<ModelLock> locks;
    Ms wall = 0, mono = 0;  // now
    Ms told = INT64_MIN;    // the newest time the ledger has said
    Ms lived_from = 0;      // wall time of mono 0

    bool is_eligible(const ModelAgent& agent) const;
    std::optional<std::int64_t> price_of(const ModelAgent& agent) const;
    std::uint64_t trust_of(const ModelAgent& agent) const;  // millionths
    // Why `chosen` may not be the choice among `eligible`; empty: it may.
    std::string objection(const std::vector<const ModelAgent*>& eligible, const ModelAgent& chosen) const;

private:
    Ms ledger() const { return told > wall ? told : wall; }
    ModelTerms terms_of(const ModelNode& node) const;
};

}  // namespace ee::simulation
