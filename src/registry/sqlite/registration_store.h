#pragma once
// Registrations in a SQLite file. One process, one writer thread; waiting saves share one transaction, and
// only the last of an app's is written.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "registry/app_record.h"
#include "sqlite/writers.h"

namespace ee::registry {

class RegistrationStore {
public:
    // Called once, on the store's own thread, when the change is on disk or has failed
    // (`store_unavailable`). It must not throw, nor destroy the store.
    using Completion = std::function<void(const Result<void>&)>;

    // Makes the file with its folder (mode 0700), brings an older schema up to date. Refusals:
    // `store_locked` (another server has it), `store_schema_newer`, `store_unavailable`.
    // `writers`, which outlive it: those that share the file; null where it is the only one.
    static Result<std::unique_ptr<RegistrationStore>> open(const std::filesystem::path& file,
                                                           sqlite::Writers* writers = nullptr);

    // Writes what is waiting, then closes.
    ~RegistrationStore();
    RegistrationStore(const RegistrationStore&) = delete;
    RegistrationStore& operator=(const RegistrationStore&) = delete;

    // At start, before the first save.
    Result<std::vector<AppRecord>> load_all();

    // From any thread; changes are applied in the order of the calls. `store_unavailable` at once when
    // too many wait.
    // With `answer` the answer of the call that made the change, on disk with it or not at all; the first of
    // a key stays.
    void save(AppRecord record, Completion done = {}, std::optional<KeptAnswer> answer = {});
    // The same for a change that nobody waits for: it may wait a short while, for others to share its write.
    void save_soon(AppRecord record, Completion done = {});
    void remove(std::string app_name, Completion done = {});

    // The answer that was kept under this key, or nullopt: once what was to be saved before is on disk. As
    // Completion.
    using OnAnswer = std::function<void(const Result<std::optional<KeptAnswer>>&)>;
    void find_answer(std::string key, OnAnswer found);

private:
    class Impl;
    explicit RegistrationStore(std::unique_ptr<Impl> impl);

    std::unique_ptr<Impl> impl_;
};

}  // namespace ee::registry
