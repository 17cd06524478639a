#include "ledger/encoding.h"

#include <fmt/format.h>

namespace ee::ledger {

void throw_too_short(std::size_t bytes, std::size_t needed) {
    throw DamagedRecord(fmt::format("{} bytes in a record where {} are needed", bytes, needed));
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

std::string RecordReader::text() {
    const auto text = take_counted(rest_);
    if (!text) throw DamagedRecord("a record ends within a text");
    return std::string(*text);
}

void RecordReader::finish() const {
    if (!rest_.empty()) throw DamagedRecord(fmt::format("{} bytes too many in a record", rest_.size()));
}

}  // namespace ee::ledger
