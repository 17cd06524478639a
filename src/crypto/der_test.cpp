#include "crypto/der.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace ee::crypto {
namespace {

Bytes hex(std::string_view text) {
    return from_hex(text).value();
}

TEST(DerReader, ReadsElementsInOrder) {
    const Bytes der = hex("3008020105040301ff7f");
    DerReader outer(der);
    auto inner = outer.take_sequence();
    ASSERT_TRUE(inner);
    EXPECT_TRUE(outer.at_end());
    EXPECT_EQ(inner->take_unsigned(), 5u);
    const auto octets = inner->take(der_tag::octet_string);
    ASSERT_TRUE(octets);
    EXPECT_EQ(to_hex(*octets), "01ff7f");
    EXPECT_TRUE(inner->at_end());
}

TEST(DerReader, RefusesLengthsThatAreNotDer) {
    Bytes long_form = hex("048180");
    long_form.resize(3 + 0x80);
    EXPECT_TRUE(DerReader(long_form).take(der_tag::octet_string));
    for (const char* bad : {"", "04", "0401", "0480", "040500", "04817f", "0482008000", "0484ffffffff00",
                            "048500000000010000", "0201", "0482"}) {
        const Bytes der = hex(bad);
        EXPECT_FALSE(DerReader(der).take(der_tag::octet_string)) << bad;
    }
    // With as much content as they say: a zero in front, one octet where none is needed, more than four.
    for (const char* header : {"04820080", "04817f", "0489010000000000000080"}) {
        Bytes der = hex(header);
        der.resize(der.size() + 0x80);
        EXPECT_FALSE(DerReader(der).take(der_tag::octet_string)) << header;
    }
    const Bytes high_tag = hex("1f0100");
    EXPECT_FALSE(DerReader(high_tag).take_any());
}

TEST(DerReader, ReadsOnlyTheShortestNonNegativeIntegers) {
    const std::pair<const char*, std::uint64_t> good[] = {{"020100", 0},
                                                          {"02017f", 127},
                                                          {"02020080", 128},
                                                          {"02087fffffffffffffff", 0x7fffffffffffffff},
                                                          {"020900ffffffffffffffff", 0xffffffffffffffff}};
    for (const auto& [text, value] : good) {
        const Bytes der = hex(text);
        EXPECT_EQ(DerReader(der).take_unsigned(), value) << text;
    }
    for (const char* bad : {"0200", "0201ff", "0202ffff", "0202007f", "0209010000000000000000", "040100"}) {
        const Bytes der = hex(bad);
        EXPECT_FALSE(DerReader(der).take_unsigned()) << bad;
    }
}

TEST(DerReader, SpellsObjectIdentifiers) {
    const std::pair<const char*, const char*> rows[] = {
        {"060a2a864886f84d010d0102", "1.2.840.113741.1.13.1.2"},
        {"06032b6570", "1.3.101.112"},
        {"060388370a", "2.999.10"}};
    for (const auto& [der, text] : rows) EXPECT_EQ(DerReader(hex(der)).take_oid(), text);
    for (const char* bad : {"0600", "0601ff", "06022a80", "06032a8001", "060c2affffffffffffffffffff7f"}) {
        EXPECT_FALSE(DerReader(hex(bad)).take_oid()) << bad;
    }
}

TEST(DerReader, StaysWhereItWasAfterAFailedTake) {
    const Bytes der = hex("0201ff");
    DerReader reader(der);
    EXPECT_FALSE(reader.take_unsigned());
    EXPECT_FALSE(reader.take_oid());
    EXPECT_TRUE(reader.take(der_tag::integer));
}

TEST(DerElement, HasTheShortestLengthAndReadsBack) {
    const std::pair<std::size_t, const char*> rows[] = {
        {0, "0400"},     {1, "0401"},       {127, "047f"},       {128, "048180"},
        {255, "0481ff"}, {256, "04820100"}, {65535, "0482ffff"}, {65536, "0483010000"},
    };
    for (const auto& [size, head] : rows) {
        const Bytes content(size, 7), element = der_element(der_tag::octet_string, content);
        EXPECT_EQ(ByteSpan(element).size(), hex(head).size() + size);
        EXPECT_TRUE(std::ranges::equal(ByteSpan(element).first(hex(head).size()), hex(head))) << head;
        DerReader reader(element);
        const auto read = reader.take(der_tag::octet_string);
        ASSERT_TRUE(read && reader.at_end());
        EXPECT_TRUE(std::ranges::equal(*read, content));
    }
}

}  // namespace
}  // namespace ee::crypto
