#pragma once
// Visitors, agents of either wire and the registry between them, over TCP; the agents say what a test tells
// them to.

#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "http/fields.h"
#include "http/server.h"
#include "proxy/forwarder.h"
#include "proxy/proxy_handler.h"
#include "proxy/streaming_agent.h"
#include "proxy/test_agents.h"

namespace ee::proxy {

class ForwarderTest : public testing::Test, protected AgentsSide {
protected:
    explicit ForwarderTest(const tunnel::TunnelSettings& chosen = {}) : AgentsSide(chosen) {
        settings.trust.trusted_proxies = {*net::Cidr::parse("127.0.0.1")};
        open();
    }
    void open() {
        proxy.reset();
        handler.reset();
        forwarder.emplace(loop, registry, tunnels, access_log, metrics, settings);
        handler.emplace(*forwarder, metrics);
        proxy.emplace(loop, *handler, http::ServerLimits{});
        EE_CHECK(proxy->listen("127.0.0.1", 0, nullptr));
    }
    void TearDown() override {
        proxy->close();
        control.close();
        loop.collect();
    }
    std::unique_ptr<tunnel::TestAgent> come(std::string agent_id = "a1", std::uint32_t max_requests = 64) {
        auto agent = std::make_unique<tunnel::TestAgent>(loop, net::connect_to(control.port()));
        agent->upgrade();
        EXPECT_TRUE(attest(*agent, tunnel::test_registration(std::move(agent_id), max_requests)));
        return agent;
    }
    std::unique_ptr<StreamingAgent> stream_from(std::string agent_id = "a1") {
        auto agent = std::make_unique<StreamingAgent>(loop, control.port());
        EXPECT_TRUE(attest(agent->wire, tunnel::test_registration(std::move(agent_id))));
        agent->flush();  // Its SETTINGS.
        return agent;
    }
    std::unique_ptr<net::Peer> visit() {
        return std::make_unique<net::Peer>(loop, net::connect_to(proxy->port()));
    }
    // What a visitor hears that asks once and waits for the end.
    std::string ask(std::string_view request) {
        const auto visitor = visit();
        visitor->say(request);
        EXPECT_TRUE(until([&] { return !visitor->closed.empty(); })) << visitor->received;
        return visitor->received;
    }
    static std::string get(std::string_view path, std::string_view fields = "Connection: close\r\n") {
        return "GET " + std::string(path) + " HTTP/1.1\r\nHost: myapp.example\r\n" + std::string(fields) +
               "\r\n";
    }
    static std::string value(const protocol::ProxyRequest& request, std::string_view name) {
        for (const protocol::HeaderField& field : request.headers)
            if (http::iequals(field.name, name)) return field.value;
        return "absent";
    }

    ForwardSettings settings;
    std::optional<Forwarder> forwarder;
    std::optional<ProxyHandler> handler;
    std::optional<http::Server> proxy;
};

}  // namespace ee::proxy
