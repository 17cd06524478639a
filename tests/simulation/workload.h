#pragma once
// What users, nodes, operators and the server itself do, by chance: mostly what makes sense, sometimes what
// must be refused.

#include <random>

#include "model.h"

namespace ee::simulation {

class Workload {
public:
    explicit Workload(std::uint64_t seed)
        : random_(seed), window_s_(chance(3) ? 420 : 600), favourite_(below(27)) {}

    bool chance(unsigned of) { return random_() % of == 0; }
    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

    // Opens the world: one step each, then nullopt.
    std::optional<Step> opening();
    Step next(const Model& model);
    // How far the machine's clock goes, in microseconds; it may go back.
    std::int64_t clock_step();

private:
    template <std::size_t N>
    auto pick(const std::array<const char*, N>& from) {
        return std::string(from[below(N)]);
    }
    std::string user();
    std::string node();
    std::string app();
    ledger::Money amount();
    ledger::Hours hours();
    ledger::Period cell(const Model& model, std::int64_t first, std::int64_t last);
    ledger::Period period(const Model& model, std::int64_t first, std::int64_t last);
    ledger::LedgerTime moment(const Model& model);
    crypto::Sha256 new_token();
    std::string holder_token(const Model& model, const std::string& principal);

    Step by_admin(ledger::Command command);
    Step by(ledger::Role role, ledger::Command command);
    Step by_holder(const Model& model, const std::string& principal, ledger::Command command);
    Step money(const Model& model);
    Step lock(const Model& model);
    Step release(const Model& model);
    Step use(const Model& model);
    Step node_change(const Model& model);
    Step evidence(const Model& model);
    Step slots(const Model& model);
    Step abuse(const Model& model);
    Step slash(const Model& model);
    Step settle(const Model& model);

    std::mt19937_64 random_;
    std::uint32_t window_s_;
    std::uint64_t favourite_;
    std::uint64_t tokens_ = 0;
    std::uint64_t opened_ = 0;
};

}  // namespace ee::simulation
