#pragma once
// How a platform's trusted computing base stands against its vendor's published levels.

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace ee::attestation {

// Intel's names, and one for a quote whose levels nobody has looked up.
enum class TcbStatus {
    not_evaluated,
    up_to_date,
    sw_hardening_needed,
    configuration_needed,
    configuration_and_sw_hardening_needed,
    out_of_date,
    out_of_date_configuration_needed,
    td_relaunch_advised,
    td_relaunch_advised_configuration_needed,
    revoked,
};

// "UpToDate", "OutOfDateConfigurationNeeded", ..., "NotEvaluated".
std::string_view to_string(TcbStatus status);
std::optional<TcbStatus> parse_tcb_status(std::string_view text);
// Every status there is, best first; the last is Revoked.
std::span<const TcbStatus> all_tcb_statuses();

// A set of statuses.
class TcbStatusSet {
public:
    constexpr TcbStatusSet() = default;
    constexpr TcbStatusSet(std::initializer_list<TcbStatus> statuses) {
        for (const TcbStatus status : statuses) insert(status);
    }
    constexpr void insert(TcbStatus status) { bits_ |= bit(status); }
    constexpr bool contains(TcbStatus status) const { return (bits_ & bit(status)) != 0; }
    friend bool operator==(const TcbStatusSet&, const TcbStatusSet&) = default;

private:
    static constexpr std::uint32_t bit(TcbStatus status) { return 1u << static_cast<unsigned>(status); }
    std::uint32_t bits_ = 0;
};

// The outcome of the TCB evaluation. Until it has been made everything but `status` is empty.
struct TcbEvaluation {
    TcbStatus status = TcbStatus::not_evaluated;
    std::optional<WallTime> tcb_date;       // the earliest of the levels used
    std::vector<std::string> advisory_ids;  // their union, sorted
    std::optional<std::uint64_t> evaluation_number;
};

}  // namespace ee::attestation
