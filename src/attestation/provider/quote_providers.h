#pragma once
// Which quote provider a program uses (EE_QUOTE_PROVIDER).

#include <filesystem>
#include <memory>
#include <optional>
#include <string_view>

#include "attestation/provider/tsm_provider.h"
#include "attestation/quote_provider.h"

namespace ee::attestation {

enum class QuoteProviderKind { automatic, tsm, simulated };

// "auto", "tsm" or "simulated".
std::optional<QuoteProviderKind> parse_quote_provider_kind(std::string_view text);

// `automatic` takes configfs-tsm when the kernel offers it and else refuses; the simulated platform is used
// only when named. `simulated_folder` (EE_SIMULATED_TDX_DIR) matters to `simulated` alone.
// Refuses with `quote_provider_unavailable` and a sentence that says what to do.
Result<std::unique_ptr<QuoteProvider>> make_quote_provider(
    QuoteProviderKind kind, const std::filesystem::path& simulated_folder,
    const std::filesystem::path& tsm_root = tsm_report_root);

}  // namespace ee::attestation
