#pragma once
// The bytes of records and keys in the store. Records: fields in a row, texts with their length. Keys: their
// order as bytes is the order of what they say, so that what belongs together lies together.

#include <concepts>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/big_endian.h"
#include "base/bytes.h"

namespace ee::ledger {

// What the store gave back is not what was written: the disk, or another program.
class DamagedRecord : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

// A record that another one says there is. Throws DamagedRecord where it is missing.
template <class Record>
Record expect_record(std::optional<Record> record, std::string_view what) {
    if (!record) throw DamagedRecord(std::string(what) + " is missing");
    return *std::move(record);
}

// Numbers are 8 bytes, big-endian; signed ones with the sign bit flipped, so that they sort too. Throws
// DamagedRecord where there are fewer.
[[noreturn]] void throw_too_short(std::size_t bytes, std::size_t needed);
inline std::uint64_t number_at(std::string_view bytes, std::size_t offset) {
    if (bytes.size() < offset + 8) throw_too_short(bytes.size(), offset + 8);
    return big_endian_at<8>(bytes.substr(offset));
}
constexpr std::uint64_t sortable(std::int64_t number) {
    return static_cast<std::uint64_t>(number) ^ (std::uint64_t{1} << 63);
}
constexpr std::int64_t from_sortable(std::uint64_t number) {
    return static_cast<std::int64_t>(number ^ (std::uint64_t{1} << 63));
}

class KeyWriter {
public:
    // `text` has no NUL: it ends with one.
    KeyWriter& text(std::string_view text) {
        key_.append(text).push_back('\0');
        return *this;
    }
    KeyWriter& number(std::uint64_t number) {
        append_big_endian<8>(key_, number);
        return *this;
    }
    KeyWriter& time(std::int64_t time) { return number(sortable(time)); }

    // The key; the writer is empty then.
    operator std::string() { return std::move(key_); }

private:
    std::string key_;
};

class KeyReader {
public:
    explicit KeyReader(std::string_view key) : rest_(key) {}
    std::string text();
    std::uint64_t number();
    std::int64_t time() { return from_sortable(number()); }

private:
    std::string_view rest_;
};

class RecordWriter {
public:
    RecordWriter() { record_.reserve(192); }
    RecordWriter& byte(std::uint8_t value) {
        record_.push_back(static_cast<char>(value));
        return *this;
    }
    RecordWriter& flag(bool value) { return byte(value ? 1 : 0); }
    RecordWriter& number(std::uint64_t value) {
        append_big_endian<8>(record_, value);
        return *this;
    }
    RecordWriter& integer(std::int64_t value) { return number(static_cast<std::uint64_t>(value)); }
    RecordWriter& text(std::string_view value) {
        append_counted(record_, value);
        return *this;
    }
    template <std::size_t N>
    RecordWriter& array(const ByteArray<N>& value) {
        record_.append(reinterpret_cast<const char*>(value.data()), N);
        return *this;
    }

    std::string take() { return std::move(record_); }

private:
    std::string record_;
};

// Throws DamagedRecord where the record is shorter or longer than what is read of it.
class RecordReader {
public:
    explicit RecordReader(std::string_view record) : rest_(record) {}

    std::uint8_t byte() { return static_cast<std::uint8_t>(take(1)[0]); }
    bool flag() { return byte() != 0; }
    std::uint64_t number() { return number_at(take(8), 0); }
    std::int64_t integer() { return static_cast<std::int64_t>(number()); }
    std::string text();
    template <std::size_t N>
    ByteArray<N> array() {
        ByteArray<N> out;
        const std::string_view bytes = take(N);
        std::copy(bytes.begin(), bytes.end(), out.begin());
        return out;
    }
    // Fields that were added later are at the end, and absent in records from before.
    bool has_more() const { return !rest_.empty(); }
    void finish() const;

private:
    std::string_view take(std::size_t size) {
        if (rest_.size() < size) throw_too_short(rest_.size(), size);
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return taken;
    }

    std::string_view rest_;
};

}  // namespace ee::ledger
