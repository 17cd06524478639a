#include "attestation/remote/collateral_files.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "attestation/directory_source.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> unwritable(const fs::path& file, std::string_view why) {
    return fail("file_unwritable", fmt::format("{}: {}", file.string(), why));
}

bool write_all(int file, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(file, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    return ::fsync(file) == 0;
}

}  // namespace

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
    if (error) return unwritable(folder_, error.message());
    const fs::path file = file_of(key), fresh = file.string() + ".new";
    const int opened = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (opened < 0) return unwritable(fresh, std::strerror(errno));
    const bool written = write_all(opened, to_json(collateral));
    const int reason = errno;
    ::close(opened);
    if (!written) return unwritable(fresh, std::strerror(reason));
    fs::rename(fresh, file, error);
    if (error) return unwritable(file, error.message());
    return {};
}

void CollateralFiles::remove(const CollateralKey& key) const {
    std::error_code ignored;
    fs::remove(file_of(key), ignored);
}

}  // namespace ee::attestation
