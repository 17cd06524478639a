#include "cli/route_command.h"

#include <gtest/gtest.h>

#include "cli/eectl_run.h"
#include "cli/scripted_server.h"

namespace ee::cli {
namespace {

const std::string explained =
    R"({"app_name":"shop","candidates":[{"agent_id":"a1","node_id":"n1","eligible":true,"reason":null,)"
    R"("price_usd_per_vcpu_hour":"0.05","trust":900138,"effective_price_usd_per_vcpu_hour":"0.055547",)"
    R"("trust_parts":{"attestation":1000000,"health":900138,"behaviour":1000000,"windows_expected":1,)"
    R"("windows_passed":1,"abuse_reports":0},"open_streams":3,"stream_limit":64,"ejected":false},)"
    R"({"agent_id":"a2","node_id":null,"eligible":false,"reason":"no_price","price_usd_per_vcpu_hour":null,)"
    R"("trust":1,"effective_price_usd_per_vcpu_hour":null,"trust_parts":{"attestation":500000,)"
    R"("health":500000,"behaviour":1000000,"windows_expected":null,"windows_passed":null,)"
    R"("abuse_reports":null},"open_streams":0,"stream_limit":64,"ejected":false},)"
    R"({"agent_id":"a3","node_id":"n3","eligible":true,"reason":null,"ejected":true}],)"
    R"("random":[0.5,0.25],"chosen":"a1","refusal":null})";

TEST(RouteExplain, PrintsOneLineAnAgentAndWhoWouldGetTheRequest) {
    ScriptedServer server({ok(explained)});
    const EectlRun run = eectl({"route", "explain", "shop", "--url", server.url()});
    ASSERT_EQ(run.code, exit_good) << run.err;
    EXPECT_TRUE(server.requests()[0].starts_with("GET /v1/route/shop/explain HTTP/1.1\r\n"));
    for (const char* part : {"AGENT  NODE  STATUS    PRICE  TRUST", "a1     n1    eligible  0.05   0.900138",
                             "1/1", "0.055547", "3/64", "a2     -     no_price  -      0.000001",
                             "a3     n3    ejected", "The next request would go to a1.\n"})
        EXPECT_NE(run.out.find(part), std::string::npos) << part << "\n" << run.out;
}

TEST(RouteExplain, SaysWhyNobodyWouldGetIt) {
    ScriptedServer server({ok(R"({"candidates":[],"random":[0,0],"chosen":null,"refusal":"overloaded"})")});
    const EectlRun run = eectl({"route", "explain", "shop", "--url", server.url()});
    EXPECT_NE(run.out.find("The next request is refused: overloaded.\n"), std::string::npos) << run.out;
}

TEST(RouteExplain, JsonIsTheAnswerItself) {
    ScriptedServer server({ok(explained)});
    const EectlRun run = eectl({"route", "explain", "shop", "--json", "--url", server.url()});
    EXPECT_EQ(run.out, explained + "\n");
}

TEST(RouteExplain, WhatIsNoExplanationIsRefused) {
    ScriptedServer server({ok(R"({"items":[]})"), ok("no JSON")});
    for (int i = 0; i < 2; ++i) {
        const EectlRun run = eectl({"route", "explain", "shop", "--url", server.url()});
        EXPECT_NE(run.code, exit_good);
        EXPECT_NE(run.err.find("explains no route"), std::string::npos) << run.err;
    }
    EXPECT_EQ(eectl({"route", "explain"}).code, exit_usage);
}

}  // namespace
}  // namespace ee::cli
