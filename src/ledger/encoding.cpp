#include "ledger/encoding.h"

#include <fmt/format.h>

#include "base/check.h"

namespace ee::ledger {

void append_number(std::string& out, std::uint64_t number) {
    char bytes[8];
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(number >> (56 - 8 * i));
    out.append(bytes, sizeof(bytes));
}

std::uint64_t number_at(std::string_view bytes, std::size_t offset) {
    if (bytes.size() < offset + 8)
        throw DamagedRecord(fmt::format("{} bytes where {} were written", bytes.size(), offset + 8));
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < 8; ++i) number = number << 8 | static_cast<std::uint8_t>(bytes[offset + i]);
    return number;
}

std::string KeyReader::text() {
    const std::size_t end = rest_.find('\0');
    if (end == std::string_view::npos) throw DamagedRecord("a key ends within a text");
    std::string text(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return text;
}

std::uint64_t KeyReader::number() {
    const std::uint64_t number = number_at(rest_, 0);
    rest_.remove_prefix(8);
    return number;
}

RecordWriter& RecordWriter::text(std::string_view value) {
    EE_CHECK(value.size() <= UINT32_MAX);
    for (int shift = 24; shift >= 0; shift -= 8) record_.push_back(static_cast<char>(value.size() >> shift));
    record_.append(value);
    return *this;
}

std::string RecordReader::text() {
    const std::string_view prefix = take(4);
    std::size_t size = 0;
    for (const char byte : prefix) size = size << 8 | static_cast<std::uint8_t>(byte);
    return std::string(take(size));
}

void RecordReader::finish() const {
    if (!rest_.empty()) throw DamagedRecord(fmt::format("{} bytes too many in a record", rest_.size()));
}

std::string_view RecordReader::take(std::size_t size) {
    if (rest_.size() < size)
        throw DamagedRecord(fmt::format("{} bytes in a record where {} are needed", rest_.size(), size));
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
}

}  // namespace ee::ledger
