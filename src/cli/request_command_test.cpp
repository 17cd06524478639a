#include "cli/request_command.h"

#include <fstream>

#include <gtest/gtest.h>

#include "base/base64.h"
#include "cli/answer_reader.h"
#include "cli/eectl_run.h"
#include "cli/scripted_server.h"
#include "crypto/digest.h"

namespace ee::cli {
namespace {

const std::string hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

std::string digest_of(const std::string& canonical) {
    return ":" + to_base64(crypto::sha256(as_bytes(canonical))) + ":";
}

std::string with_fields(const std::string& fields, const std::string& body = "hello",
                        const char* status = "200 OK") {
    return std::string("HTTP/1.1 ") + status + "\r\n" + fields +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

TEST(Request, GoesThroughTheControlPlaneWithoutItsToken) {
    ScriptedServer server({hello});
    const EectlRun run =
        eectl({"request", "myapp", "/a%20b?c=d", "--url", server.url()}, {{"EE_ADMIN_TOKEN", "secret"}});
    EXPECT_EQ(run.code, exit_good) << run.err;
    EXPECT_EQ(run.out, "hello");
    EXPECT_EQ(run.err, "");
    EXPECT_EQ(server.requests().at(0),
              "GET /v1/proxy/myapp/a%20b?c=d HTTP/1.1\r\nHost: " + server.url().substr(7) +
                  "\r\nConnection: close\r\nUser-Agent: eectl\r\nAccept: */*\r\n\r\n");
}

TEST(Request, OrToTheAppsOwnHost) {
    ScriptedServer server({hello});
    const EectlRun run =
        eectl({"request", "myapp", "--app-host", "myapp.app.test", "--url", server.url(), "-H",
               "accept: text/plain", "-H", "X-One:1", "--require", "sealed", "--data", "a body"});
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_EQ(server.requests().at(0),
              "POST / HTTP/1.1\r\nHost: myapp.app.test\r\nConnection: close\r\naccept: text/plain\r\nX-One: "
              "1\r\nUser-Agent: eectl\r\nEE-Require: sealed\r\nContent-Length: 6\r\n\r\na body");
}

TEST(Request, ItsBodyMayBeAFilesAndItsMethodAny) {
    const TemporaryFolder folder;
    std::ofstream(folder.file("body")) << "of a file";
    ScriptedServer server({hello, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", hello});
    EXPECT_EQ(
        eectl({"request", "a", "--url", server.url(), "-X", "PUT", "--data-file", folder.file("body")}).code,
        exit_good);
    // To HEAD no body follows, whatever its length.
    EXPECT_EQ(eectl({"request", "a", "--url", server.url(), "-X", "HEAD"}).code, exit_good);
    EXPECT_EQ(eectl({"request", "a", "--url", server.url(), "-X", "POST"}).code, exit_good);
    EXPECT_TRUE(server.requests()[0].starts_with("PUT ") &&
                server.requests()[0].ends_with("\r\n\r\nof a file"));
    EXPECT_EQ(server.requests()[1].find("Content-Length"), std::string::npos);
    EXPECT_NE(server.requests()[2].find("Content-Length: 0\r\n"), std::string::npos);
}

TEST(Request, AnAnswerThatConfirmsTheRequirementIsPrinted) {
    const std::string met = digest_of("tcb=(UpToDate), max-age=300");
    ScriptedServer server({with_fields("EE-Require-Met: " + met + "\r\n")});
    // In whatever spelling it was asked.
    const EectlRun run = eectl(
        {"request", "myapp", "--url", server.url(), "-i", "--require", "tcb=( UpToDate  ),max-age=300"});
    EXPECT_EQ(run.code, exit_good) << run.err;
    EXPECT_EQ(run.out, "HTTP/1.1 200 OK\nEE-Require-Met: " + met + "\nContent-Length: 5\n\nhello");
}

TEST(Request, AnyOtherAnswerIsThrownAwayUnseen) {
    const std::string met = digest_of("sealed");
    const std::string refusal = R"({"reason":"requirement_unmet","detail":"no agent is"})";
    struct Row {
        std::string response;
        std::string said;
    };
    const Row rows[] = {
        {hello, "requirement_not_confirmed: the answer, status 200, has no EE-Require-Met, where " + met},
        {with_fields("EE-Require-Met: " + digest_of("max-age=1") + "\r\n"), "1 EE-Require-Met"},
        {with_fields("EE-Require-Met: " + met + "\r\nEE-Require-Met: " + met + "\r\n"), "2 EE-Require-Met"},
        {with_fields("EE-Require-Met: " + met + ", " + met + "\r\n"), "1 EE-Require-Met"},
        {with_fields("EE-Require-Met: " + met.substr(1) + "\r\n"), "requirement_not_confirmed"},
        {with_fields("EE-Require-Met:\r\n"), "1 EE-Require-Met, \"\""},
        {with_fields("", "hello", "404 Not Found"), "requirement_not_confirmed: the answer, status 404"},
        {"HTTP/1.1 204 No Content\r\n\r\n", "requirement_not_confirmed: the answer, status 204"},
        // Only the final head counts.
        {"HTTP/1.1 103 Early Hints\r\nEE-Require-Met: " + met + "\r\n\r\n" + hello,
         "requirement_not_confirmed"},
        // A trailer comes behind the body.
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nEE-Require-Met: " + met +
             "\r\n\r\n",
         "requirement_not_confirmed"},
        {with_fields("", refusal, "412 Precondition Failed"), "eectl: requirement_unmet: no agent is\n"},
    };
    for (const Row& row : rows) {
        ScriptedServer server({row.response});
        const EectlRun run = eectl({"request", "myapp", "--url", server.url(), "-i", "--require", "sealed"});
        EXPECT_EQ(run.code, exit_refused) << row.response;
        EXPECT_EQ(run.out, "") << row.response;
        EXPECT_NE(run.err.find(row.said), std::string::npos) << run.err << row.response;
    }
}

TEST(Request, WhereNothingIsRequiredTheAnswerIsTheApps) {
    ScriptedServer server(
        {with_fields("EE-Require-Met: :x:\r\n"), with_fields("", "not here", "404 Not Found")});
    EXPECT_EQ(eectl({"request", "a", "--url", server.url()}).code, exit_good);
    const EectlRun run = eectl({"request", "a", "--url", server.url()});
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_EQ(run.out, "not here");
    EXPECT_EQ(run.err, "eectl: 404: the answer's status is 404\n");
}

TEST(Request, AnAnswerThatBreaksOffIsNotTakenForAWholeOne) {
    for (const std::string& response :
         {std::string("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
          std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
          std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhellozz")}) {
        ScriptedServer server({response});
        const EectlRun run = eectl({"request", "a", "--url", server.url()});
        EXPECT_EQ(run.code, exit_refused) << response;
        EXPECT_EQ(run.out, "hello") << response;
        EXPECT_NE(run.err.find("bad_answer"), std::string::npos) << run.err;
    }
    ScriptedServer server(
        {"HTTP/1.1 200 OK\r\nContent-Le", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1 101 Switching Protocols\r\n\r\n"});
    for (int i = 0; i < 3; ++i) {
        const EectlRun run = eectl({"request", "a", "--url", server.url()});
        EXPECT_EQ(run.code, exit_refused);
        EXPECT_NE(run.err.find("bad_answer"), std::string::npos) << run.err;
    }
}

TEST(Request, WhatCannotBeSentIsUsage) {
    const std::vector<std::vector<std::string>> rows = {
        {"request"},
        {"request", "a", "no-slash"},
        {"request", "a", "/a b"},
        {"request", "a", "/a\r\nX: y"},
        {"request", "a", "/#part"},
        {"request", "a", "--require", "sealed, sealed"},
        {"request", "a", "--require", "Sealed"},
        {"request", "a", "--require", " "},
        {"request", "a", "-H", "EE-Require: sealed"},
        {"request", "a", "-H", "ee-require: sealed", "--require", "sealed"},
        {"request", "a", "-H", "Host: b"},
        {"request", "a", "-H", "Content-Length: 7"},
        {"request", "a", "-H", "no colon"},
        {"request", "a", "-H", "X: a\r\nY: b"},
        {"request", "a", "-X", "CONNECT"},
        {"request", "a", "-X", "GET /"},
        {"request", "a", "--data", "", "--data-file", "/dev/null"},
        {"request", "a", "--data-file", "/does/not/exist"},
        {"request", "a", "--url", "ftp://127.0.0.1"},
        {"request", "a", "--app-host", "b.app.test"},
        {"request", "a", "--app-host", "a.app.test/x"},
        {"request", "a", "--timeout", "0"},
    };
    for (const auto& arguments : rows) EXPECT_EQ(eectl(arguments).code, exit_usage) << arguments.back();
}

TEST(Request, NobodyThereIsSaid) {
    const EectlRun run = eectl({"request", "a", "--url", "http://127.0.0.1:1"});
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_NE(run.err.find("eectl: unreachable: "), std::string::npos) << run.err;
}

TEST(AnswerReader, ReadsTheSameHoweverItComes) {
    const std::string response =
        "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
        "chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\nT: u\r\n\r\n";
    for (std::size_t size = 1; size <= response.size(); ++size) {
        int heads = 0;
        std::string body;
        AnswerReader reader(
            "GET",
            [&](const http::ResponseHead& head) {
                EXPECT_EQ(head.status, 200);
                EXPECT_EQ(body, "");
                return ++heads == 1;
            },
            [&](std::string_view bytes) {
                body.append(bytes);
                return true;
            });
        bool wants_more = true;
        for (std::size_t at = 0; at < response.size(); at += size) {
            ASSERT_TRUE(wants_more);
            ASSERT_EQ(bool(reader.finish()), false);
            wants_more = reader.take(std::string_view(response).substr(at, size));
        }
        EXPECT_FALSE(wants_more);
        EXPECT_TRUE(reader.finish());
        EXPECT_EQ(heads, 1);
        EXPECT_EQ(body, "onetwo");
    }
}

}  // namespace
}  // namespace ee::cli
