#include "attestation/remote/collateral_files.h"

#include <fmt/format.h>

#include "attestation/directory_source.h"
#include "base/hex.h"
#include "base/replace_file.h"

namespace ee::attestation {

namespace fs = std::filesystem;

fs::path CollateralFiles::file_of(const CollateralKey& key) const {
    return folder_ /
           fmt::format("{}-{}-{}.json", to_hex(key.fmspc), to_string(key.ca), to_hex(key.anchor_spki_sha256));
}

void CollateralFiles::read_all(const std::function<void(const CollateralKey&, Collateral)>& each,
                               const std::function<void(const fs::path&, const Error&)>& skipped) const {
    std::error_code error;
    for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
        const fs::path& file = at->path();
        if (file.extension() != ".json") continue;
        const auto text = read_whole_file(file, collateral_file_size_max);
        auto collateral = text ? parse_collateral(*text) : fail(text.error());
        const auto label = collateral ? read_collateral_label(*collateral) : std::nullopt;
        if (!collateral)
            skipped(file, collateral.error());
        else if (!label || file_of(label->key) != file)
            skipped(file, {"collateral_malformed", "it is not about the platform that its name says"});
        else
            each(label->key, std::move(*collateral));
    }
}

Result<void> CollateralFiles::write(const CollateralKey& key, const Collateral& collateral) const {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error) return fail("file_unwritable", fmt::format("{}: {}", folder_.string(), error.message()));
    return replace_file(file_of(key), to_json(collateral), 0644);
}

void CollateralFiles::remove(const CollateralKey& key) const {
    std::error_code ignored;
    fs::remove(file_of(key), ignored);
}

}  // namespace ee::attestation
