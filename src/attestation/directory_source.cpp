#include "attestation/directory_source.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <mutex>

#include <fmt/format.h>
#include <sys/stat.h>
#include <system_error>

namespace ee::attestation {
namespace {

namespace fs = std::filesystem;

// What tells one version of a file from the next without reading it. Nobody sets the time of its last change.
struct FileVersion {
    dev_t device = 0;
    ino_t number = 0;
    off_t size = 0;
    std::int64_t written_ns = 0, changed_ns = 0;

    friend bool operator==(const FileVersion&, const FileVersion&) = default;

    // Whether the next change will show: one within the same tick of the file system's clock may not.
    bool is_settled(WallTime now) const {
        return now.time_since_epoch() - std::chrono::nanoseconds(changed_ns) >= std::chrono::seconds(1);
    }
};

std::int64_t nanoseconds(const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// nullopt: there is none.
std::optional<FileVersion> version_of(const fs::path& file) {
    struct stat status;
    if (::stat(file.c_str(), &status) != 0) return std::nullopt;
    return FileVersion{.device = status.st_dev,
                       .number = status.st_ino,
                       .size = status.st_size,
                       .written_ns = nanoseconds(status.st_mtim),
                       .changed_ns = nanoseconds(status.st_ctim)};
}

class CollateralDirectory final : public CollateralSource {
public:
    CollateralDirectory(fs::path folder, SkippedFile on_skipped)
        : folder_(std::move(folder)), on_skipped_(std::move(on_skipped)) {}

    Result<std::shared_ptr<const Collateral>> find(const CollateralKey& key, WallTime now) override {
        const std::lock_guard lock(mutex_);
        if (auto looked = look(now); !looked) return fail(std::move(looked.error()));
        const Entry* best = nullptr;
        for (const auto& [name, entry] : entries_) {
            if (entry.collateral == nullptr || entry.label.key != key) continue;
            if (best == nullptr || entry.label.issued_at > best->label.issued_at) best = &entry;
        }
        if (best == nullptr) {
            return fail(
                "collateral_unavailable",
                fmt::format("no collateral file at hand is about this platform ({} CA)", to_string(key.ca)));
        }
        return best->collateral;
    }

private:
    struct Entry {
        FileVersion version;
        std::shared_ptr<const Collateral> collateral;  // null: skipped
        CollateralLabel label;
    };

    // Reads what is new or changed, forgets what is gone.
    Result<void> look(WallTime now) {
        const auto folder_version = version_of(folder_);
        if (folder_version && folder_version == folder_version_ && are_unchanged()) return {};
        folder_version_.reset();
        std::error_code error;
        std::map<fs::path, Entry> seen;
        for (fs::directory_iterator file(folder_, error), end; !error && file != end; file.increment(error)) {
            if (file->path().extension() != ".json") continue;
            const FileVersion version = version_of(file->path()).value_or(FileVersion{});
            const auto known = entries_.find(file->path());
            if (known != entries_.end() && known->second.version == version) {
                seen.insert(entries_.extract(known));
            } else {
                seen.emplace(file->path(), read(file->path(), version));
            }
        }
        if (error) {
            return fail("collateral_unavailable",
                        fmt::format("{} cannot be read: {}", folder_.string(), error.message()));
        }
        entries_ = std::move(seen);
        if (folder_version && folder_version->is_settled(now)) folder_version_ = folder_version;
        return {};
    }

    bool are_unchanged() const {
        return std::all_of(entries_.begin(), entries_.end(),
                           [](const auto& named) { return version_of(named.first) == named.second.version; });
    }

    Entry read(const fs::path& file, const FileVersion& version) {
        Entry entry{.version = version, .collateral = nullptr, .label = {}};
        const auto skip = [&](const Error& why) {
            if (on_skipped_) on_skipped_(file, why);
            return entry;
        };
        const auto text = read_whole_file(file, collateral_file_size_max);
        if (!text) return skip(text.error());
        auto collateral = parse_collateral(*text);
        if (!collateral) return skip(collateral.error());
        const auto label = read_collateral_label(*collateral);
        if (!label) return skip({"collateral_malformed", "it does not say which platform it is about"});
        entry.label = *label;
        entry.collateral = std::make_shared<const Collateral>(std::move(*collateral));
        return entry;
    }

    const fs::path folder_;
    const SkippedFile on_skipped_;
    std::mutex mutex_;
    std::map<fs::path, Entry> entries_;
    std::optional<FileVersion> folder_version_;  // These are its files for as long as it has this one.
};

class AllowlistDirectory final : public ReleaseSource {
public:
    explicit AllowlistDirectory(fs::path folder) : folder_(std::move(folder)) {}

    Result<PublishedAllowlist> find(const ReleaseQuery& query, WallTime now) override {
        const ReleaseId& release = query.release;
        const std::size_t slash = release.repo.find('/');
        if (slash == std::string::npos || release.repo.find('/', slash + 1) != std::string::npos) {
            return fail("allowlist_missing", fmt::format("\"{}\" is not owner/name", release.repo));
        }
        const fs::path file = folder_ / percent_encoded_segment(release.repo.substr(0, slash)) /
                              percent_encoded_segment(release.repo.substr(slash + 1)) /
                              (percent_encoded_segment(release.tag) + ".json");
        // Asked before reading: what changes meanwhile is read at the next look-up.
        const auto version = version_of(file);
        if (auto known = find_known(file, version)) return PublishedAllowlist{std::move(known)};
        const auto text = read_whole_file(file, allowlist_size_max);
        if (!text && text.error().code == "file_too_large") {
            return fail("allowlist_invalid:/", text.error().detail);
        }
        if (!text) return fail("allowlist_missing", text.error().detail);
        auto parsed = parse_allowlist(*text);
        if (!parsed) return fail(std::move(parsed.error()));
        auto allowlist = std::make_shared<const Allowlist>(std::move(*parsed));
        if (version && version->is_settled(now)) keep(file, *version, allowlist);
        return PublishedAllowlist{std::move(allowlist)};
    }

private:
    static constexpr std::size_t known_max = 256;

    struct Known {
        FileVersion version;
        std::shared_ptr<const Allowlist> allowlist;
    };

    std::shared_ptr<const Allowlist> find_known(const fs::path& file,
                                                const std::optional<FileVersion>& version) {
        const std::lock_guard lock(mutex_);
        const auto known = known_.find(file);
        return known != known_.end() && known->second.version == version ? known->second.allowlist : nullptr;
    }

    void keep(const fs::path& file, const FileVersion& version, std::shared_ptr<const Allowlist> allowlist) {
        const std::lock_guard lock(mutex_);
        if (known_.size() >= known_max) known_.clear();
        known_.insert_or_assign(file, Known{version, std::move(allowlist)});
    }

    const fs::path folder_;
    std::mutex mutex_;
    std::map<fs::path, Known> known_;
};

}  // namespace

std::unique_ptr<CollateralSource> make_collateral_directory(fs::path folder, SkippedFile on_skipped) {
    return std::make_unique<CollateralDirectory>(std::move(folder), std::move(on_skipped));
}

std::unique_ptr<ReleaseSource> make_allowlist_directory(fs::path folder) {
    return std::make_unique<AllowlistDirectory>(std::move(folder));
}

std::string percent_encoded_segment(std::string_view text) {
    // "." and ".." are made of unreserved characters but mean another folder.
    const bool is_dots = text == "." || text == "..";
    std::string out;
    for (const char c : text) {
        const bool unreserved = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                                c == '-' || c == '_' || c == '~' || (c == '.' && !is_dots);
        if (unreserved)
            out += c;
        else
            out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

Result<std::string> read_whole_file(const fs::path& file, std::size_t size_max) {
    std::error_code error;
    if (!fs::is_regular_file(file, error)) {
        return fail("file_unreadable", fmt::format("{} is not a file", file.string()));
    }
    std::ifstream in(file, std::ios::binary);
    if (!in) return fail("file_unreadable", fmt::format("{} cannot be opened", file.string()));
    // One byte more than there should be: a file that grows meanwhile is noticed, not cut.
    const std::uintmax_t size = fs::file_size(file, error);
    std::string text(
        static_cast<std::size_t>(std::min<std::uintmax_t>(error ? size_max : size, size_max)) + 1, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (in.bad()) return fail("file_unreadable", fmt::format("{} cannot be read", file.string()));
    const auto read = static_cast<std::size_t>(in.gcount());
    if (read > size_max || (read == text.size() && in.peek() != std::ifstream::traits_type::eof())) {
        return fail("file_too_large", fmt::format("{} has more than {} bytes", file.string(), size_max));
    }
    text.resize(read);
    return text;
}

}  // namespace ee::attestation
