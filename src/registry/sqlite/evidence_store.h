#pragma once
// Evidence in the SQLite file: records of the last 24 hours and the newest of each agent, and the contents
// they refer to, each kept once under its SHA-256. What a record says is not this store's business.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "registry/sqlite/challenge_records.h"
#include "registry/sqlite/evidence_schema.h"
#include "sqlite/writers.h"

namespace ee::registry {

// Bytes that live as long as `owner`.
struct SharedContent {
    std::string sha256;  // hex, and true
    std::string kind;
    ByteSpan bytes;
    std::shared_ptr<const void> owner;
};

struct EvidenceRecord {
    std::string app_name;
    std::string id;     // one an app; a second record under it replaces the first
    std::string agent;  // the public name
    WallTime judged_at{};
    std::string json;
    std::vector<SharedContent> contents;
    std::optional<ChallengeRecord> challenge = std::nullopt;  // kept longer than the rest
};

struct StoredEvidence {
    std::int64_t seq = 0;  // names it to references_of()
    std::string json;
};

struct ContentName {
    std::string sha256;
    std::string kind;
};

struct StoredContent {
    std::string kind;
    Bytes bytes;
};

// One writer thread; records of a short while share a transaction. A commit survives the end of the process,
// not always a power cut: what is lost then is replaced at the next challenge.
class EvidenceStore {
public:
    // `on_failure` hears, on any thread, of records that were not kept (`store_unavailable`).
    using OnFailure = std::function<void(const Error&)>;

    // Beside the store that holds the file's lock; `writers` as there. Refusals: `store_schema_newer`,
    // `store_unavailable`.
    static Result<std::unique_ptr<EvidenceStore>> open(const std::filesystem::path& file,
                                                       OnFailure on_failure,
                                                       const EvidenceLimits& limits = {},
                                                       sqlite::Writers* writers = nullptr);

    // Writes what is waiting, then closes.
    ~EvidenceStore();
    EvidenceStore(const EvidenceStore&) = delete;
    EvidenceStore& operator=(const EvidenceStore&) = delete;

    // Hears, on the store's own thread, of agents' keys that were on record for another node. Before the
    // first keep(); with {} nothing is told from then on.
    void on_shared_key(OnSharedKey on_shared_key);

    // Any thread. At most 4096 wait; more are not kept.
    void keep(EvidenceRecord record);

    // The rest block: any thread but the loop's, one at a time. What was kept before a call is seen by it
    // (or, when the disk takes more than 2 s, not).
    Result<std::optional<StoredEvidence>> find(std::string_view app_name, std::string_view id,
                                               WallTime now) const;
    Result<std::optional<StoredEvidence>> newest(std::string_view app_name, std::string_view agent) const;
    Result<std::vector<ContentName>> references_of(std::int64_t seq) const;
    Result<std::optional<StoredContent>> content(std::string_view sha256) const;
    // The challenge of the last 30 days that asked for report data of this SHA-256.
    Result<std::optional<ChallengeRecord>> find_challenge(const ByteArray<32>& report_data_sha256,
                                                          WallTime now) const;

private:
    class Impl;
    explicit EvidenceStore(std::unique_ptr<Impl> impl);

    std::unique_ptr<Impl> impl_;
};

}  // namespace ee::registry
