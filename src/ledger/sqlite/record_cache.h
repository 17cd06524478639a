#pragma once
// Records of a table that its only writer has read lately, so that what nearly every command asks for (whose
// a token is, what an account holds) is not looked up in the file each time.

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/text_hash.h"

namespace ee::ledger {

// One thread at a time. Two generations: what the older one has moves to the younger one when it is asked
// for, and the rest of it goes when the younger one holds half of `bytes_max`.
class RecordCache {
public:
    explicit RecordCache(std::size_t bytes_max) : generation_bytes_max_(bytes_max / 2) {}

    // nullptr: it is not known whether there is one. Good until the next call.
    const std::string* find(std::string_view key) {
        if (const auto known = young_.records.find(key); known != young_.records.end()) return &known->second;
        const auto known = old_.records.find(key);
        if (known == old_.records.end()) return nullptr;
        const auto record = old_.records.extract(known);
        return &add(record.key(), record.mapped());
    }

    // A record that the table has.
    const std::string& add(std::string_view key, std::string_view record) {
        if (young_.bytes >= generation_bytes_max_) old_ = std::exchange(young_, {});
        young_.bytes += bytes_each + key.size() + record.size();
        return young_.records.insert_or_assign(std::string(key), record).first->second;
    }

    // What a commit has made of a record; nullopt: it is erased. One that is not here is not added.
    void changed(std::string_view key, const std::optional<std::string>& record) {
        for (Generation* generation : {&young_, &old_}) {
            const auto known = generation->records.find(key);
            if (known == generation->records.end()) continue;
            generation->bytes += record ? record->size() : 0;
            generation->bytes -= known->second.size();
            if (record)
                known->second = *record;
            else
                generation->records.erase(known);
        }
    }

    // How many have records: 0 to 2.
    int generations() const { return (young_.records.empty() ? 0 : 1) + (old_.records.empty() ? 0 : 1); }
    void clear() { young_ = old_ = {}; }

private:
    static constexpr std::size_t bytes_each = 112;  // what the map needs for a record
    struct Generation {
        std::unordered_map<std::string, std::string, TextHash, std::equal_to<>> records;
        std::size_t bytes = 0;
    };

    const std::size_t generation_bytes_max_;
    Generation young_, old_;
};

}  // namespace ee::ledger
