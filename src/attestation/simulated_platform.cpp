#include "attestation/simulated_platform.h"

#include <algorithm>
#include <string>

#include "attestation/quote.h"
#include "attestation/simulated_platform_certificates.h"
#include "attestation/simulated_platform_tcb.h"
#include "base/hex.h"
#include "base/json_writer.h"
#include "crypto/digest.h"

namespace ee::attestation {
namespace {

using crypto::KeyKind;
using crypto::SigningKey;

// The simulated VM image measures the same everywhere, as a real image does.
crypto::Sha384 label_measurement(std::string_view name) {
    return crypto::sha384({as_bytes("easyenclave/simulated/"), as_bytes(name)});
}

ByteArray<648> initial_td_report() {
    ByteArray<648> report{};
    for (const std::string_view name : {"mr_seam", "mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"}) {
        write_field(report, name, label_measurement(name));
    }
    const ByteArray<16> tee_tcb_svn =
        simulated::tee_tcb_svn(simulated::recipe(TcbStatus::up_to_date).module_svn);
    write_field(report, "tee_tcb_svn", tee_tcb_svn);
    write_field(report, "tee_tcb_svn2", tee_tcb_svn);
    write_field(report, "td_attributes", ByteArray<8>{0, 0, 0, 0x10});  // SEPT_VE_DISABLE
    write_field(report, "xfam", ByteArray<8>{0xe7, 0x02, 0x06});
    return report;
}

ByteArray<58> initial_pck_facts() {
    ByteArray<58> facts{};
    write_field(facts, "pck_ppid", crypto::random_bytes<16>());
    write_field(facts, "pck_cpusvn",
                simulated::cpu_svn(simulated::recipe(TcbStatus::up_to_date).platform_svn));
    write_number(facts, "pck_pcesvn", simulated::pce_svn);
    // The first byte of no Intel FMSPC; the rest tells simulated platforms apart.
    ByteArray<6> fmspc = crypto::random_bytes<6>();
    fmspc[0] = 0xff;
    write_field(facts, "pck_fmspc", fmspc);
    write_field(facts, "pck_platform_instance_id", crypto::random_bytes<16>());
    return facts;
}

}  // namespace

SimulatedPlatform make_simulated_platform(WallTime at) {
    SimulatedPlatform platform{.root_key = SigningKey::generate(KeyKind::p256),
                               .platform_ca_key = SigningKey::generate(KeyKind::p256),
                               .pck_key = SigningKey::generate(KeyKind::p256),
                               .tcb_signing_key = SigningKey::generate(KeyKind::p256),
                               .attestation_key = SigningKey::generate(KeyKind::p256),
                               .root_certificate = {},
                               .platform_ca_certificate = {},
                               .pck_certificate = {},
                               .tcb_signing_certificate = {},
                               .pck_facts = initial_pck_facts(),
                               .td_report = initial_td_report(),
                               .qe_report = {},
                               .qe_report_signature = {},
                               .made_at = at};
    platform.root_certificate = simulated::root_certificate(platform.root_key, at, {});
    platform.platform_ca_certificate = simulated::platform_ca_certificate(platform, {});
    platform.pck_certificate = simulated::pck_certificate(platform, platform.pck_facts, {});
    platform.tcb_signing_certificate = simulated::tcb_signing_certificate(platform, platform.root_key, {});
    simulated::certify_attestation_key(platform);
    return platform;
}

std::optional<QuoteFormat> parse_quote_format(std::string_view text) {
    if (text == "v4") return QuoteFormat::v4;
    if (text == "v5-1.0") return QuoteFormat::v5_td_1_0;
    if (text == "v5-1.5") return QuoteFormat::v5_td_1_5;
    return std::nullopt;
}

std::string make_simulated_allowlist(const SimulatedPlatform& platform, WallTime at) {
    std::string text;
    JsonWriter json(text);
    // Without a release_tag: it serves whatever release it is put in place for.
    json.begin_object().field("version", "1.0").field("created_at", to_rfc3339(at));
    json.key("measurements").begin_object().end_object();
    json.key("quote_measurements").begin_object();
    for (const std::string_view name : {"mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"}) {
        const QuoteField* field = find_quote_field(name);
        json.field(name, to_hex(ByteSpan(platform.td_report).subspan(field->offset, field->size)));
    }
    json.end_object().end_object();
    return text + "\n";
}

}  // namespace ee::attestation
