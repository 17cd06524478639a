#include "ledger/encoding.h"

#include <gtest/gtest.h>

#include "ledger/node_records.h"
#include "ledger/records.h"

namespace ee::ledger {
namespace {

TEST(Encoding, ReadsWhatWasWritten) {
    const std::string record = RecordWriter().flag(true).number(7).integer(-7).text("seven").take();
    RecordReader in(record);
    EXPECT_TRUE(in.flag());
    EXPECT_EQ(in.number(), 7U);
    EXPECT_EQ(in.integer(), -7);
    EXPECT_EQ(in.text(), "seven");
    EXPECT_FALSE(in.has_more());
    EXPECT_NO_THROW(in.finish());

    const std::string key = KeyWriter().text("n1").number(7).time(-7);
    KeyReader parts(key);
    EXPECT_EQ(parts.text(), "n1");
    EXPECT_EQ(parts.number(), 7U);
    EXPECT_EQ(parts.time(), -7);
}

// Everywhere it may end, and with a byte too many.
TEST(Encoding, ARecordOfAnotherLengthIsDamaged) {
    const auto read = [](std::string_view record) {
        RecordReader in(record);
        static_cast<void>(in.byte());
        static_cast<void>(in.number());
        static_cast<void>(in.text());
        static_cast<void>(in.array<4>());
        in.finish();
    };
    const std::string record = RecordWriter().byte(1).number(7).text("seven").array<4>({1, 2, 3, 4}).take();
    EXPECT_NO_THROW(read(record));
    for (std::size_t size = 0; size < record.size(); ++size)
        EXPECT_THROW(read(record.substr(0, size)), DamagedRecord) << size;
    EXPECT_THROW(read(record + 'x'), DamagedRecord);
}

TEST(Encoding, AKeyThatEndsEarlyIsDamaged) {
    KeyReader without_end("n1");
    EXPECT_THROW(static_cast<void>(without_end.text()), DamagedRecord);
    KeyReader short_number("1234567");
    EXPECT_THROW(static_cast<void>(short_number.number()), DamagedRecord);
    EXPECT_THROW(static_cast<void>(number_at("12345678", 1)), DamagedRecord);
    EXPECT_THROW(static_cast<void>(lock_id_of("1234567")), DamagedRecord);
    EXPECT_THROW(static_cast<void>(expect_record(std::optional<int>(), "what is not there")), DamagedRecord);
}

TEST(Encoding, ATimeThatThereIsNotYetTakesNoPlace) {
    Outage outage{.from = from_us(7), .to = std::nullopt, .cause = "down"};
    EXPECT_EQ(Outage::decode(outage.encode()).to, std::nullopt);
    outage.to = from_us(8);
    EXPECT_EQ(Outage::decode(outage.encode()).to, outage.to);
}

TEST(Encoding, AWordThatThereIsNotIsDamage) {
    std::string record = Observation{}.encode();
    EXPECT_NO_THROW(static_cast<void>(Observation::decode(record)));
    record[0] = '\x7f';  // its type
    EXPECT_THROW(static_cast<void>(Observation::decode(record)), DamagedRecord);
}

}  // namespace
}  // namespace ee::ledger
