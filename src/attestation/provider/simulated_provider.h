#pragma once
// Quotes from the simulated platform: for development and tests, under a root that must be configured.

#include <filesystem>
#include <memory>

#include "attestation/quote_provider.h"

namespace ee::attestation {

// `folder` is what `eectl simulate init` made. Refuses with `quote_provider_failed` when it cannot be read.
Result<std::unique_ptr<QuoteProvider>> make_simulated_provider(const std::filesystem::path& folder);

}  // namespace ee::attestation
