#include "base/printable.h"

#include <gtest/gtest.h>

namespace ee {
namespace {

using namespace std::string_literals;

TEST(Printable, NothingThatControlsATerminalPasses) {
    const std::pair<std::string, std::string> rows[] = {
        {"", ""},
        {"plain", "plain"},
        {"a\0\t\n\r\x1b[2J\x1f\x7f"s, "a?????[2J??"},
        {"C1 \u0080\u0085\u009b31m\u009f", "C1 ???31m?"},
        {"\u202a\u202b\u202c\u202d\u202e", "?????"},
        {"\u2066\u2067\u2068\u2069", "????"},
        {"\u200e\u200f\u061c", "???"},
        // What is beside them is shown.
        {" ~\u00a0\u061b\u061d\u200d\u2010\u2029\u202f\u2065\u206a",
         " ~\u00a0\u061b\u061d\u200d\u2010\u2029\u202f\u2065\u206a"},
        {"é ü 日本 שלום مرحبا 😀", "é ü 日本 שלום مرحبا 😀"},
        // As a terminal of another character set would take it.
        {"\x9b"s + "31m \xc2 \xff\xe2\x80", "?31m ? ???"},
    };
    for (const auto& [text, shown] : rows) EXPECT_EQ(printable(text), shown) << text;
}

}  // namespace
}  // namespace ee
