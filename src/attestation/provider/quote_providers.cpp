#include "attestation/provider/quote_providers.h"

#include <fmt/format.h>

#include "attestation/provider/simulated_provider.h"

namespace ee::attestation {
namespace {

constexpr std::string_view unavailable = "quote_provider_unavailable";

std::string no_tsm(const std::filesystem::path& tsm_root) {
    return fmt::format(
        "{} is not there. In a TDX guest: Linux 6.7 or later, `mount -t configfs none /sys/kernel/config`, "
        "`modprobe tdx_guest`",
        tsm_root.string());
}

}  // namespace

std::optional<QuoteProviderKind> parse_quote_provider_kind(std::string_view text) {
    if (text == "auto") return QuoteProviderKind::automatic;
    if (text == "tsm") return QuoteProviderKind::tsm;
    if (text == "simulated") return QuoteProviderKind::simulated;
    return std::nullopt;
}

Result<std::unique_ptr<QuoteProvider>> make_quote_provider(QuoteProviderKind kind,
                                                           const std::filesystem::path& simulated_folder,
                                                           const std::filesystem::path& tsm_root) {
    if (kind == QuoteProviderKind::simulated) {
        if (simulated_folder.empty()) {
            return fail(
                std::string(unavailable),
                "EE_QUOTE_PROVIDER is simulated but EE_SIMULATED_TDX_DIR is not set: make a platform with "
                "`eectl simulate init DIR` and set EE_SIMULATED_TDX_DIR to DIR");
        }
        auto provider = make_simulated_provider(simulated_folder);
        if (!provider) {
            return fail(std::string(unavailable),
                        "EE_SIMULATED_TDX_DIR cannot be used: " + provider.error().detail);
        }
        return provider;
    }
    if (tsm_present(tsm_root)) return make_tsm_provider(tsm_root);
    if (kind == QuoteProviderKind::tsm) return fail(std::string(unavailable), no_tsm(tsm_root));
    return fail(std::string(unavailable),
                "this machine makes no TDX quotes: " + no_tsm(tsm_root) +
                    ". Elsewhere, for development: EE_QUOTE_PROVIDER=simulated with EE_SIMULATED_TDX_DIR");
}

}  // namespace ee::attestation
