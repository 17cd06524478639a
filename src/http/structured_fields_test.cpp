#include "http/structured_fields.h"

#include <gtest/gtest.h>

namespace ee::http {
namespace {

std::string round_trip(std::string_view text) {
    const auto parsed = parse_sf_dictionary(text);
    return parsed ? to_string(*parsed) : "!" + parsed.error().code;
}

TEST(StructuredFields, WritesWhatItReadsInTheOneCanonicalWay) {
    const struct {
        const char* text;
        const char* canonical;
    } rows[] = {
        {"", ""},
        {"a", "a"},
        {"a=?1", "a"},
        {"a=?0", "a=?0"},
        {"  a ,\t b=1  ", "a, b=1"},
        {"a=1,b=-2", "a=1, b=-2"},
        {"a=007", "a=7"},
        {"a=-0", "a=0"},
        {"a=999999999999999", "a=999999999999999"},
        {"a=1.50, b=-0.001, c=2.0", "a=1.5, b=-0.001, c=2.0"},
        {R"(a="x \"y\" \\")", R"(a="x \"y\" \\")"},
        {"a=UpToDate, b=*x:/y", "a=UpToDate, b=*x:/y"},
        {"a=:aGk=:", "a=:aGk=:"},
        {"a=::", "a=::"},
        {"a=@1659578233", "a=@1659578233"},
        {"a=()", "a=()"},
        {"a=( x   y ), b=(1 \"s\" ?0);q;r=2", "a=(x y), b=(1 \"s\" ?0);q;r=2"},
        {"a;x;  y=?1;z=0, b=(u;v=1)", "a;x;y;z=0, b=(u;v=1)"},
        {"*k_1-.*=1", "*k_1-.*=1"},
    };
    for (const auto& row : rows) {
        EXPECT_EQ(round_trip(row.text), row.canonical) << row.text;
        EXPECT_EQ(round_trip(row.canonical), row.canonical) << row.text;
    }
}

TEST(StructuredFields, RefusesWhatIsNoDictionary) {
    const std::string many = [] {
        std::string out = "k0";
        for (std::size_t i = 1; i <= sf_members_max; ++i) out += ",k" + std::to_string(i);
        return out;
    }();
    std::string items, parameters;
    for (std::size_t i = 0; i <= sf_members_max; ++i) {
        items += "1 ";
        parameters += ";p" + std::to_string(i);
    }
    const std::string rows[] = {
        ",",
        "a,",
        "a, ,b",
        "a b",
        "A",
        "1",
        "a=",
        "a= 1",
        "a =1",
        "\ta",
        "a,a",
        "a=1, b=2, a=3",
        "a;x;x",
        "a=1000000000000000",
        "a=-",
        "a=1.",
        "a=1.2345",
        "a=1234567890123.1",
        "a=.5",
        "a=+1",
        "a=\"x",
        "a=\"x\\y\"",
        "a=\"\x7f\"",
        "a=\"\xc3\xa9\"",
        std::string("a=\"\0\"", 5),
        "a='x'",
        "a=:aGk:",
        "a=:aGk=",
        "a=:a k=:",
        "a=?2",
        "a=?",
        "a=@1.5",
        "a=@",
        "a=(",
        "a=(x",
        "a=(x,y)",
        "a=(\"x\"\"y\")",
        "a=(x)y",
        "a=((x))",
        "a=%\"x\"",
        "a=1;",
        "a=1;B",
        "a=1; ;b",
        many,
        "a=(" + items + ")",
        "a" + parameters,
    };
    for (const std::string& row : rows) EXPECT_EQ(round_trip(row), "!invalid_structured_field") << row;
}

TEST(StructuredFields, SaysWhereTheMistakeIs) {
    const auto parsed = parse_sf_dictionary("sealed, tcb=(UpToDate");
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().detail, "at character 22: the list does not end");
}

TEST(StructuredFields, TellsTypesApart) {
    const auto parsed = parse_sf_dictionary("a=1, b=1.0, c=\"1\", d=x, e=:MQ==:, f, g=@1, h=(1)");
    ASSERT_TRUE(parsed);
    for (std::size_t i = 0; i < 7; ++i)
        EXPECT_EQ(std::get<SfItem>((*parsed)[i].value).value.index(), i) << (*parsed)[i].key;
    EXPECT_TRUE(std::holds_alternative<SfInnerList>((*parsed)[7].value));
}

}  // namespace
}  // namespace ee::http
