// Scripts of this test binary run on a store in SQLite, each in a file of its own.

#include <filesystem>
#include <stdlib.h>

#include <gtest/gtest.h>

#include "ledger/sqlite/sqlite_store.h"
#include "ledger/test_script.h"

namespace ee::ledger {
namespace {

std::filesystem::path new_folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ledger-rules.XXXXXX").string();
    return ::mkdtemp(pattern.data());
}

class TestSqliteStore final : public Store {
public:
    TestSqliteStore() : folder_(new_folder()), writers_(folder_ / "control-plane.db") {
        auto store = SqliteStore::open(folder_ / "control-plane.db", writers_);
        EXPECT_TRUE(store) << (store ? "" : store.error().detail);
        store_ = std::move(store.value());
    }
    ~TestSqliteStore() override {
        store_.reset();
        std::filesystem::remove_all(folder_);
    }

    std::optional<std::string> get(Table table, std::string_view key) const override {
        return store_->get(table, key);
    }
    void scan(Table table, std::string_view from, const Visit& visit) const override {
        store_->scan(table, from, visit);
    }
    std::uint64_t leaf_count() const override { return store_->leaf_count(); }
    std::optional<std::string> leaf(std::uint64_t index) const override { return store_->leaf(index); }
    std::optional<std::string> tile(unsigned level, std::uint64_t index) const override {
        return store_->tile(level, index);
    }
    void commit(const Changes& changes) override { store_->commit(changes); }
    void end_reading() const noexcept override { store_->end_reading(); }

private:
    std::filesystem::path folder_;
    sqlite::Writers writers_;
    std::unique_ptr<SqliteStore> store_;
};

}  // namespace

std::unique_ptr<Store> new_test_store() {
    return std::make_unique<TestSqliteStore>();
}

}  // namespace ee::ledger
