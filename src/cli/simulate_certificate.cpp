// eectl simulate certificate: a key and an RA-TLS certificate over it, with a simulated quote inside.

#include <fstream>
#include <ostream>

#include <fmt/format.h>

#include "attestation/simulated_platform_ratls.h"
#include "base/hex.h"
#include "cli/quote_commands.h"
#include "cli/simulate_commands.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

// Long enough for a clock that runs behind.
constexpr std::chrono::seconds backdated{60};
constexpr std::int64_t life_s_max = std::int64_t{100} * 365 * 86400;

Result<att::SimulatedCertificateRequest> read_request(const SimulateOptions& quote,
                                                      const SimulateCertificateOptions& options,
                                                      const Context& context) {
    att::SimulatedCertificateRequest request;
    auto read = read_quote_options(quote);
    if (!read) return fail(read.error());
    request.quote = std::move(*read);
    request.identity = {.role = options.role,
                        .app_name = options.app,
                        .repo = options.repo,
                        .release_tag = options.release_tag,
                        .network = options.network};
    request.deployed_layout = options.legacy;
    request.wrapped = options.wrapped;
    request.signed_by_stranger = options.signed_by_stranger;
    if (!options.legacy && (options.app.empty() || options.repo.empty() || options.release_tag.empty() ||
                            options.network.empty())) {
        return fail("usage",
                    "--app, --repo, --release-tag and --network are what the certificate names; only "
                    "with --legacy it names none");
    }
    request.not_before = context.now - backdated;
    if (!quote.at.empty()) {
        const auto at = parse_time(quote.at);
        if (!at)
            return fail("usage", "--at: \"" + quote.at + "\" is neither Unix seconds nor RFC 3339 in UTC");
        request.not_before = *at;
    }
    if (options.life_s < 0 || options.life_s > life_s_max)
        return fail("usage", fmt::format("--life takes 0 to {} seconds", life_s_max));
    request.life = std::chrono::seconds(options.life_s);
    if (!quote.report_data.empty()) {
        const auto report_data = from_hex_exact<64>(quote.report_data);
        if (!report_data) return fail("usage", "--report-data takes 128 hex characters (64 bytes)");
        request.report_data = *report_data;
    }
    return request;
}

Result<crypto::SigningKey> key_of(const SimulateCertificateOptions& options) {
    if (!options.key.empty()) return crypto::load_signing_key(options.key);
    return crypto::SigningKey::generate(options.ed25519 ? crypto::KeyKind::ed25519 : crypto::KeyKind::p256);
}

int refused(Context& context, const std::string& what) {
    context.err << "eectl: " << what << '\n';
    return exit_refused;
}

}  // namespace

int run_simulate_certificate(const SimulateOptions& quote, const SimulateCertificateOptions& options,
                             Context& context) {
    const auto request = read_request(quote, options, context);
    if (!request) {
        context.err << "eectl: " << request.error().detail << '\n';
        return exit_usage;
    }
    const auto platform = att::load_simulated_platform(quote.folder);
    if (!platform) return refused(context, platform.error().detail);
    const auto key = key_of(options);
    if (!key) return refused(context, key.error().detail);
    const std::string pem =
        crypto::certificate_to_pem(att::make_simulated_certificate(*platform, *key, *request));
    if (options.cert_out.empty()) {
        context.out << pem;
    } else {
        std::ofstream file(options.cert_out, std::ios::binary | std::ios::trunc);
        file << pem << std::flush;
        if (!file) return refused(context, "cannot write " + options.cert_out);
    }
    if (!options.key.empty()) return exit_good;
    if (options.key_out.empty()) {
        context.out << key->to_pem().reveal();
    } else if (const auto saved = crypto::save_signing_key(options.key_out, *key); !saved) {
        return refused(context, saved.error().detail);
    }
    return exit_good;
}

}  // namespace ee::cli
