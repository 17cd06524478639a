#include "control_plane/own_quote.h"

#include <future>

#include "attestation/provider/quote_providers.h"
#include "attestation/quote_verifier.h"

namespace ee::control_plane {
namespace {

// Asks another source, and remembers for what and with what answer.
class Noticing final : public attestation::CollateralSource {
public:
    explicit Noticing(attestation::CollateralSource& source) : source_(source) {}

    Result<std::shared_ptr<const attestation::Collateral>> find(const attestation::CollateralKey& key,
                                                                WallTime now) override {
        asked = key;
        auto found = source_.find(key, now);
        pending = !found && found.error().code == "collateral_pending";
        if (found) collateral = *found;
        return found;
    }

    std::optional<attestation::CollateralKey> asked;
    bool pending = false;
    std::shared_ptr<const attestation::Collateral> collateral;

private:
    attestation::CollateralSource& source_;
};

void wait_for(attestation::CollateralSource& source, const attestation::CollateralKey& key,
              std::chrono::seconds wait_max) {
    // The source may call after the wait is over.
    const auto settled = std::make_shared<std::promise<void>>();
    std::future<void> future = settled->get_future();
    source.when_settled(key, [settled] { settled->set_value(); });
    future.wait_for(wait_max);
}

}  // namespace

Result<std::unique_ptr<attestation::QuoteProvider>> own_quote_provider(
    const config::ControlPlaneConfig& config) {
    const auto kind = attestation::parse_quote_provider_kind(config.quote_provider).value();
    auto provider = attestation::make_quote_provider(kind, config.simulated_tdx_dir.value_or(""));
    if (provider) return provider;
    if (kind == attestation::QuoteProviderKind::automatic)
        return std::unique_ptr<attestation::QuoteProvider>();
    return fail(std::move(provider.error()));
}

Result<OwnQuote> make_own_quote(attestation::QuoteProvider& provider,
                                const attestation::ReportData& report_data,
                                const attestation::TrustAnchors& anchors,
                                attestation::CollateralSource& source, std::chrono::seconds wait_max,
                                const telemetry::Log& log) {
    auto quote = provider.quote(report_data);
    if (!quote) return fail(std::move(quote.error()));
    const attestation::QuoteVerifier verifier(anchors);
    Noticing noticing(source);
    attestation::VerifyOptions options;
    options.report_data = report_data;
    options.collateral = &noticing;
    auto verified = verifier.verify(*quote, options, wall_now());
    if (noticing.pending) {
        wait_for(source, *noticing.asked, wait_max);
        verified = verifier.verify(*quote, options, wall_now());
    }
    if (verified.refusal)
        log.warn("control.own_quote",
                 {{"code", verified.refusal->code}, {"detail", verified.refusal->detail}});
    else
        log.info("control.own_quote", {{"code", "ok"}});
    OwnQuote out{.quote = *std::move(quote)};
    if (noticing.collateral) out.collateral = attestation::to_json(*noticing.collateral);
    return out;
}

}  // namespace ee::control_plane
