#include "proxy/header_rules.h"

#include <gtest/gtest.h>

#include "http/fields.h"

namespace ee::proxy {
namespace {

using http::Field;
using Lines = std::vector<std::string>;

struct Request {
    RequestContext context{.host = "myapp.example",
                           .peer = *net::IpAddress::parse("192.0.2.1"),
                           .peer_trusted = false,
                           .is_tls = false,
                           .request_id = "id-1",
                           .traceparent = "00-trace"};
    RequestFields fields;

    Lines build(std::vector<Field> given) {
        EXPECT_TRUE(fields.build(given, context));
        Lines out;
        for (const http::Field& field : fields.result())
            out.push_back(std::string(field.name) + ": " + std::string(field.value));
        return out;
    }
    // The values of one field.
    std::string value(std::vector<Field> given, std::string_view name) {
        EXPECT_TRUE(fields.build(given, context));
        std::string out;
        for (const http::Field& field : fields.result())
            if (http::iequals(field.name, name)) out.append(out.empty() ? "" : " | ").append(field.value);
        return out;
    }
};

// ---- Requests ----

TEST(RequestFields, PassesEndToEndFieldsAndAddsItsOwn) {
    Request request;
    EXPECT_EQ(request.build({{"Host", "myapp.example"},
                             {"Accept", "*/*"},
                             {"Cookie", "a=b"},
                             {"Authorization", "Bearer the-apps-own"},
                             {"EE-Require", "sealed"}}),
              (Lines{"Host: myapp.example", "Accept: */*", "Cookie: a=b",
                     "Authorization: Bearer the-apps-own", "EE-Require: sealed", "X-Forwarded-For: 192.0.2.1",
                     "X-Forwarded-Proto: http", "X-Forwarded-Host: myapp.example",
                     "Forwarded: for=192.0.2.1;proto=http;host=\"myapp.example\"", "Via: 1.1 easyenclave",
                     "X-Request-Id: id-1", "traceparent: 00-trace"}));
}

// W3C Trace Context, section 3.3: what belongs to a traceparent that was not taken is not passed on.
TEST(RequestFields, PassesTheStateOfATraceThatGoesOnAlone) {
    Request request;
    const std::vector<Field> given = {{"tracestate", "a=1"}, {"TraceState", "b=2"}};
    EXPECT_EQ(request.value(given, "tracestate"), "");
    request.context.trace_goes_on = true;
    EXPECT_EQ(request.value(given, "tracestate"), "a=1 | b=2");
}

TEST(RequestFields, DropsWhatConcernsOneHopOnly) {
    Request request;
    const Lines plain = request.build({});
    for (const Field& field :
         {Field{"Connection", "close"}, Field{"Keep-Alive", "timeout=5"},
          Field{"Proxy-Authorization", "Basic x"}, Field{"proxy-connection", "close"}, Field{"TE", "gzip"},
          Field{"Transfer-Encoding", "chunked"}, Field{"Upgrade", "websocket"}, Field{"Content-Length", "5"},
          Field{"Expect", "100-continue"}})
        EXPECT_EQ(request.build({field}), plain) << field.name;
    EXPECT_EQ(request.build({{"Connection", "X-Hop, keep-alive"}, {"X-Hop", "1"}, {"x-hop", "2"}}), plain);
    EXPECT_EQ(request.value({{"TE", "gzip, trailers"}}, "te"), "trailers");
}

TEST(RequestFields, AConnectionFieldCannotNameAwayWhatRoutesTheMessage) {
    Request request;
    EXPECT_EQ(request.value({{"Connection", "host, x-forwarded-for, via"}, {"Host", "a"}}, "host"), "a");
    EXPECT_EQ(request.value({{"Connection", "x-forwarded-for"}}, "x-forwarded-for"), "192.0.2.1");
    std::string many;
    for (int i = 0; i < 65; ++i) many += "x" + std::to_string(i) + ",";
    const Field options{"Connection", many};
    EXPECT_FALSE(request.fields.build({&options, 1}, request.context));
}

TEST(RequestFields, OurOwnFieldsCannotBeForged) {
    Request request;
    const Lines plain = request.build({});
    for (const char* name :
         {"EE-Agent", "ee-app", "EE-Attested-At", "EE-", "X-EE-App", "X-Forwarded-For", "x-forwarded-proto",
          "X-Forwarded-Host", "Forwarded", "X-Request-Id", "Traceparent"})
        EXPECT_EQ(request.build({{name, "forged"}}), plain) << name;
}

// Nor by what CGI and WSGI make of a name.
TEST(RequestFields, WhatABackendCouldTakeForOursIsDropped) {
    Request request;
    for (const bool trusted : {false, true}) {
        request.context.peer_trusted = trusted;
        const Lines plain = request.build({});
        for (const char* name :
             {"X_Forwarded_For", "x-forwarded_proto", "X_Forwarded_Host", "EE_App", "EE_Require", "ee_client",
              "X_EE_App", "X_Request-Id", "Content_Length", "CF-Connecting-IP", "CF_Connecting_IP"})
            EXPECT_EQ(request.build({{name, "forged"}}), plain) << name;
    }
    EXPECT_EQ(request.value({{"X_Forwarded", "a"}}, "x_forwarded"), "a");
    EXPECT_EQ(request.value({{"My_Field", "a"}}, "my_field"), "a");
}

TEST(RequestFields, PassesAnAddressThatIsCloudflaresWord) {
    Request request;
    request.context.peer_trusted = request.context.is_cloudflares_word = true;
    const std::vector<Field> given = {{"CF-Connecting-IP", "198.51.100.7"}, {"cf_connecting_ip", "6.6.6.6"}};
    EXPECT_EQ(request.value(given, "cf-connecting-ip"), "198.51.100.7");
    EXPECT_EQ(request.value(given, "cf_connecting_ip"), "");
}

TEST(RequestFields, ContinuesTheListsOfATrustedProxy) {
    Request request;
    request.context.peer_trusted = true;
    const std::vector<Field> given = {{"X-Forwarded-For", "198.51.100.7"},
                                      {"x-forwarded-for", "10.0.0.9"},
                                      {"X-Forwarded-Proto", "https"},
                                      {"X-Forwarded-Host", "public.example"},
                                      {"Forwarded", "for=198.51.100.7;proto=https"}};
    EXPECT_EQ(request.value(given, "x-forwarded-for"), "198.51.100.7, 10.0.0.9, 192.0.2.1");
    EXPECT_EQ(request.value(given, "x-forwarded-proto"), "https");
    EXPECT_EQ(request.value(given, "x-forwarded-host"), "public.example");
    EXPECT_EQ(request.value(given, "forwarded"),
              "for=198.51.100.7;proto=https, for=192.0.2.1;proto=http;host=\"myapp.example\"");
    // A trusted proxy may not name the others' fields either.
    EXPECT_EQ(request.value({{"X-EE-App", "other"}}, "x-ee-app"), "");
    EXPECT_EQ(request.value({{"X-Request-Id", "other"}}, "x-request-id"), "id-1");
    // Nothing is left over from one request to the next.
    EXPECT_EQ(request.value({}, "x-forwarded-for"), "192.0.2.1");
    request.context.peer_trusted = false;
    EXPECT_EQ(request.value(given, "forwarded"), "for=192.0.2.1;proto=http;host=\"myapp.example\"");
}

TEST(RequestFields, SaysWhatTheVisitorUsed) {
    Request request;
    request.context.is_tls = true;
    request.context.peer = *net::IpAddress::parse("2001:db8::7");
    EXPECT_EQ(request.value({}, "x-forwarded-for"), "2001:db8::7");
    EXPECT_EQ(request.value({}, "x-forwarded-proto"), "https");
    // RFC 7239 section 6: an IPv6 address is bracketed, and so quoted.
    EXPECT_EQ(request.value({}, "forwarded"), "for=\"[2001:db8::7]\";proto=https;host=\"myapp.example\"");
    EXPECT_EQ(request.value({{"Via", "1.0 fred"}, {"via", "2 p"}}, "via"), "1.0 fred, 2 p, 1.1 easyenclave");
    request.context.version = "1.0";
    EXPECT_EQ(request.value({}, "via"), "1.0 easyenclave");
}

TEST(RequestFields, TrailersAreNoWayAroundThat) {
    RequestFields fields;
    const auto passed = [&](std::vector<Field> given) {
        EXPECT_TRUE(fields.build_trailers(given));
        Lines out;
        for (const Field& field : fields.result())
            out.push_back(std::string(field.name) + ": " + std::string(field.value));
        return out;
    };
    for (const char* name : {"EE-Attestation",
                             "ee-client",
                             "EE-Require",
                             "EE_Require",
                             "X_Forwarded_For",
                             "CF-Connecting-IP",
                             "X-Forwarded-For",
                             "x-forwarded-proto",
                             "X-Forwarded-Host",
                             "X-EE-App",
                             "X-Request-Id",
                             "Forwarded",
                             "Via",
                             "traceparent",
                             "Host",
                             "Content-Length",
                             "Content-Type",
                             "content-encoding",
                             "Content-Range",
                             "Authorization",
                             "Cookie",
                             "Expect",
                             "If-Match",
                             "Range",
                             "Cache-Control",
                             "Max-Forwards",
                             "Transfer-Encoding",
                             "TE",
                             "Trailer",
                             "Connection",
                             "Proxy-Authorization"})
        EXPECT_EQ(passed({{name, "trailers"}, {"X-Sum", "1"}}), Lines{"X-Sum: 1"}) << name;
    EXPECT_EQ(passed({{"Content-Digest", "sha-256=:YQ==:"}, {"grpc-status", "0"}}),
              (Lines{"Content-Digest: sha-256=:YQ==:", "grpc-status: 0"}));
    std::string many;
    for (int i = 0; i < 65; ++i) many += "x" + std::to_string(i) + ",";
    const Field options{"Connection", many};
    EXPECT_FALSE(fields.build_trailers({&options, 1}));
}

// ---- Answers ----

Lines answer(std::vector<http::Field> given, const AnswerContext& context) {
    AnswerFields fields;
    EXPECT_TRUE(fields.build(given, context));
    Lines out;
    for (const Field& field : fields.result())
        out.push_back(std::string(field.name) + ": " + std::string(field.value));
    return out;
}
Lines answer(std::vector<http::Field> given, Origin origin) {
    return answer(std::move(given), {.origin = origin, .request_id = "id-1"});
}

TEST(AnswerFields, PassesEndToEndFieldsAndDropsTheRest) {
    EXPECT_EQ(answer({{"Content-Type", "text/plain"},
                      {"Set-Cookie", "a=1"},
                      {"set-cookie", "b=2"},
                      {"Strict-Transport-Security", "max-age=1"},
                      {"Content-Security-Policy", "default-src 'self'"},
                      {"Connection", "x-hop, close"},
                      {"X-Hop", "1"},
                      {"Keep-Alive", "timeout=5"},
                      {"Transfer-Encoding", "chunked"},
                      {"Content-Length", "77"},
                      {"Upgrade", "h2c"},
                      {"Proxy-Authenticate", "Basic"},
                      {"EE-Agent", "forged"},
                      {"ee-attestation", "forged"},
                      {"X-Request-Id", "the-apps-own"}},
                     Origin::app),
              (Lines{"Content-Type: text/plain", "Set-Cookie: a=1", "set-cookie: b=2",
                     "Strict-Transport-Security: max-age=1", "Content-Security-Policy: default-src 'self'",
                     "X-Request-Id: id-1"}));
}

TEST(AnswerFields, WhatIsSaidOfTheAgentIsOursAlone) {
    const registry::ShownVerdict verdict{.agent = "0123456789abcdef",
                                         .attested_at = "2026-01-15T10:30:00Z",
                                         .tcb_status = "UpToDate",
                                         .attestation = "00ff"};
    const std::vector<Field> forged = {{"EE-App", "other"},          {"ee-agent", "forged"},
                                       {"EE-Attested-At", "forged"}, {"EE-TCB-Status", "UpToDate"},
                                       {"EE-Attestation", "forged"}, {"EE-Require-Met", ":forged:"},
                                       {"EE-Anything", "forged"}};
    const Lines shown = {"X-Request-Id: id-1",         "EE-App: myapp",
                         "EE-Agent: 0123456789abcdef", "EE-Attested-At: 2026-01-15T10:30:00Z",
                         "EE-TCB-Status: UpToDate",    "EE-Attestation: 00ff"};
    AnswerContext context{.request_id = "id-1", .app = "myapp", .verdict = &verdict};
    EXPECT_EQ(answer(forged, context), shown);
    context.require_met = ":met:";
    EXPECT_EQ(answer(forged, context).back(), "EE-Require-Met: :met:");
    EXPECT_EQ(answer(forged, {.request_id = "id-1"}), Lines{"X-Request-Id: id-1"});
}

TEST(AnswerFields, AnAppCannotActOnTheControlListenersOrigin) {
    EXPECT_EQ(answer({{"Content-Type", "text/html"},
                      {"Set-Cookie", "a=1"},
                      {"Service-Worker-Allowed", "/"},
                      {"Clear-Site-Data", "\"*\""},
                      {"Alt-Svc", "h3=\":443\""},
                      {"Strict-Transport-Security", "max-age=1"},
                      {"NEL", "{\"report_to\":\"x\",\"max_age\":1,\"success_fraction\":1}"},
                      {"Report-To", "{\"group\":\"x\"}"},
                      {"content-security-policy", "default-src *"}},
                     Origin::control),
              (Lines{"Content-Type: text/html", "X-Request-Id: id-1", "Content-Security-Policy: sandbox"}));
}

TEST(AnswerFields, TrailersAreNoWayAroundThat) {
    AnswerFields fields;
    const std::vector<Field> given = {{"Set-Cookie", "a=1"}, {"EE-Agent", "forged"}, {"X-Sum", "1"}};
    ASSERT_TRUE(fields.build_trailers(given, Origin::control));
    ASSERT_EQ(fields.result().size(), 1u);
    EXPECT_EQ(fields.result()[0].name, "X-Sum");
    ASSERT_TRUE(fields.build_trailers(given, Origin::app));
    EXPECT_EQ(fields.result().size(), 2u);
}

TEST(AnswerFields, RefusesAConnectionFieldWithTooManyOptions) {
    std::string many;
    for (int i = 0; i < 65; ++i) many += "x" + std::to_string(i) + ",";
    AnswerFields fields;
    const http::Field options{"Connection", many};
    EXPECT_FALSE(fields.build({&options, 1}, {.request_id = "id-1"}));
}

}  // namespace
}  // namespace ee::proxy
