#pragma once
// Allowlists on disk: which asset of a release was accepted must survive a restart, or a restart would accept
// whatever is published by then.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "sqlite/writers.h"

namespace ee::registry {

struct AllowlistRecord {
    std::string repo{};
    std::string tag{};
    std::string accepted_asset{};                  // the bytes of it
    std::optional<std::string> published_asset{};  // when another one is published now
    std::string release_etag{};
    std::string asset_etag{};
    std::string asset_url{};
    WallTime checked_at{};

    friend bool operator==(const AllowlistRecord&, const AllowlistRecord&) = default;
};

// Refusals are `store_unavailable`, `store_schema_newer`. One thread at a time; each call returns once what
// it changed is on disk.
class AllowlistStore {
public:
    // The file of the registrations, whose store makes it and holds its lock: open that first. This has a
    // connection of its own; a writer waits for the other one, at most 5 s.
    // `writers` as there.
    static Result<std::unique_ptr<AllowlistStore>> open(const std::filesystem::path& file,
                                                        sqlite::Writers* writers = nullptr);
    ~AllowlistStore();

    Result<std::vector<AllowlistRecord>> load_all();
    // In place of what was saved for this release before.
    Result<void> save(const AllowlistRecord& record);
    // Of what was saved for this release only the digest (hex) of the accepted asset is kept.
    Result<void> forget(const std::string& repo, const std::string& tag, const std::string& accepted_sha256);

    // nullopt: nothing of this release was ever accepted.
    struct Accepted {
        std::string asset{};   // empty when only
        std::string sha256{};  // this is kept
    };
    Result<std::optional<Accepted>> accepted(const std::string& repo, const std::string& tag);

private:
    class Impl;
    explicit AllowlistStore(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace ee::registry
