#include "protocol/header_field.h"

#include <string>

#include <gtest/gtest.h>

namespace ee::protocol {
namespace {

TEST(HeaderField, NamesAreTokensAndValuesCannotEndTheLine) {
    EXPECT_TRUE(is_token("X-Request_Id~"));
    for (const char* bad : {"", "a b", "a:", "a\n", "\xc3\xa9", "(a)"}) EXPECT_FALSE(is_token(bad)) << bad;
    EXPECT_TRUE(is_field_value("a\tb \xff"));
    EXPECT_TRUE(is_field_value(""));
    EXPECT_FALSE(is_field_value("a\rb"));
    EXPECT_FALSE(is_field_value("a\nb"));
    EXPECT_FALSE(is_field_value(std::string_view("a\0b", 3)));
}

TEST(HeaderField, NamesCompareWithoutCase) {
    EXPECT_TRUE(same_field_name("Set-Cookie", "set-cookie"));
    EXPECT_FALSE(same_field_name("Cookie", "Cookie2"));
    EXPECT_FALSE(same_field_name("a@", "a`"));
}

}  // namespace
}  // namespace ee::protocol
