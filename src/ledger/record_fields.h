#pragma once
// Fields that several records have; only records' .cpp files include this.

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "ledger/encoding.h"
#include "ledger/money.h"
#include "ledger/period.h"

namespace ee::ledger::fields {

inline void append(RecordWriter& out, const std::vector<std::string>& texts) {
    out.number(texts.size());
    for (const std::string& text : texts) out.text(text);
}

inline std::vector<std::string> read_texts(RecordReader& in) {
    std::vector<std::string> texts;
    for (std::uint64_t left = in.number(); left > 0; --left) texts.push_back(in.text());
    return texts;
}

inline void append(RecordWriter& out, const Period& period) {
    out.integer(period.start.time_since_epoch().count()).integer(period.end.time_since_epoch().count());
}

inline Seconds read_seconds(RecordReader& in) {
    return Seconds{std::chrono::seconds{in.integer()}};
}

inline Period read_period(RecordReader& in) {
    const Seconds start = read_seconds(in);
    return {start, read_seconds(in)};
}

inline LedgerTime read_time(RecordReader& in) {
    return from_us(in.integer());
}

inline Money read_money(RecordReader& in) {
    return Money(in.integer());
}

inline void append(RecordWriter& out, const std::optional<LedgerTime>& time) {
    out.flag(time.has_value());
    if (time) out.integer(to_us(*time));
}

inline std::optional<LedgerTime> read_optional_time(RecordReader& in) {
    if (!in.flag()) return std::nullopt;
    return read_time(in);
}

template <class Word>
Word read_word(RecordReader& in) {
    const auto word = static_cast<Word>(in.byte());
    if (to_word(word).empty()) throw DamagedRecord("a state that there is not");
    return word;
}

inline std::int64_t start_of(Seconds cell_start) {
    return cell_start.time_since_epoch().count();
}

}  // namespace ee::ledger::fields
