#pragma once
// Quotes from the Linux kernel's configfs-tsm (Documentation/ABI/testing/configfs-tsm, since Linux 6.7).

#include <filesystem>
#include <memory>

#include "attestation/quote_provider.h"

namespace ee::attestation {

inline const std::filesystem::path tsm_report_root = "/sys/kernel/config/tsm/report";

// Whether the kernel offers quotes under `root` at all.
bool tsm_present(const std::filesystem::path& root = tsm_report_root);

// Each quote uses an entry of its own below `root` and removes it afterwards.
std::unique_ptr<QuoteProvider> make_tsm_provider(std::filesystem::path root = tsm_report_root);

}  // namespace ee::attestation
