#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ee::ledger {

// Everything that a check has found; empty: nothing.
struct CheckReport {
    std::uint64_t leaves = 0;  // that were read
    std::uint64_t accounts = 0;
    std::uint64_t held_locks = 0;
    std::vector<std::string> findings{};  // "<invariant>: <what differs>", at most `findings_max`
    static constexpr std::size_t findings_max = 100;

    bool is_good() const { return findings.empty(); }
    // Each once.
    void find(std::string_view invariant, std::string_view what) {
        std::string finding = std::string(invariant).append(": ").append(what);
        if (findings.size() < findings_max && std::ranges::find(findings, finding) == findings.end())
            findings.push_back(std::move(finding));
    }
};

}  // namespace ee::ledger
