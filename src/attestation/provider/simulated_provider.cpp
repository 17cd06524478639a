#include "attestation/provider/simulated_provider.h"

#include <utility>

#include "attestation/simulated_platform.h"

namespace ee::attestation {
namespace {

class SimulatedProvider final : public QuoteProvider {
public:
    explicit SimulatedProvider(SimulatedPlatform platform) : platform_(std::move(platform)) {}

    Result<Bytes> quote(const ByteArray<64>& report_data) override {
        SimulatedQuoteRequest request;
        request.report_data = report_data;
        return make_simulated_quote(platform_, request);
    }

private:
    const SimulatedPlatform platform_;
};

}  // namespace

Result<std::unique_ptr<QuoteProvider>> make_simulated_provider(const std::filesystem::path& folder) {
    auto platform = load_simulated_platform(folder);
    if (!platform) return fail("quote_provider_failed", platform.error().detail);
    return std::make_unique<SimulatedProvider>(std::move(*platform));
}

}  // namespace ee::attestation
