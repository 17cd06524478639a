#include "cli/apps_commands.h"

#include <atomic>
#include <fstream>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "cli/eectl_run.h"
#include "cli/http_call.h"
#include "cli/scripted_server.h"
#include "crypto/issuing.h"
#include "net/tls.h"

namespace ee::cli {
namespace {

using namespace std::chrono_literals;

const std::string app_a =
    R"({"app_name":"a-app","status":"active","allowed":true,"reason":null,"sealed":true,"repo":"org/repo",)"
    R"("release_tag":"v0.1.3","network":"forge-1","agents":2,"last_attest":"2026-01-15T10:30:00Z"})";
const std::string app_b =
    R"({"app_name":"b-app","status":"offline","reason":"offline","sealed":false,"repo":"org/other",)"
    R"("release_tag":"v1","network":"sandbox-1","agents":[{"id":1},{"id":2},{"id":3}]})";

TEST(AppsList, PrintsOneLineAnAppOverAllPages) {
    const std::string pages[] = {R"({"items":[)" + app_a + R"(],"next_cursor":"c/1"})",
                                 R"({"items":[)" + app_b + R"(],"next_cursor":null})"};
    ScriptedServer server({ok(pages[0]), ok(pages[1])});
    const EectlRun run = eectl({"apps", "list", "--url", server.url(), "--network", "forge-1"},
                               {{"EE_ADMIN_TOKEN", "new-token, old-token"}});
    ASSERT_EQ(run.code, exit_good) << run.err;
    EXPECT_NE(run.out.find("APP    STATUS   REASON"), std::string::npos) << run.out;
    EXPECT_NE(run.out.find("a-app  active   -"), std::string::npos) << run.out;
    EXPECT_NE(run.out.find("b-app  offline  offline"), std::string::npos) << run.out;
    EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 3);
    ASSERT_EQ(server.requests().size(), 2u);
    EXPECT_TRUE(server.requests()[0].starts_with("GET /v1/apps?limit=500&network=forge-1 HTTP/1.1\r\n"));
    EXPECT_TRUE(
        server.requests()[1].starts_with("GET /v1/apps?limit=500&network=forge-1&cursor=c%2F1 HTTP/1.1\r\n"));
    EXPECT_NE(server.requests()[0].find("\r\nAuthorization: Bearer new-token\r\n"), std::string::npos);
}

TEST(AppsList, JsonIsOneListWhateverThePaging) {
    ScriptedServer server({ok(R"({"items":[{"app_name":"x"}],"next_cursor":"1"})"),
                           ok(R"({"items":[{"app_name":"y"}],"next_cursor":null})")});
    const EectlRun run = eectl({"apps", "list", "--json"}, {{"EECTL_URL", server.url()}});
    EXPECT_EQ(run.out, R"({"items":[{"app_name":"x"},{"app_name":"y"}],"next_cursor":null})"
                       "\n");
}

TEST(AppsList, NoAppsIsSaidInWords) {
    ScriptedServer server({ok(R"({"items":[],"next_cursor":null})")});
    const EectlRun run = eectl({"apps", "list"}, {{"EE_PUBLIC_URL", server.url() + "/"}});
    EXPECT_EQ(run.code, exit_good) << run.err;
    EXPECT_TRUE(run.out.starts_with("No apps")) << run.out;
    EXPECT_TRUE(server.requests()[0].starts_with("GET /v1/apps?")) << server.requests()[0];
}

TEST(AppsList, ThatTheFiltersHideAllIsNotThatThereAreNone) {
    for (const char* filter : {"--network", "--status", "--repo"}) {
        ScriptedServer server({ok(R"({"items":[],"next_cursor":null})")});
        const EectlRun run = eectl({"apps", "list", filter, "nope", "--url", server.url()});
        EXPECT_EQ(run.out, "No apps of that network, status or repository.\n");
    }
}

TEST(AppsList, ControlCharactersInNamesDoNotReachTheTerminal) {
    ScriptedServer server({ok(R"({"items":[{"app_name":"a\u001b[2Jb"}],"next_cursor":null})")});
    const EectlRun run = eectl({"apps", "list", "--url", server.url()});
    EXPECT_EQ(run.out.find('\x1b'), std::string::npos);
    EXPECT_NE(run.out.find("a?[2Jb"), std::string::npos);
}

TEST(AppsShow, PrintsEveryFieldIndented) {
    const std::string detail =
        R"({"app_name":"a-app","registration":{"state":"active"},"events":[],)"
        R"("effective_price_usd_per_vcpu_hour":null,)"
        R"("agents":[{"agent_id":"u1","open_streams":3,"advisories":["INTEL-SA-1"]}]})";
    ScriptedServer server({ok(detail), ok(detail)});
    const EectlRun run = eectl({"apps", "show", "a-app", "--url", server.url()});
    ASSERT_EQ(run.code, exit_good) << run.err;
    EXPECT_EQ(run.out,
              "app_name                  a-app\n"
              "registration\n"
              "  state                     active\n"
              "events                    (none)\n"
              "effective_price_usd_per_vcpu_hour -\n"
              "agents\n"
              "  -\n"
              "    agent_id                  u1\n"
              "    open_streams              3\n"
              "    advisories\n"
              "      - INTEL-SA-1\n");
    const EectlRun json = eectl({"apps", "show", "a-app", "--url", server.url(), "--json"});
    EXPECT_EQ(json.out, detail + "\n");
}

TEST(AppsShow, TheNameIsOneSegmentOfThePath) {
    ScriptedServer server({ok("{}")});
    EXPECT_EQ(eectl({"apps", "show", "../x?y", "--url", server.url()}).code, exit_good);
    EXPECT_TRUE(server.requests()[0].starts_with("GET /v1/apps/..%2Fx%3Fy HTTP/1.1\r\n"))
        << server.requests()[0];
}

TEST(AppsShow, RefusalsOfTheServerAreShownWithWhatToDo) {
    struct Row {
        const char* response;
        const char* says;
    };
    const Row rows[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Type: application/problem+json\r\n\r\n"
         R"({"status":404,"reason":"unknown_app","detail":"no app is named x"})",
         "unknown_app: no app is named x"},
        {"HTTP/1.1 401 Unauthorized\r\n\r\n", "EE_ADMIN_TOKEN"},
        {"HTTP/1.1 403 Forbidden\r\n\r\n"
         R"({"reason":"role_not_configured","detail":"no admin token is set"})",
         "role_not_configured: no admin token is set"},
        {"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n", "HTTP status 302"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "is this a control plane"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", "cut off"},
        {"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"},
    };
    for (const Row& row : rows) {
        ScriptedServer server({row.response});
        const EectlRun run = eectl({"apps", "show", "x", "--url", server.url()});
        EXPECT_EQ(run.code, exit_refused);
        EXPECT_TRUE(run.out.empty());
        EXPECT_NE(run.err.find(row.says), std::string::npos) << row.says << "\n" << run.err;
    }
}

TEST(AppsShow, AServerThatIsNotThereIsNamed) {
    std::string url;
    {
        ScriptedServer gone({});
        url = gone.url();
    }
    const EectlRun run = eectl({"apps", "show", "x", "--url", url});
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_NE(run.err.find(url), std::string::npos) << run.err;
    EXPECT_NE(run.err.find("EECTL_URL"), std::string::npos);
}

TEST(AppsShow, UrlsAndTokenFilesThatCannotBeUsedAreBadUsage) {
    for (const char* url : {"ftp://x", "127.0.0.1:8088", "unix:/run/x", "http://"}) {
        EXPECT_EQ(eectl({"apps", "show", "x", "--url", url}).code, exit_usage) << url;
    }
    EXPECT_EQ(eectl({"apps", "list"}, {{"EE_ADMIN_TOKEN_FILE", "/absent"}}).code, exit_usage);
    const TemporaryFolder folder;
    std::ofstream(folder.file("token")) << "from-file\n";
    ScriptedServer server({ok("{}")});
    EXPECT_EQ(
        eectl({"apps", "show", "x", "--url", server.url()}, {{"EE_ADMIN_TOKEN_FILE", folder.file("token")}})
            .code,
        exit_good);
    EXPECT_NE(server.requests()[0].find("Bearer from-file\r\n"), std::string::npos);
}

// A server of TLS whose certificate is for `name`, and is its own root.
class AppsOverTls : public testing::Test {
protected:
    std::shared_ptr<const net::TlsContext> tls_of(const std::string& name) const {
        const auto key = crypto::SigningKey::generate(crypto::KeyKind::p256);
        EXPECT_TRUE(crypto::save_signing_key(folder.file("key.pem"), key));
        const crypto::CertificateContent content{
            .serial = {1},
            .subject = {{"CN", "test"}},
            .not_before = wall_now() - 1h,
            .not_after = wall_now() + 1h,
            .is_ca = true,
            .path_length_max = {},
            .key_usage = crypto::digital_signature | crypto::key_cert_sign,
            .subject_alternatives = {name},
            .extensions = {}};
        std::ofstream(certificate) << crypto::certificate_to_pem(
            crypto::issue_certificate(content, key.spki(), {key, content.subject}));
        return net::TlsContext::server(certificate, folder.file("key.pem")).value();
    }

    TemporaryFolder folder;
    std::string certificate = folder.file("certificate.pem");
};

TEST_F(AppsOverTls, TheServersNameMustBeCertified) {
    struct Row {
        const char* name;
        int code;
    };
    for (const Row& row : {Row{"IP:127.0.0.1", exit_good}, Row{"DNS:elsewhere.example", exit_refused}}) {
        ScriptedServer server({ok("{\"app_name\":\"x\"}")}, tls_of(row.name));
        const EectlRun run = eectl({"apps", "show", "x", "--url", server.url("https")},
                                   {{"EE_TLS_CA", certificate}, {"EE_ADMIN_TOKEN", "secret"}});
        EXPECT_EQ(run.code, row.code) << row.name << "\n" << run.err;
        // A token is never sent to a server that has not shown who it is.
        EXPECT_EQ(server.requests().empty(), row.code != exit_good);
        EXPECT_EQ(run.err.find("EE_TLS_CA"), std::string::npos) << "its root is known: " << run.err;
    }
}

TEST_F(AppsOverTls, WhatIsOnlyASettingIsSaid) {
    const std::string plain = "HTTP/1.1 400 Bad Request\r\n\r\n";
    struct Row {
        std::shared_ptr<const net::TlsContext> tls;
        const char* scheme;
        const char* code;
        const char* advice;
    };
    for (const Row& row :
         {Row{tls_of("IP:127.0.0.1"), "https", "unreachable:certificate: ", "; EE_TLS_CA names"},
          Row{tls_of("IP:127.0.0.1"), "http", "unreachable:closed: ", "; is it https:// there?"},
          Row{nullptr, "https", "unreachable:scheme: ", "; is it http:// there?"}}) {
        ScriptedServer apps({plain}, row.tls), request({plain}, row.tls);
        const std::string url = apps.url(row.scheme);
        for (const EectlRun& run : {eectl({"apps", "show", "x", "--url", url}),
                                    eectl({"request", "x", "--url", request.url(row.scheme)})}) {
            EXPECT_EQ(run.code, exit_refused);
            EXPECT_TRUE(run.err.starts_with(std::string("eectl: ") + row.code)) << run.err;
            EXPECT_NE(run.err.find(row.advice), std::string::npos) << run.err;
        }
    }
}

// Its socket has a timeout: signal(7).
TEST(AppsShow, NoSignalInterruptsTheTlsHandshake) {
    const HarmlessSignal signal;
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
    ASSERT_EQ(::listen(listener, 1), 0);
    ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
    std::atomic<bool> has_returned = false;
    std::thread silent([&, waiting = ::gettid(), thread = ::pthread_self()] {
        const int peer = ::accept(listener, nullptr, nullptr);
        wait_until_asleep(waiting);
        HarmlessSignal::interrupt(thread);
        wait_until_asleep(waiting);
        EXPECT_FALSE(has_returned) << "it waits for the handshake";
        ::close(peer);
    });
    const EectlRun run = eectl(
        {"apps", "show", "x", "--url", "https://127.0.0.1:" + std::to_string(ntohs(address.sin_port))}, {});
    has_returned = true;
    silent.join();
    EXPECT_EQ(run.code, exit_refused) << run.out;
    ::close(listener);
}

TEST(HttpResponse, ChunkedBodiesAreJoined) {
    const auto answer = parse_http_response(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n");
    ASSERT_TRUE(answer) << answer.error().detail;
    EXPECT_EQ(answer->body, "hello world");
    for (const char* body :
         {"5\r\nhell", "z\r\nhello\r\n0\r\n\r\n", "5\r\nhelloXX0\r\n\r\n", "", "ffffffffffffffff\r\n"}) {
        EXPECT_FALSE(
            parse_http_response(std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") + body))
            << body;
    }
}

}  // namespace
}  // namespace ee::cli
