#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/big_endian.h"
#include "base/bytes.h"
#include "base/claims.h"
#include "base/hex.h"
#include "base/inconclusive.h"
#include "base/ip_address.h"
#include "base/json_writer.h"
#include "base/time.h"
#include "base/utf8.h"

namespace ee {
namespace {

TEST(Base64, MatchesTheVectorsOfRfc4648) {
    const std::pair<const char*, const char*> rows[] = {{"", ""},
                                                        {"f", "Zg=="},
                                                        {"fo", "Zm8="},
                                                        {"foo", "Zm9v"},
                                                        {"foob", "Zm9vYg=="},
                                                        {"fooba", "Zm9vYmE="},
                                                        {"foobar", "Zm9vYmFy"}};
    for (const auto& [plain, encoded] : rows) {
        EXPECT_EQ(to_base64(as_bytes(plain)), encoded);
        std::string decoded;
        ASSERT_TRUE(append_from_base64(decoded, encoded)) << encoded;
        EXPECT_EQ(decoded, plain);
    }
}

TEST(Base64, RoundTripsEveryByteAtEveryLength) {
    Bytes bytes;
    for (int i = 0; i < 600; ++i) {
        EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
        bytes.push_back(static_cast<std::uint8_t>(i * 7));
    }
}

TEST(Base64, RefusesWhatIsNotCanonical) {
    for (const char* bad :
         {"Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v\n", "Zm-v", "=g==", "Z===", "Zg==Zg==", "    "}) {
        std::string out = "kept";
        EXPECT_FALSE(append_from_base64(out, bad)) << bad;
        EXPECT_EQ(out, "kept");
        EXPECT_FALSE(from_base64(bad)) << bad;
    }
}

TEST(Hex, RoundTripsAndRefusesOddOrForeignCharacters) {
    EXPECT_EQ(to_hex(Bytes{0x00, 0xab, 0xff}), "00abff");
    EXPECT_EQ(from_hex("00ABff"), (Bytes{0x00, 0xab, 0xff}));
    EXPECT_FALSE(from_hex("0"));
    EXPECT_FALSE(from_hex("0g"));
    EXPECT_FALSE(from_hex_exact<2>("00"));
}

TEST(BigEndian, HasTheMostSignificantByteFirst) {
    EXPECT_EQ(big_endian<8>(0x0102030405060708), (ByteArray<8>{1, 2, 3, 4, 5, 6, 7, 8}));
    EXPECT_EQ(big_endian<4>(0x0102030405060708), (ByteArray<4>{5, 6, 7, 8}));
    EXPECT_EQ(big_endian<2>(0xff00), (ByteArray<2>{0xff, 0}));
    std::string out = "kept";
    append_big_endian<4>(out, 0xfe);
    EXPECT_EQ(out, std::string("kept\0\0\0\xfe", 8));
    for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{0x80}, UINT64_MAX})
        EXPECT_EQ(from_big_endian(big_endian<8>(number)), number);
    EXPECT_EQ(from_big_endian({}), 0u);
}

TEST(BigEndian, CountsInFourBytesWhatComesAfterThem) {
    std::string out;
    append_counted(out, "");
    append_counted(out, std::string(258, 'x'));
    EXPECT_EQ(out, std::string("\0\0\0\0\0\0\1\2", 8) + std::string(258, 'x'));
}

TEST(BigEndian, TakesWhatWasCountedAndNothingBeyondTheEnd) {
    std::string written;
    append_counted(written, "");
    append_counted(written, "ab");
    std::string_view rest = written;
    EXPECT_EQ(take_counted(rest), "");
    EXPECT_EQ(take_counted(rest), "ab");
    EXPECT_EQ(take_counted(rest), std::nullopt);
    for (std::size_t size = 5; size < written.size(); ++size) {
        rest = std::string_view(written).substr(0, size);
        EXPECT_EQ(take_counted(rest), "");
        EXPECT_EQ(take_counted(rest), std::nullopt);
        EXPECT_EQ(rest.size(), size - 4) << "what can't be taken stays";
    }
}

