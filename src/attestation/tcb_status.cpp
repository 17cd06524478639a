#include "attestation/tcb_status.h"

#include <array>
#include <utility>

namespace ee::attestation {
namespace {

constexpr std::array<std::pair<TcbStatus, std::string_view>, 10> names = {{
    {TcbStatus::not_evaluated, "NotEvaluated"},
    {TcbStatus::up_to_date, "UpToDate"},
    {TcbStatus::sw_hardening_needed, "SWHardeningNeeded"},
    {TcbStatus::configuration_needed, "ConfigurationNeeded"},
    {TcbStatus::configuration_and_sw_hardening_needed, "ConfigurationAndSWHardeningNeeded"},
    {TcbStatus::out_of_date, "OutOfDate"},
    {TcbStatus::out_of_date_configuration_needed, "OutOfDateConfigurationNeeded"},
    {TcbStatus::td_relaunch_advised, "TDRelaunchAdvised"},
    {TcbStatus::td_relaunch_advised_configuration_needed, "TDRelaunchAdvisedConfigurationNeeded"},
    {TcbStatus::revoked, "Revoked"},
}};

}  // namespace

std::string_view to_string(TcbStatus status) {
    for (const auto& [value, name] : names) {
        if (value == status) return name;
    }
    return "NotEvaluated";
}

std::span<const TcbStatus> all_tcb_statuses() {
    static constexpr auto all = [] {
        std::array<TcbStatus, names.size()> out{};
        for (std::size_t i = 0; i < names.size(); ++i) out[i] = names[i].first;
        return out;
    }();
    return all;
}

std::optional<TcbStatus> parse_tcb_status(std::string_view text) {
    for (const auto& [value, name] : names) {
        if (name == text) return value;
    }
    return std::nullopt;
}

}  // namespace ee::attestation
