#pragma once
// A complete TDX platform in software: root, CAs, PCK certificate, quoting enclave, attestation key and
// signed collateral, so that a simulated quote goes through exactly the code a genuine one does, under a
// root that must be configured explicitly. Keys and signatures are random; time is an argument.

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "attestation/simulated_platform_faults.h"
#include "attestation/simulated_platform_fields.h"
#include "attestation/tcb_status.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "crypto/signing_key.h"

namespace ee::attestation {

inline constexpr std::chrono::days simulated_collateral_life{30};

// One platform and the one VM image that runs on it. Movable.
struct SimulatedPlatform {
    crypto::SigningKey root_key;
    crypto::SigningKey platform_ca_key;
    crypto::SigningKey pck_key;
    crypto::SigningKey tcb_signing_key;
    crypto::SigningKey attestation_key;

    Bytes root_certificate;  // DER, like the next three
    Bytes platform_ca_certificate;
    Bytes pck_certificate;
    Bytes tcb_signing_certificate;

    ByteArray<58> pck_facts{};   // laid out as QuotePart::pck
    ByteArray<648> td_report{};  // what every quote's body starts from, laid out as QuotePart::body
    // What the QE says of its attestation key. As a genuine one's it is signed once and stands in every
    // quote.
    ByteArray<384> qe_report{};
    ByteArray<64> qe_report_signature{};
    WallTime made_at{};
};

// Certificates are valid from a day before `at`, the PCK certificate for seven years as Intel's are.
SimulatedPlatform make_simulated_platform(WallTime at);

enum class QuoteFormat { v4, v5_td_1_0, v5_td_1_5 };
// "v4", "v5-1.0", "v5-1.5".
std::optional<QuoteFormat> parse_quote_format(std::string_view text);

// One quote to make. The defaults give one that verifies with status UpToDate.
struct SimulatedQuoteRequest {
    ByteArray<64> report_data{};
    QuoteFormat format = QuoteFormat::v4;
    // Chooses the SVNs of platform and module that yield this status; the TDRelaunchAdvised ones need TD 1.5.
    TcbStatus tcb_status = TcbStatus::up_to_date;
    bool debug = false;
    std::vector<FieldOverride> fields;  // win over everything above
    SimulatedFaults faults;             // those in the quote; others are ignored
    Bytes qe_auth_data = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                          16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
    Bytes trailing;  // after the quote; zeros are padding, anything else is malformed
};

Bytes make_simulated_quote(const SimulatedPlatform& platform, const SimulatedQuoteRequest& request);

// The collateral file's JSON, issued at `at` and valid for simulated_collateral_life.
std::string make_simulated_collateral(const SimulatedPlatform& platform, WallTime at,
                                      const SimulatedFaults& faults = {});

// An allowlist that names the registers of this platform's quotes, and no claims.
std::string make_simulated_allowlist(const SimulatedPlatform& platform, WallTime at);

// Writes every file of the platform into `folder`, made when absent: keys (0600), certificates in PEM,
// platform.json, allowlist.json and collateral.json issued at `at`. Each file is replaced in one step.
// Refuses with `simulated_platform_unwritable`.
Result<void> save_simulated_platform(const std::filesystem::path& folder, const SimulatedPlatform& platform,
                                     WallTime at);

bool simulated_platform_exists(const std::filesystem::path& folder);

// Refuses with `simulated_platform_unreadable` and the file at fault.
Result<SimulatedPlatform> load_simulated_platform(const std::filesystem::path& folder);

// Renews collateral.json, and allowlist.json in case the measurements in platform.json were edited.
Result<void> refresh_simulated_platform(const std::filesystem::path& folder, WallTime at,
                                        const SimulatedFaults& faults = {});

}  // namespace ee::attestation
