#pragma once
// Which report data each challenge has asked for, and under which node each agent's key was attested: for 30
// days, in the file of evidence and in its transactions. Holds no secret: digests and names.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "sqlite/database.h"

namespace ee::registry {

inline constexpr std::chrono::hours challenge_life{30 * 24};

// A challenge whose answer was judged good.
struct ChallengeRecord {
    ByteArray<32> report_data_sha256{};
    std::string agent_id;
    std::string app_name;
    std::string node_id;  // empty: none. It has proven it otherwise
    WallTime at{};
    // SHA-256 of the key that signed the answer; a record that was found says none.
    std::optional<ByteArray<32>> agent_key{};
};

// One key, attested under two nodes.
struct SharedKey {
    ChallengeRecord now;
    // What was known of the key before; its challenge is not.
    ChallengeRecord first;
};
using OnSharedKey = std::function<void(const SharedKey&)>;

// The writing half is of one thread, within the caller's transaction.
class ChallengeRecords {
public:
    // Brings the tables up to date; refusals as of migrate().
    static Result<ChallengeRecords> open(sqlite::Database& database);

    Result<void> keep(const ChallengeRecord& record);
    // Deletes some of what is older than challenge_life, more than `kept` were kept.
    Result<void> prune(WallTime now, std::size_t kept);
    std::vector<SharedKey> take_shared_keys() { return std::exchange(shared_, {}); }

    static const std::string_view find_sql;
    // By `find_sql`, on any connection.
    static Result<std::optional<ChallengeRecord>> find(sqlite::Statement& statement,
                                                       const ByteArray<32>& report_data_sha256, WallTime now);

private:
    struct Statements {
        sqlite::Statement keep, find_key, keep_key, delete_old, delete_old_keys;
    };
    explicit ChallengeRecords(Statements statements) : statements_(std::move(statements)) {}
    Result<void> keep_key(const ChallengeRecord& record);

    Statements statements_;
    std::vector<SharedKey> shared_;
};

}  // namespace ee::registry