TEST(ByteReader, NeverReadsPastTheEnd) {
    const Bytes bytes{1, 2, 3, 4, 5};
    ByteReader reader(bytes);
    EXPECT_EQ(reader.take_u16(), 0x0201);
    EXPECT_FALSE(reader.take_u32());
    EXPECT_EQ(reader.remaining(), 3u);
    EXPECT_FALSE(reader.take(4));
    EXPECT_FALSE(reader.take(static_cast<std::size_t>(-1)));
    EXPECT_TRUE(reader.take(3));
    EXPECT_EQ(reader.remaining(), 0u);
}

TEST(Time, FormatsAndParsesRfc3339) {
    const auto time = from_rfc3339("2026-01-15T10:30:00.123Z");
    ASSERT_TRUE(time);
    EXPECT_EQ(to_rfc3339(*time), "2026-01-15T10:30:00Z");
    EXPECT_EQ(to_rfc3339_millis(*time), "2026-01-15T10:30:00.123Z");
    for (const char* bad :
         {"", "2026-01-15", "2026-13-15T10:30:00Z", "2026-02-30T10:30:00Z", "2026-01-15T24:00:00Z",
          "2026-01-15T10:30:00", "2026-01-15T10:30:00+01:00", "2026-01-15T10:30:60Z", "2026-01-15T10:30:00.Z",
          "2026-01-15 10:30:00Z", "2026-01-15T10:30:00ZZ"})
        EXPECT_FALSE(from_rfc3339(bad)) << bad;
}

TEST(JsonWriter, EscapesControlCharactersAndReplacesBrokenUtf8) {
    std::string out;
    append_json_string(out, std::string_view("a\"\\\n\x01\x7f\xc3\xa9\xff\xed\xa0\x80", 12));
    EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001\x7f\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

TEST(JsonWriter, EscapesAByteWhereverItStands) {
    for (int value = 0; value < 256; ++value) {
        const std::string byte(1, static_cast<char>(value));
        std::string alone;
        append_json_string(alone, byte);
        for (std::size_t before = 0; before < 20; ++before) {
            std::string out;
            append_json_string(out, std::string(before, '~') + byte + std::string(20 - before, ' '));
            ASSERT_EQ(out, "\"" + std::string(before, '~') + alone.substr(1, alone.size() - 2) +
                               std::string(20 - before, ' ') + "\"")
                << value << " after " << before;
        }
    }
}

TEST(Claims, AreOrderedByUtf16CodeUnits) {
    // RFC 8785 section 3.2.3: U+1F600 (a surrogate pair) sorts before U+FB33.
    const Claims claims{
        {"\xef\xac\xb3", true}, {"\xf0\x9f\x98\x80", nullptr}, {"a", std::string("x\x7f")}, {"", false}};
    EXPECT_EQ(canonical_json(claims),
              "{\"\":false,\"a\":\"x\x7f\",\"\xf0\x9f\x98\x80\":null,\"\xef\xac\xb3\":true}");
}

TEST(JsonWriter, WhatIsNotThereIsNull) {
    std::string out;
    JsonWriter(out)
        .begin_object()
        .field("number", std::optional(0))
        .field("none", std::optional<int>())
        .field_or_null("text", "t")
        .field_or_null("empty", "")
        .end_object();
    EXPECT_EQ(out, R"({"number":0,"none":null,"text":"t","empty":null})");
}

TEST(JsonWriter, SeparatesMembersAndElements) {
    std::string out;
    JsonWriter json(out);
    json.begin_object().field("a", 1).field("b", "x").key("c").begin_array().value(true).null().end_array();
    json.key("d").begin_object().end_object().field("e", -5L).end_object();
    EXPECT_EQ(out, R"({"a":1,"b":"x","c":[true,null],"d":{},"e":-5})");
}

TEST(Utf8, RefusesOverlongSurrogateAndTruncatedSequences) {
    EXPECT_TRUE(is_utf8("plain ascii, long enough for words \xf0\x9f\x8c\x8d"));
    for (const char* bad : {"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                            "\xf5\x80\x80\x80", "\x80", "\xe2\x82"})
        EXPECT_FALSE(is_utf8(bad));
}

TEST(ConstantTimeEqual, ComparesContentAndLength) {
    EXPECT_TRUE(constant_time_equal(as_bytes("abc"), as_bytes("abc")));
    EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("abd")));
    EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("ab")));
}

