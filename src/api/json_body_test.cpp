#include "api/json_body.h"

#include <span>

#include <gtest/gtest.h>

namespace ee::api {
namespace {

// What an endpoint with every kind of field would say to it: "ok", or the refusal's code.
std::string refusal_of(std::string_view json) {
    JsonBody body(json);
    static_cast<void>(body.optional_text("text"));
    static_cast<void>(body.optional_name("name"));
    static_cast<void>(body.flag_or("flag", false));
    static_cast<void>(body.optional_integer("integer"));
    static_cast<void>(body.texts("texts"));
    static_cast<void>(body.optional_amount("amount_usd", "amount"));
    static_cast<void>(body.optional_amount_or_zero("stake"));
    static_cast<void>(body.optional_hours("hours"));
    static_cast<void>(body.optional_period());
    const auto refusal = body.refusal();
    EXPECT_TRUE(!refusal || !refusal->detail.empty()) << json;
    return refusal ? refusal->code : "ok";
}

struct Row {
    std::string json;
    const char* expected;
};

void expect(std::span<const Row> rows) {
    for (const Row& row : rows) EXPECT_EQ(refusal_of(row.json), row.expected) << row.json.substr(0, 200);
}

std::string nested(std::size_t levels) {
    return R"({"x":)" + std::string(levels - 1, '[') + std::string(levels - 1, ']') + "}";
}

std::string integers_of(std::string_view json) {
    JsonBody body(json);
    std::string out;
    for (const auto& [name, number] : body.integers("weights"))
        out += name + "=" + std::to_string(number) + " ";
    const auto refusal = body.refusal();
    return refusal ? refusal->code : out;
}

TEST(JsonBody, AnObjectOfIntegersIsReadByName) {
    const Row rows[] = {
        {R"({"weights":{}})", ""},
        {R"({"weights": { "v0.1.3" : 90 , "v\u0031\n" : 10 } })", "v0.1.3=90 v1\n=10 "},
        {R"({"weights":{"a":18446744073709551615,"b":0}})", "a=18446744073709551615 b=0 "},
        {R"({"weights":{"a":18446744073709551616}})", "invalid_field:weights"},
        {R"({"weights":{"a":-1}})", "invalid_field:weights"},
        {R"({"weights":{"a":1.0}})", "invalid_field:weights"},
        {R"({"weights":{"a":1e1}})", "invalid_field:weights"},
        {R"({"weights":{"a":"1"}})", "invalid_field:weights"},
        {R"({"weights":{"a":null}})", "invalid_field:weights"},
        {R"({"weights":{"a":{"b":1}}})", "invalid_field:weights"},
        {R"({"weights":{"a":1,"a":1}})", "invalid_field:weights"},
        {R"({"weights":{"a":1,"\u0061":2}})", "invalid_field:weights"},
        {R"({"weights":[]})", "invalid_field:weights"},
        {R"({"weights":1})", "invalid_field:weights"},
        {R"({"weights":"{}"})", "invalid_field:weights"},
        {R"({"weights":null})", "missing_fields"},
        {R"({})", "missing_fields"},
        {R"({"weights":{},"more":1})", "unknown_field:more"},
        {R"({"weights":{},"weights":{}})", "invalid_field:weights"},
    };
    for (const Row& row : rows) EXPECT_EQ(integers_of(row.json), row.expected) << row.json;
    std::string many = R"({"weights":{"a":1)";
    for (int i = 0; i < 64; ++i) many += ",\"" + std::to_string(i) + "\":1";
    EXPECT_EQ(integers_of(many + "}}"), "invalid_field:weights");
}

TEST(JsonBody, AListMayBeNullButMustBeThere) {
    const auto texts_of = [](std::string_view json) -> std::string {
        JsonBody body(json);
        const auto texts = body.texts_or_null("nodes");
        if (const auto refusal = body.refusal()) return refusal->code;
        return texts ? std::to_string(texts->size()) : "null";
    };
    EXPECT_EQ(texts_of(R"({"nodes":null})"), "null");
    EXPECT_EQ(texts_of(R"({"nodes":[]})"), "0");
    EXPECT_EQ(texts_of(R"({"nodes":["a","b"]})"), "2");
    EXPECT_EQ(texts_of(R"({})"), "missing_fields");
    EXPECT_EQ(texts_of(R"({"nodes":{}})"), "invalid_field:nodes");
    EXPECT_EQ(texts_of(R"({"nodes":[1]})"), "invalid_field:nodes");
    EXPECT_EQ(texts_of(R"({"nodes":"a"})"), "invalid_field:nodes");
}

TEST(JsonBody, IsOneObjectOfJson) {
    std::string many = "{";
    for (int i = 0; i < 100'000; ++i) many += "\"" + std::to_string(i) + "\":1,";
    const Row rows[] = {
        {"", "ok"},
        {"{}", "ok"},
        {" \t\r\n{ }\n", "ok"},
        {" ", "invalid_json"},
        {"null", "invalid_json"},
        {"1", "invalid_json"},
        {"\"x\"", "invalid_json"},
        {"[]", "invalid_json"},
        {"[{}]", "invalid_json"},
        {"{", "invalid_json"},
        {"}", "invalid_json"},
        {"{}{}", "invalid_json"},
        {"{} 1", "invalid_json"},
        {std::string("{}\0", 3), "invalid_json"},
        {"{,}", "invalid_json"},
        {R"({"text":"x",})", "invalid_json"},
        {R"({"text" "x"})", "invalid_json"},
        {R"({text:"x"})", "invalid_json"},
        {R"({'text':'x'})", "invalid_json"},
        {R"({"text":x})", "invalid_json"},
        {R"({"text":"\x"})", "invalid_json"},
        {R"({"text":"\ud800"})", "invalid_json"},
        {R"({"text":"\udc00\ud800"})", "invalid_json"},
        {"{\"text\":\"\xff\"}", "invalid_json"},
        {"{\"text\":\"\xed\xa0\x80\"}", "invalid_json"},
        {"{\"text\":\"\n\"}", "invalid_json"},
        {"{\"text\":\"x", "invalid_json"},
        {"// x\n{}", "invalid_json"},
        {R"({"amount":NaN})", "invalid_json"},
        {R"({"amount":Infinity})", "invalid_json"},
        {R"({"amount":01})", "invalid_json"},
        {R"({"amount":+1})", "invalid_json"},
        {R"({"amount":.5})", "invalid_json"},
        {R"({"amount":1.})", "invalid_json"},
        {R"({"amount":1 2})", "invalid_json"},
        {R"({"amount":1true})", "invalid_json"},
        {R"({"amount":null1})", "invalid_json"},
        {R"({"amount":1"x":2})", "invalid_json"},
        {R"({"amount":--1})", "invalid_json"},
        {R"({"amount":1-2})", "invalid_json"},
        {R"({"amount":1e})", "invalid_json"},
        {R"({"amount":1e+})", "invalid_json"},
        {R"({"amount":-})", "invalid_json"},
        {R"({"amount":00})", "invalid_json"},
        {R"({"text":"1e\"1","amount":1})", "ok"},
        {R"({"text":"\\","amount":1})", "ok"},
        {R"({"text":"\\"1})", "invalid_json"},
        {R"({1:"x"})", "invalid_json"},
        {nested(32), "unknown_field:x"},
        {nested(33), "invalid_json"},
        {nested(500'000), "invalid_json"},
        {many + "\"x\":1}", "invalid_json"},
    };
    expect(rows);
}

TEST(JsonBody, KnowsEveryFieldAndEachOnce) {
    const Row rows[] = {
        {R"({"x":1})", "unknown_field:x"},
        {R"({"x":null})", "unknown_field:x"},
        {R"({"":1})", "unknown_field:"},
        {R"({"Text":"x"})", "unknown_field:Text"},
        {R"({"text ":"x"})", "unknown_field:text "},
        {R"({")" + std::string(1000, 'x') + R"(":1})",
         "unknown_field:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
        {R"({"text":"x","text":"x"})", "invalid_field:text"},
        {R"({"text":"x","\u0074ext":"x"})", "invalid_field:text"},
        {R"({"text":null,"text":"x"})", "invalid_field:text"},
        {R"({"x":1,"x":1})", "invalid_field:x"},
        {R"({"\u0074ext":"x"})", "ok"},
        // What is wrong first is told.
        {R"({"x":1,"text":1})", "invalid_field:text"},
        {R"({"flag":1,"text":1})", "invalid_field:text"},
    };
    expect(rows);
}

TEST(JsonBody, FieldsHaveTheirTypes) {
    const Row rows[] = {
        {R"({"text":"","flag":true,"integer":0,"texts":[]})", "ok"},
        {R"({"text":null,"flag":null,"integer":null,"texts":null,"amount":null,"hours":null,"period":null})",
         "ok"},
        {R"({"text":1})", "invalid_field:text"},
        {R"({"text":true})", "invalid_field:text"},
        {R"({"text":[]})", "invalid_field:text"},
        {R"({"text":["x"]})", "invalid_field:text"},
        {R"({"text":{}})", "invalid_field:text"},
        {R"({"flag":1})", "invalid_field:flag"},
        {R"({"flag":"true"})", "invalid_field:flag"},
        {R"({"flag":[]})", "invalid_field:flag"},
        {R"({"integer":18446744073709551615})", "ok"},
        {R"({"integer":7 , "flag":true})", "ok"},
        {R"({"integer":18446744073709551616})", "invalid_field:integer"},
        {R"({"integer":)" + std::string(1000, '9') + "}", "invalid_field:integer"},
        {R"({"name":"a","integer":1})", "ok"},
        {R"({"name":""})", "invalid_field:name"},
        {R"({"name":1})", "invalid_field:name"},
        {R"({"integer":"8"})", "invalid_field:integer"},
        {R"({"integer":-1})", "invalid_field:integer"},
        {R"({"integer":-0})", "invalid_field:integer"},
        {R"({"integer":1.0})", "invalid_field:integer"},
        {R"({"integer":1e3})", "invalid_field:integer"},
        {R"({"integer":true})", "invalid_field:integer"},
        {R"({"texts":["a","b",""]})", "ok"},
        {R"({"texts":"a"})", "invalid_field:texts"},
        {R"({"texts":{}})", "invalid_field:texts"},
        {R"({"texts":["a",1]})", "invalid_field:texts"},
        {R"({"texts":[null]})", "invalid_field:texts"},
        {R"({"texts":[["a"]]})", "invalid_field:texts"},
        {R"({"texts":[["a"],"b"],"text":"x"})", "invalid_field:texts"},
    };
    expect(rows);
}

TEST(JsonBody, AmountsAndHoursAreDecimals) {
    const Row rows[] = {
        {R"({"amount_usd":"12.5"})", "ok"},
        {R"({"amount_usd":12.5})", "ok"},
        {R"({"amount":0.000001})", "ok"},
        {R"({"amount":"1000000000"})", "ok"},
        {R"({"stake":0})", "ok"},
        {R"({"stake":"0.000000"})", "ok"},
        {R"({"hours":0.25})", "ok"},
        {R"({"amount":1,"amount_usd":1})", "invalid_field:amount"},
        {R"({"amount":null,"amount_usd":1})", "ok"},
        {R"({"amount":0})", "invalid_amount"},
        {R"({"amount":"0.0"})", "invalid_amount"},
        {R"({"amount":-1})", "invalid_amount"},
        {R"({"amount":-0})", "invalid_amount"},
        {R"({"stake":-0})", "invalid_amount"},
        {R"({"amount":1e2})", "invalid_amount"},
        {R"({"amount":1E2})", "invalid_amount"},
        {R"({"amount":1e-2})", "invalid_amount"},
        {R"({"amount":1e400})", "invalid_amount"},
        {R"({"amount":-1e-400})", "invalid_amount"},
        {R"({"amount":)" + std::string(1000, '9') + "}", "invalid_amount"},
        {R"({"amount":0.)" + std::string(1000, '0') + "1}", "invalid_amount"},
        {R"({"amount":"1e2"})", "invalid_amount"},
        {R"({"amount":"NaN"})", "invalid_amount"},
        {R"({"amount":"1,5"})", "invalid_amount"},
        {R"({"amount":" 1"})", "invalid_amount"},
        {R"({"amount":"1 "})", "invalid_amount"},
        {R"({"amount":""})", "invalid_amount"},
        {R"({"amount":"1\u0000"})", "invalid_amount"},
        {R"({"amount":"1000000000.000001"})", "invalid_amount"},
        {R"({"amount":0.0000001})", "invalid_amount"},
        {R"({"amount":true})", "invalid_field:amount"},
        {R"({"amount_usd":[1]})", "invalid_field:amount_usd"},
        {R"({"hours":0})", "invalid_hours"},
        {R"({"hours":"1e1"})", "invalid_hours"},
        {R"({"hours":{}})", "invalid_field:hours"},
    };
    expect(rows);
}

TEST(JsonBody, APeriodHasOneOfItsSpellings) {
    const Row rows[] = {
        {R"({"period":"2026-01-09T13"})", "ok"},
        {R"({"period_start":"2026-01-09T13:00:00Z","period_end":"2026-01-09T14:00:00Z"})", "ok"},
        {R"({"period":"2026-13"})", "invalid_period"},
        {R"({"period":""})", "invalid_period"},
        {R"({"period":1})", "invalid_field:period"},
        {R"({"period_start":"2026-01-09T13:00:00Z"})", "invalid_field:period"},
        {R"({"period_end":"2026-01-09T13:00:00Z"})", "invalid_field:period"},
        {R"({"period":"2026","period_end":"2026-01-09T13:00:00Z"})", "invalid_field:period"},
        {R"({"period_start":"2026-01-09T14:00:00Z","period_end":"2026-01-09T13:00:00Z"})", "invalid_period"},
        {R"({"period_start":"2026-01-09","period_end":"2026-01-10"})", "invalid_period"},
    };
    expect(rows);
}

TEST(JsonBody, WhatIsNeededAndAbsentIsMissed) {
    for (const char* json : {"", "{}", R"({"text":null,"hours":null,"period":null,"amount_usd":null})"}) {
        JsonBody body(json);
        EXPECT_EQ(body.text("text"), "");
        EXPECT_EQ(body.hours("hours").micro(), 0);
        EXPECT_TRUE(body.amount("amount_usd", "amount").is_zero());
        EXPECT_EQ(body.period(), ledger::Period{});
        const auto refusal = body.refusal();
        ASSERT_TRUE(refusal) << json;
        EXPECT_EQ(refusal->code, "missing_fields");
        for (const char* name : {"text", "hours", "amount_usd", "period"})
            EXPECT_NE(refusal->detail.find(name), std::string::npos) << name;
    }
}

TEST(JsonBody, GivesWhatWasSaid) {
    JsonBody body(
        R"({"text":"\u00e9\n","flag":true,"integer":7,"texts":["a","b"],"amount":0.1,"hours":"2.5",)"
        R"("period":"2026-01-09T13"})");
    EXPECT_EQ(body.text("text"), "\xc3\xa9\n");
    EXPECT_TRUE(body.flag_or("flag", false));
    EXPECT_EQ(body.optional_integer("integer"), 7u);
    EXPECT_EQ(body.texts("texts"), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(body.amount("amount_usd", "amount").micro(), 100'000);
    EXPECT_EQ(body.hours("hours").micro(), 2'500'000);
    EXPECT_EQ(to_text(body.period()), "2026-01-09T13");
    EXPECT_FALSE(body.refusal());
}

TEST(JsonBody, ARefusalOfTheEndpointsOwnIsTold) {
    JsonBody body(R"({"text":"x"})");
    EXPECT_EQ(body.text("text"), "x");
    body.refuse("invalid_field:text", "not this one");
    body.refuse("invalid_field:other", "told later");
    EXPECT_EQ(body.refusal()->code, "invalid_field:text");
}

}  // namespace
}  // namespace ee::api
