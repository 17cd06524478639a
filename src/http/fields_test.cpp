#include "http/fields.h"

#include <gtest/gtest.h>

namespace ee::http {
namespace {

using namespace std::string_literals;

TEST(Fields, ComparesNamesWithoutRegardToCase) {
    EXPECT_TRUE(iequals("Content-Length", "cONTENT-lENGTH"));
    EXPECT_FALSE(iequals("Host", "Hose"));
    EXPECT_FALSE(iequals("Host", "Hosts"));
    EXPECT_FALSE(iequals("a[", "A{"));  // 0x5b and 0x7b differ by the bit that letters' cases differ by.
    EXPECT_FALSE(iequals("\xc4", "\xe4"));
}

// Wherever in a name of whatever length the two bytes stand.
TEST(Fields, ComparesEveryTwoBytesLikeTheirLowerCase) {
    const auto lower = [](int byte) { return byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte; };
    for (std::size_t size : {1u, 7u, 8u, 9u, 16u, 19u}) {
        for (std::size_t at = 0; at < size; ++at) {
            std::string a(size, 'n'), b(size, 'N');
            for (int x = 0; x < 256; ++x) {
                for (int y = 0; y < 256; ++y) {
                    a[at] = static_cast<char>(x);
                    b[at] = static_cast<char>(y);
                    ASSERT_EQ(iequals(a, b), lower(x) == lower(y))
                        << size << ' ' << at << ' ' << x << ' ' << y;
                }
            }
        }
    }
}

TEST(Fields, FindsControlCharactersWhereverTheyStand) {
    for (std::size_t size = 1; size < 50; ++size) {
        for (std::size_t at = 0; at < size; ++at) {
            for (const char c : {'\0', '\t', '\r', '\x1f', '\x7f'}) {
                std::string text(size, '~');
                text[at] = c;
                ASSERT_EQ(find_control(text), at);
                ASSERT_EQ(find_control(text, at), at);
                ASSERT_EQ(find_control(text, at + 1), size);
            }
        }
    }
}

TEST(Fields, EveryByteIsJudgedAsRfc9110Says) {
    const std::string_view token_marks = "!#$%&'*+-.^_`|~";
    for (int byte = 0; byte < 256; ++byte) {
        const std::string c(1, static_cast<char>(byte));
        const bool alphanumeric =
            (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        EXPECT_EQ(is_token(c), alphanumeric || (byte != 0 && token_marks.find(c) != std::string_view::npos))
            << byte;
        EXPECT_EQ(is_valid_field_value("x" + c + "x"), (byte >= 0x20 && byte != 0x7f) || byte == '\t')
            << byte;
        EXPECT_EQ(is_control(c[0]), byte < 0x20 || byte == 0x7f) << byte;
    }
    EXPECT_FALSE(is_token(""));
    EXPECT_TRUE(is_valid_field_value(""));
    EXPECT_FALSE(is_valid_field_value(" x"));
    EXPECT_FALSE(is_valid_field_value("x\t"));
}

TEST(Fields, ATokenIsJudgedByEachOfItsCharacters) {
    for (std::size_t size = 1; size < 26; ++size) {
        for (std::size_t at = 0; at < size; ++at) {
            for (int byte = 0; byte < 256; ++byte) {
                std::string name = std::string("Letters-andTheirLikes-Only").substr(0, size);
                name[at] = static_cast<char>(byte);
                ASSERT_EQ(is_token(name), is_token(name.substr(at, 1))) << size << ' ' << at << ' ' << byte;
            }
        }
    }
}

TEST(Fields, FindsAndCounts) {
    const std::vector<Field> fields = {{"A", "1"}, {"b", "2"}, {"a", "3"}};
    EXPECT_EQ(find(fields, "a"), "1");
    EXPECT_EQ(find(fields, "B"), "2");
    EXPECT_EQ(find(fields, "c"), std::nullopt);
    EXPECT_EQ(count(fields, "A"), 2u);
    EXPECT_EQ(count(fields, "c"), 0u);
}

TEST(Fields, VisitsListElements) {
    std::vector<std::string> seen;
    for_each_token(" a,, b c\t,,d,", [&](std::string_view element) { seen.emplace_back(element); });
    EXPECT_EQ(seen, (std::vector<std::string>{"a", "b c", "d"}));
    const std::vector<Field> fields = {{"Connection", "x"}, {"connection", "y, Upgrade"}};
    EXPECT_TRUE(has_token(fields, "CONNECTION", "upgrade"));
    EXPECT_FALSE(has_token(fields, "connection", "up"));
}

TEST(Fields, KnowsHopByHopFields) {
    for (const char* name : {"Connection", "keep-alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-A",
                             "proxy-anything", "TE", "Transfer-Encoding", "Upgrade"}) {
        EXPECT_TRUE(is_hop_by_hop(name)) << name;
    }
    for (const char* name :
         {"Host", "Content-Length", "Trailer", "Proxy", "proxy-", "Te-x", "Via", "Keep-Alivf"}) {
        EXPECT_FALSE(is_hop_by_hop(name)) << name;
    }
}

TEST(Fields, PassesOnlyEndToEndFieldsOn) {
    const std::vector<Field> fields = {{"Host", "h"},
                                       {"Connection", "close, X-Hop"},
                                       {"x-hop", "1"},
                                       {"X-End", "2"},
                                       {"Keep-Alive", "5"},
                                       {"connection", "X-Other ,host"},
                                       {"X-OTHER", "3"},
                                       {"TE", "gzip, Trailers"},
                                       {"Upgrade", "h2c"},
                                       {"Proxy-Connection", "x"},
                                       {"Content-Length", "3"},
                                       {"Connection", "content-length"},
                                       {"Transfer-Encoding", "chunked"},
                                       {"X-End", "4"}};
    std::vector<Field> out = {{"left", "over"}};
    ASSERT_TRUE(copy_end_to_end(fields, out));
    const std::vector<Field> expected = {
        {"Host", "h"}, {"X-End", "2"}, {"Content-Length", "3"}, {"X-End", "4"}, {"TE", "trailers"}};
    EXPECT_EQ(out, expected);
}

TEST(Fields, RefusesMoreConnectionOptionsThanAnybodyNeeds) {
    std::string options = "a0";
    for (int i = 1; i < 64; ++i) options += ",a" + std::to_string(i);
    std::vector<Field> out;
    EXPECT_TRUE(copy_end_to_end(std::vector<Field>{{"Connection", options}}, out));
    const std::string one_more = options + ",b";
    EXPECT_FALSE(copy_end_to_end(std::vector<Field>{{"Connection", one_more}}, out));
}

TEST(Fields, BeginsAreComparedWithoutCase) {
    EXPECT_TRUE(istarts_with("EE-Agent", "ee-") && istarts_with("ee-", "ee-") && istarts_with("x", ""));
    EXPECT_FALSE(istarts_with("ee", "ee-") || istarts_with("X-EE-App", "ee-"));
}

TEST(Fields, ContentLengthIsAWholeNumberOrNone) {
    const auto length = [](std::string_view value) {
        return content_length(std::vector<Field>{{"A", "1"}, {"content-LENGTH", value}});
    };
    EXPECT_EQ(length("0"), 0u);
    EXPECT_EQ(length("18446744073709551615"), 18446744073709551615u);
    for (const char* bad : {"", "-1", "+1", "1 ", "0x1", "1,1", "18446744073709551616"})
        EXPECT_FALSE(length(bad)) << bad;
    EXPECT_FALSE(content_length({}));
}

}  // namespace
}  // namespace ee::http
