#pragma once
// The security version numbers of the simulated platform and the statuses its TCB info gives them; internal
// to simulated_platform_*.cpp.

#include <span>

#include "attestation/tcb_status.h"
#include "base/bytes.h"
#include "base/check.h"

namespace ee::attestation::simulated {

inline constexpr unsigned pce_svn = 13;
inline constexpr std::uint16_t qe_isv_svn = 8;
inline constexpr unsigned evaluation_number = 20;

// Platform levels differ in the first SGX component alone, module levels in their SVN.
struct Level {
    std::uint8_t svn;
    TcbStatus status;
    const char* date;
    const char* advisory;  // nullptr: none
};

inline constexpr Level platform_levels[] = {
    {6, TcbStatus::up_to_date, "2025-08-13T00:00:00Z", nullptr},
    {5, TcbStatus::sw_hardening_needed, "2025-08-13T00:00:00Z", "INTEL-SA-90001"},
    {4, TcbStatus::configuration_needed, "2025-08-13T00:00:00Z", "INTEL-SA-90002"},
    {3, TcbStatus::configuration_and_sw_hardening_needed, "2025-08-13T00:00:00Z", "INTEL-SA-90003"},
    {2, TcbStatus::out_of_date, "2025-02-12T00:00:00Z", "INTEL-SA-90004"},
    {1, TcbStatus::out_of_date_configuration_needed, "2024-08-14T00:00:00Z", "INTEL-SA-90005"},
    {0, TcbStatus::revoked, "2023-08-09T00:00:00Z", "INTEL-SA-90006"},
};
inline constexpr Level module_levels[] = {
    {5, TcbStatus::up_to_date, "2025-08-13T00:00:00Z", nullptr},
    {3, TcbStatus::out_of_date, "2025-02-12T00:00:00Z", "INTEL-SA-91001"},
    {2, TcbStatus::revoked, "2024-02-12T00:00:00Z", "INTEL-SA-91002"},
};
inline constexpr Level qe_levels[] = {
    {8, TcbStatus::up_to_date, "2025-08-13T00:00:00Z", nullptr},
    {6, TcbStatus::out_of_date, "2025-02-12T00:00:00Z", "INTEL-SA-92001"},
    {4, TcbStatus::revoked, "2024-02-12T00:00:00Z", "INTEL-SA-92002"},
};
inline constexpr Level qe_levels_twice[] = {qe_levels[0], qe_levels[1], qe_levels[1]};

inline constexpr ByteArray<16> cpu_svn(std::uint8_t platform_svn) {
    return {platform_svn, 5, 2, 2, 3, 1, 0, 3};
}
// Module SVN, module version 1, then the SVNs that count as TDX components from index 2.
inline constexpr ByteArray<16> tee_tcb_svn(std::uint8_t module_svn) {
    return {module_svn, 1, 3};
}
inline constexpr ByteArray<16> tdx_components = {5, 0, 3};

// Which SVNs yield a status.
struct Recipe {
    TcbStatus status;
    std::uint8_t platform_svn;
    std::uint8_t module_svn;      // launched with
    std::uint8_t module_svn_now;  // TD 1.5: running now
};

inline constexpr Recipe recipes[] = {
    {TcbStatus::up_to_date, 6, 5, 5},
    {TcbStatus::sw_hardening_needed, 5, 5, 5},
    {TcbStatus::configuration_needed, 4, 5, 5},
    {TcbStatus::configuration_and_sw_hardening_needed, 3, 5, 5},
    {TcbStatus::out_of_date, 2, 5, 5},
    {TcbStatus::out_of_date_configuration_needed, 1, 5, 5},
    {TcbStatus::td_relaunch_advised, 6, 3, 5},
    {TcbStatus::td_relaunch_advised_configuration_needed, 4, 3, 5},
    {TcbStatus::revoked, 0, 5, 5},
};

// `status` is one of Intel's.
inline const Recipe& recipe(TcbStatus status) {
    for (const Recipe& candidate : recipes) {
        if (candidate.status == status) return candidate;
    }
    EE_CHECK(false && "a status that no SVNs yield");
    return recipes[0];
}

// What the QE identity asks for and the QE report has.
inline constexpr std::uint16_t qe_isv_prod_id = 2;
ByteArray<32> qe_mr_signer();

}  // namespace ee::attestation::simulated