TEST(IpAddress, KnowsLoopback) {
    for (const char* text : {"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"})
        EXPECT_TRUE(IpAddress::parse(text).value().is_loopback()) << text;
    for (const char* text : {"126.0.0.1", "128.0.0.1", "0.0.0.0", "::", "::2", "::127.0.0.1", "7f00::1"})
        EXPECT_FALSE(IpAddress::parse(text).value().is_loopback()) << text;
}

TEST(IpAddress, IsWrittenAsItIsRead) {
    for (int byte = 0; byte < 256; ++byte) {
        const std::string text = std::to_string(byte) + ".0.199." + std::to_string(255 - byte);
        ASSERT_TRUE(IpAddress::parse(text)) << text;
        EXPECT_EQ(IpAddress::parse(text)->to_string(), text);
    }
}

TEST(Cidr, IsWrittenWithItsPrefix) {
    for (const char* text : {"10.0.0.0/8", "0.0.0.0/0", "192.0.2.1/32", "::/0", "2001:db8::/32", "::1/128"}) {
        const auto network = Cidr::parse(text);
        ASSERT_TRUE(network) << text;
        EXPECT_EQ(network->to_string(), text);
        EXPECT_EQ(Cidr::parse(network->to_string()), network);
    }
    EXPECT_EQ(Cidr::parse("192.0.2.1")->to_string(), "192.0.2.1/32");
    EXPECT_NE(Cidr::parse("10.0.0.0/8"), Cidr::parse("10.0.0.0/9"));
}

TEST(Cidr, ContainsByPrefix) {
    EXPECT_TRUE(Cidr::parse("10.0.0.0/9")->contains(*IpAddress::parse("10.127.255.255")));
    EXPECT_FALSE(Cidr::parse("10.0.0.0/9")->contains(*IpAddress::parse("10.128.0.0")));
    EXPECT_TRUE(Cidr::parse("0.0.0.0/0")->contains(*IpAddress::parse("1.2.3.4")));
    EXPECT_FALSE(Cidr::parse("0.0.0.0/0")->contains(*IpAddress::parse("::1")));
    EXPECT_TRUE(Cidr::parse("::1")->contains(*IpAddress::parse("::1")));
    for (const char* bad : {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "x/8", "::/129", "10.0.0/8"})
        EXPECT_FALSE(Cidr::parse(bad)) << bad;
}

// Of two addresses that differ in one bit, a network with the one has the other when its prefix ends before.
TEST(Cidr, ContainsWhateverDiffersBehindThePrefix) {
    constexpr std::string_view text = "2001:db8:a5c3:96f0:1234:5678:9abc:def1";
    const IpAddress ip = *IpAddress::parse(text);
    for (unsigned bits = 0; bits <= 128; ++bits) {
        const Cidr network = *Cidr::parse(std::string(text) + '/' + std::to_string(bits));
        EXPECT_TRUE(network.contains(ip));
        for (unsigned bit = 0; bit < 128; ++bit) {
            ByteArray<16> other = ip.bytes();
            other[bit / 8] = static_cast<std::uint8_t>(other[bit / 8] ^ (0x80 >> bit % 8));
            ASSERT_EQ(network.contains(IpAddress(other)), bit >= bits) << bits << ' ' << bit;
        }
    }
}

TEST(Inconclusive, IsWhatNobodyCouldJudge) {
    for (const char* code : {"collateral_unavailable", "collateral_expired:root_crl",
                             "collateral_not_yet_valid:pck_crl", "allowlist_unavailable"})
        EXPECT_TRUE(is_inconclusive(code)) << code;
    for (const char* code :
         {"", "collateral", "collateral_mismatch:fmspc", "collateral_malformed:tcb_info",
          "collateral_signature_invalid:pck_crl", "collateral_unavailable_x", "collateral_too_old",
          "collateral_pending", "allowlist_missing", "allowlist_invalid:/x", "certificate_expired",
          "quote_malformed", ":collateral_expired"})
        EXPECT_FALSE(is_inconclusive(code)) << code;
}

}  // namespace
}  // namespace ee
