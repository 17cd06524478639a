#include "api/app_fields.h"

#include <gtest/gtest.h>

namespace ee::api {
namespace {

using Lines = std::vector<std::string>;

Lines left(std::vector<http::Field> given) {
    std::vector<Secret> admin, metrics;
    admin.emplace_back(std::string("admin-1"));
    metrics.emplace_back(std::string("metrics-1"));
    const AccessControl access({.admin = admin, .metrics = metrics});
    const AppFields fields(given, access);
    Lines out;
    for (const http::Field& field : fields.get())
        out.push_back(std::string(field.name) + ": " + std::string(field.value));
    return out;
}

TEST(AppFields, OurTokensAreTakenOutAndOthersStay) {
    struct Row {
        const char* authorization;
        bool is_ours;
    };
    const Row rows[] = {
        {"Bearer admin-1", true},
        {"bearer  admin-1", true},
        {"Bearer metrics-1", true},
        {"BEARER admin-1 ", true},
        {"Bearer admin-2", false},
        {"Basic YWRtaW46YWRtaW4tMQ==", false},
        {"Bearer admin-1,a=b", false},
        {"Bearer admin-1 x", false},
        {"admin-1", false},
        {"", false},
    };
    for (const Row& row : rows)
        EXPECT_EQ(left({{"authorization", row.authorization}}).empty(), row.is_ours) << row.authorization;
    EXPECT_EQ(left({{"Authorization", "Bearer x"}, {"AUTHORIZATION", "Bearer admin-1"}, {"A", "b"}}),
              (Lines{"Authorization: Bearer x", "A: b"}));
}

TEST(AppFields, TheSessionsCookiesAreTakenOutAndOthersStayAsTheyWere) {
    struct Row {
        const char* cookie;
        const char* expected;  // Empty: no field is left.
    };
    const Row rows[] = {
        {"ee_session=1", ""},
        {"__Host-ee_session=1", ""},
        {"ee_session", ""},
        {" ee_session =1;", ""},
        {"ee_session=1; ee_session=2;__Host-ee_session=3", ""},
        {"a=1; ee_session=s; b=2", "a=1; b=2"},
        {"ee_session=s;a=1", "a=1"},
        {"a=1;\tee_session=s", "a=1"},
        // Nothing of ours: not touched, whatever its form.
        {"a=1;b=2 ;; c", "a=1;b=2 ;; c"},
        {"", ""},
        {"my_ee_session=1", "my_ee_session=1"},
        {"ee_session2=1", "ee_session2=1"},
        {"EE_SESSION=1", "EE_SESSION=1"},  // RFC 6265: names have case; this one opens nothing.
        {"a=ee_session=1", "a=ee_session=1"},
    };
    for (const Row& row : rows) {
        const Lines lines = left({{"Cookie", row.cookie}});
        const std::string got = lines.empty() ? "" : lines[0].substr(sizeof("Cookie: ") - 1);
        EXPECT_EQ(got, row.expected) << row.cookie;
    }
    EXPECT_EQ(left({{"cookie", "a=1; ee_session=s"}, {"X", "y"}, {"Cookie", "ee_session=s; b=2"}}),
              (Lines{"cookie: a=1", "X: y", "Cookie: b=2"}));
}

TEST(AppFields, WhatConfirmsASessionGoesWithIt) {
    EXPECT_EQ(left({{"x-ee-csrf", "1"}, {"X-EE-Csrf-Of-Mine", "2"}}), Lines{"X-EE-Csrf-Of-Mine: 2"});
}

}  // namespace
}  // namespace ee::api
