#include "cli/ledger_api.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "cli/eectl_run.h"
#include "cli/scripted_server.h"

namespace ee::cli {
namespace {

struct Row {
    std::vector<std::string> arguments;
    std::string request_line;
    std::string body;  // of a POST
};

std::string body_of(const std::string& request) {
    return request.substr(request.find("\r\n\r\n") + 4);
}

TEST(LedgerApi, ACommandLineBecomesARequest) {
    const Row rows[] = {
        {{"account", "open", "alice"}, "POST /v1/accounts HTTP/1.1", R"({"account_id":"alice"})"},
        {{"account", "token", "a/b?c"}, "POST /v1/accounts/a%2Fb%3Fc/token HTTP/1.1", "{}"},
        {{"account", "balance", "node:n1"}, "GET /v1/balances/node%3An1 HTTP/1.1", ""},
        {{"account", "balance", "alice", "--at", "2026-01-15T10:30:00Z"},
         "GET /v1/balances/alice?at=2026-01-15T10%3A30%3A00Z HTTP/1.1",
         ""},
        {{"credits", "purchase", "alice", "--amount-usd", "100.5", "--payment-ref", "a\"b"},
         "POST /v1/credits/purchase HTTP/1.1",
         R"({"account_id":"alice","amount_usd":"100.5","payment_ref":"a\"b"})"},
        {{"credits", "transfer", "--memo", "", "--from-account", "alice", "--to-account", "bob",
          "--amount-usd", "1"},
         "POST /v1/credits/transfer HTTP/1.1",
         R"({"from_account":"alice","to_account":"bob","amount_usd":"1","memo":""})"},
        {{"node", "register", "n1", "--capacity-vcpus", "8", "--rotate-token"},
         "POST /v1/nodes/register HTTP/1.1",
         R"({"node_id":"n1","capacity_vcpus":8,"rotate_token":true})"},
        {{"node", "slash", "n1", "--cause", "other", "--event-ids", "e1", "--event-ids", "e2", "--reason",
          "x"},
         "POST /v1/nodes/n1/slash HTTP/1.1",
         R"({"cause":"other","event_ids":["e1","e2"],"reason":"x"})"},
        {{"node", "dismiss", "17", "--reason", "x"},
         "POST /v1/slashings/17/dismiss HTTP/1.1",
         R"({"reason":"x"})"},
        {{"settlement", "finalize", "2026-01-09T13", "--allow-pending", "--dry-run"},
         "POST /v1/settlements/2026-01-09T13/finalize?dry_run=true HTTP/1.1",
         R"({"allow_pending":true})"},
        {{"ledger", "consistency", "--first", "1", "--second", "20"},
         "GET /v1/ledger/proof/consistency?first=1&second=20 HTTP/1.1",
         ""},
    };
    for (const Row& row : rows) {
        ScriptedServer server({ok("{}")});
        const EectlRun run = eectl(row.arguments, {{"EECTL_URL", server.url()}});
        EXPECT_EQ(run.code, exit_good) << row.request_line << run.err;
        ASSERT_EQ(server.requests().size(), 1u) << row.request_line;
        const std::string request = server.requests()[0];
        EXPECT_TRUE(request.starts_with(row.request_line + "\r\n")) << request;
        EXPECT_EQ(body_of(request), row.body);
        EXPECT_EQ(request.find("\r\nIdempotency-Key: ") != std::string::npos, request.starts_with("POST"))
            << request;
    }
}

TEST(LedgerApi, EveryCommandHasAnEndpointOfItsOwn) {
    std::set<std::string> endpoints, names;
    for (const ApiCommand& command : api_commands()) {
        EXPECT_TRUE(endpoints.insert(std::string(command.method) + std::string(command.path)).second)
            << command.path;
        EXPECT_TRUE(names.insert(std::string(command.group) + " " + std::string(command.name)).second)
            << command.name;
        const EectlRun help = eectl({std::string(command.group), std::string(command.name), "--help"});
        EXPECT_EQ(help.code, exit_good);
        for (const ApiField& field : command.fields) {
            std::string option = "--" + std::string(field.name);
            std::replace(option.begin(), option.end(), '_', '-');
            EXPECT_NE(help.out.find(option), std::string::npos) << help.out;
        }
    }
}

TEST(LedgerApi, HelpNamesTheTokensAndSaysWhatArgumentsAre) {
    for (const ApiCommand& command : api_commands()) {
        const std::string group(command.group), name(command.name);
        const std::string help = eectl({group, name, "--help"}).out;
        for (const std::string& text : {help, eectl({group, "--help"}).out})
            EXPECT_NE(text.find("EECTL_TOKEN"), std::string::npos) << text;
        EXPECT_EQ(help.find("EECTL_OWNER_TOKEN") != std::string::npos, group + name == "noderegister")
            << help;
        const std::string argument = std::string(command.argument) + " TEXT REQUIRED";
        if (command.argument.empty()) continue;
        const std::size_t at = help.find(argument);
        ASSERT_NE(at, std::string::npos) << help;
        EXPECT_NE(help.find_first_not_of(' ', at + argument.size()), help.find('\n', at)) << help;
    }
    EXPECT_EQ(eectl({"ledger", "check", "--help"}).out.find("EECTL_TOKEN"), std::string::npos);
    EXPECT_EQ(eectl({"settlement", "recompute", "--help"}).out.find("EECTL_TOKEN"), std::string::npos);
}

TEST(LedgerApi, WhatIsNeededIsAskedForBeforeAnybodyIs) {
    const std::vector<std::string> rows[] = {
        {"account", "open"},
        {"account"},
        {"credits", "purchase", "alice"},
        {"lock", "take", "--account-id", "alice"},
        {"node", "slash", "n1", "--cause", "other", "--reason", "x"},
        {"node", "dismiss", "17"},
        {"node", "register", "n1", "--capacity-vcpus", "-8"},
        {"node", "register", "n1", "--capacity-vcpus", "8,\"x\":1"},
        {"ledger", "inclusion", "--leaf-index", "x"},
        {"account", "open", "alice", "--idempotency-key", ""},
        {"account", "open", "alice", "--idempotency-key", "a b"},
        {"account", "open", "alice", "--idempotency-key", "a\r\nX: y"},
        {"account", "open", "alice", "--idempotency-key", std::string(129, 'x')},
        {"account", "open", "alice", "--url", "ftp://x"},
    };
    for (const auto& row : rows) {
        const EectlRun run = eectl(row, {{"EECTL_URL", "http://127.0.0.1:1"}});
        EXPECT_EQ(run.code, exit_usage) << row[0] << " " << row.back();
        EXPECT_FALSE(run.err.empty());
    }
}

TEST(LedgerApi, WhatIsNoNumberIsNotSent) {
    for (const std::string value :
         {"007", "00", "", "8.0", "+8", " 8", "1e3", "0x8", "-1", "18446744073709551616", "\u009b8"}) {
        ScriptedServer server({ok("{}")});
        const EectlRun run =
            eectl({"node", "register", "n1", "--capacity-vcpus", value}, {{"EECTL_URL", server.url()}});
        EXPECT_EQ(run.code, exit_usage) << value;
        const std::string why = fmt::format(
            "--capacity-vcpus: must be a whole number, not negative, below 2^64, "
            "such as 8 or 0, not \"{}\"\n",
            value == "\u009b8" ? "?8" : value);
        EXPECT_TRUE(run.err.starts_with(why)) << run.err;
        EXPECT_TRUE(server.requests().empty());
    }
    ScriptedServer server({ok("{}")});
    EXPECT_EQ(eectl({"node", "register", "n1", "--capacity-vcpus", "0"}, {{"EECTL_URL", server.url()}}).code,
              exit_good);
    EXPECT_EQ(body_of(server.requests().at(0)), R"({"node_id":"n1","capacity_vcpus":0})");
}

TEST(LedgerApi, NoCountIsNegativeOrTooLarge) {
    const std::vector<std::string> commands[] = {
        {"ledger", "entries", "--url", "http://127.0.0.1:1", "--limit"},
        {"events", "--url", "http://127.0.0.1:1", "--count"},
        {"restore", "--accept-loss", "absent.db", "--size"},
        {"simulate", "quote", "absent", "--report-data", "00", "--truncate"}};
    for (std::vector<std::string> command : commands)
        for (const char* value : {"-1", "99999999999999999999"}) {
            const std::string option = command.back();
            std::vector<std::string> words = command;
            words.emplace_back(value);
            const EectlRun run = eectl(words);
            EXPECT_EQ(run.code, exit_usage) << option;
            EXPECT_TRUE(run.err.starts_with(option + ": must be a whole number")) << run.err;
        }
}

TEST(LedgerApi, AFailureSaysHowToTryTheSameAgain) {
    const std::string refused =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n\r\n"
        R"({"status":503,"reason":"ledger_busy","detail":"commands wait"})";
    ScriptedServer server({refused, refused, ok("{}")});
    const std::vector<std::string> arguments = {"credits", "redeem", "alice",     "--amount-usd",
                                                "1",       "--url",  server.url()};
    const EectlRun first = eectl(arguments), other = eectl(arguments);
    EXPECT_EQ(first.code, exit_refused);
    EXPECT_NE(first.err.find("ledger_busy: commands wait"), std::string::npos);
    const std::string mark = "--idempotency-key ";
    ASSERT_NE(first.err.find(mark), std::string::npos);
    std::string key = first.err.substr(first.err.find(mark) + mark.size());
    key.pop_back();
    EXPECT_EQ(key.size(), 32u);
    EXPECT_NE(server.requests()[0].find("\r\nIdempotency-Key: " + key + "\r\n"), std::string::npos);
    EXPECT_EQ(other.err.find(key), std::string::npos);
    std::vector<std::string> again = arguments;
    again.insert(again.end(), {"--idempotency-key", key});
    EXPECT_EQ(eectl(again).code, exit_good);
    EXPECT_NE(server.requests()[2].find("\r\nIdempotency-Key: " + key + "\r\n"), std::string::npos);
}

// The same key would be given the same answer for ever.
TEST(LedgerApi, WhatTheLedgerHasDecidedIsNotToBeTriedAgain) {
    const auto refusal = [](const char* reason) {
        return std::string("HTTP/1.1 409 Conflict\r\nContent-Type: application/problem+json\r\n\r\n") +
               R"({"status":409,"reason":")" + reason + R"(","detail":"so it is"})";
    };
    ScriptedServer server({refusal("insufficient_credit"), refusal("idempotency_in_flight")});
    const std::vector<std::string> arguments = {"credits", "redeem", "alice",     "--amount-usd",
                                                "1",       "--url",  server.url()};
    const EectlRun decided = eectl(arguments), under_way = eectl(arguments);
    EXPECT_EQ(decided.err.find("--idempotency-key"), std::string::npos) << decided.err;
    EXPECT_NE(decided.err.find("ask again with a new one"), std::string::npos);
    EXPECT_NE(under_way.err.find("--idempotency-key"), std::string::npos) << under_way.err;
}

TEST(LedgerApi, OfADryRunThereIsNoKey) {
    const auto refusal = [](const char* status, const char* reason) {
        return std::string("HTTP/1.1 ") + status + "\r\nContent-Type: application/problem+json\r\n\r\n" +
               R"({"reason":")" + reason + R"(","detail":"decide it, or send \"allow_pending\": true"})";
    };
    const std::string pending = refusal("409 Conflict", "abuse_pending");
    ScriptedServer server({pending, pending, refusal("503 Service Unavailable", "ledger_busy")});
    const std::vector<std::string> finalize = {"settlement", "finalize", "2026-01-09T13", "--url",
                                               server.url()};
    std::vector<std::string> dry_run = finalize;
    dry_run.emplace_back("--dry-run");
    const std::string said = "eectl: abuse_pending: decide it, or say --allow-pending\n";
    const EectlRun decided = eectl(finalize), shown = eectl(dry_run), busy = eectl(dry_run);
    EXPECT_TRUE(decided.err.starts_with(said + "eectl: this answer is kept")) << decided.err;
    EXPECT_EQ(shown.err, said);
    EXPECT_EQ(busy.err.find("--idempotency-key"), std::string::npos) << busy.err;
}

TEST(LedgerApi, WhatIsRefusedAsItStandsIsNotToBeTriedAgain) {
    for (const char* status :
         {"400 Bad Request", "403 Forbidden", "404 Not Found", "422 Unprocessable Content"}) {
        ScriptedServer server({std::string("HTTP/1.1 ") + status +
                               "\r\nContent-Type: application/problem+json\r\n\r\n"
                               R"({"reason":"invalid_amount","detail":"so it is"})"});
        const EectlRun run = eectl({"account", "open", "alice", "--url", server.url()});
        EXPECT_EQ(run.code, exit_refused);
        EXPECT_EQ(run.err, "eectl: invalid_amount: so it is\n");
    }
}

TEST(LedgerApi, AnAnswerThatCannotBeWrittenIsAFailure) {
    ScriptedServer server({ok(R"({"token":"shown once"})")});
    std::ofstream full("/dev/full");
    std::ostringstream err;
    Context context{
        .out = full, .err = err, .environment = [](const char*) { return std::nullopt; }, .now = test_now};
    const std::vector<std::string> arguments{"account", "open", "alice", "--url", server.url()};
    EXPECT_EQ(run_eectl(arguments, context), exit_refused);
    EXPECT_NE(err.str().find("it is done; for its answer again"), std::string::npos) << err.str();
    EXPECT_NE(err.str().find("local_failed: the output cannot be written"), std::string::npos);
}

TEST(LedgerApi, AnybodysTokenComesBeforeTheAdmins) {
    const TemporaryFolder folder;
    std::ofstream(folder.file("token")) << "of-the-file\n";
    struct TokenRow {
        std::map<std::string, std::string> environment;
        const char* token;
    };
    const TokenRow rows[] = {
        {{{"EECTL_TOKEN", "mine"}, {"EE_ADMIN_TOKEN", "admins"}}, "mine"},
        {{{"EECTL_TOKEN_FILE", folder.file("token")}, {"EE_ADMIN_TOKEN", "admins"}}, "of-the-file"},
        {{{"EE_ADMIN_TOKEN", "admins"}}, "admins"},
    };
    for (const TokenRow& row : rows) {
        ScriptedServer server({ok("{}")});
        auto environment = row.environment;
        environment["EECTL_URL"] = server.url();
        environment["EECTL_OWNER_TOKEN"] = "owners";
        EXPECT_EQ(eectl({"node", "register", "n1"}, environment).code, exit_good);
        const std::string request = server.requests()[0];
        EXPECT_NE(request.find(std::string("\r\nAuthorization: Bearer ") + row.token + "\r\n"),
                  std::string::npos);
        EXPECT_NE(request.find("\r\nX-EE-Owner-Token: owners\r\n"), std::string::npos);
    }
}

TEST(LedgerApi, AListIsOneWhateverThePaging) {
    const std::string pages[] = {R"({"items":[{"node_id":"n1","banned":false}],"next_cursor":"a+b="})",
                                 R"({"items":[{"node_id":"n\u001b2","banned":true}],"next_cursor":null})"};
    ScriptedServer server({ok(pages[0]), ok(pages[1]), ok(pages[0]), ok(pages[1]), ok(pages[0]),
                           ok(R"({"items":[],"next_cursor":null})")});
    const EectlRun run = eectl({"node", "list", "--url", server.url()});
    ASSERT_EQ(run.code, exit_good) << run.err;
    EXPECT_TRUE(run.out.starts_with("NODE ID  CAPACITY VCPUS")) << run.out;
    EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 3);
    EXPECT_EQ(run.out.find('\x1b'), std::string::npos);
    EXPECT_TRUE(server.requests()[1].starts_with("GET /v1/nodes?limit=500&cursor=a%2Bb%3D HTTP/1.1\r\n"));
    EXPECT_EQ(eectl({"node", "list", "--json", "--url", server.url()}).out,
              R"({"items":[{"node_id":"n1","banned":false},{"node_id":"n\u001b2","banned":true}],)"
              R"("next_cursor":null})"
              "\n");
    EXPECT_EQ(eectl({"node", "list", "--json", "--limit", "1", "--url", server.url()}).out,
              R"({"items":[{"node_id":"n1","banned":false}],"next_cursor":null})"
              "\n");
    EXPECT_TRUE(server.requests()[4].starts_with("GET /v1/nodes?limit=1 HTTP/1.1\r\n"));
    EXPECT_EQ(eectl({"abuse", "list", "--status", "pending", "--url", server.url()}).out, "None.\n");
    EXPECT_TRUE(server.requests()[5].starts_with("GET /v1/abuse/reports?status=pending&limit=500 "));
}

TEST(LedgerApi, AnEmptyPageIsNotTheLast) {
    ScriptedServer server({ok(R"({"items":[],"next_cursor":"c"})"),
                           ok(R"({"items":[{"cell":"2026-01-09T13"}],"next_cursor":null})")});
    EXPECT_EQ(eectl({"settlement", "list", "2026-01-09", "--json", "--url", server.url()}).out,
              R"({"items":[{"cell":"2026-01-09T13"}],"next_cursor":null})"
              "\n");
}

TEST(LedgerApi, AListInAColumnIsItsValues) {
    ScriptedServer server(
        {ok(R"({"items":[{"cell":"2026-01-09T13","outcome":"fail","reasons":["health_miss","abuse"]},)"
            R"({"cell":"2026-01-09T14","outcome":"pass","reasons":[]}],"next_cursor":null})")});
    const EectlRun run = eectl({"settlement", "list", "2026-01-09", "--url", server.url()});
    ASSERT_EQ(run.code, exit_good) << run.err;
    EXPECT_NE(run.out.find("  fail     health_miss, abuse  "), std::string::npos) << run.out;
    EXPECT_NE(run.out.find("  pass     -  "), std::string::npos) << run.out;
}

TEST(LedgerApi, WhatStrangersWroteControlsNoTerminal) {
    const std::string memo = "x\u009b31mRED\u202eevil\u2066\u200f\u061c";
    const std::string refused =
        "HTTP/1.1 409 Conflict\r\nContent-Type: application/problem+json\r\n\r\n"
        R"({"status":409,"reason":"insufficient_credit","detail":")" +
        memo + "\"}";
    ScriptedServer server(
        {ok(R"({"items":[{"kind":"transfer","memo":")" + memo + R"("}],"next_cursor":null})"),
         ok(R"({")" + memo + R"(":")" + memo + "\"}"), refused});
    const std::string entries = eectl({"account", "entries", "bob", "--url", server.url()}).out;
    const std::string shown = eectl({"lock", "show", "1", "--url", server.url()}).out;
    const std::string told = eectl({"lock", "show", "1", "--url", server.url()}).err;
    for (const std::string& text : {entries, shown, told})
        EXPECT_NE(text.find("x?31mRED?evil???\n"), std::string::npos) << text;
    EXPECT_TRUE(shown.starts_with("x?31mRED?evil???")) << shown;
}

TEST(LedgerApi, ACheckpointCanBeCopied) {
    ScriptedServer server({ok(R"({"checkpoint":"log\n20\nAAAA=\n\n\u2014 log BBBB=\n","tree_size":20})"),
                           ok(R"({"checkpoint":"log\n\u001b[2J\u009b1m\r\n"})")});
    EXPECT_EQ(eectl({"ledger", "head", "--url", server.url()}).out,
              "tree_size                 20\ncheckpoint\nlog\n20\nAAAA=\n\n\u2014 log BBBB=\n");
    EXPECT_EQ(eectl({"ledger", "head", "--url", server.url()}).out, "checkpoint\nlog\n?[2J?1m?\n");
}

TEST(LedgerApi, AnOwnersTokenIsNamedByItsVariable) {
    const std::string refused =
        "HTTP/1.1 403 Forbidden\r\nContent-Type: application/problem+json\r\n\r\n"
        R"({"reason":"forbidden","detail":"... with the X-EE-Owner-Token of the account that pays"})";
    ScriptedServer server({refused, refused});
    std::map<std::string, std::string> environment{{"EECTL_URL", server.url()}};
    const std::vector<std::string> arguments = {"node", "register", "n1", "--stake-amount-usd", "1"};
    EXPECT_NE(eectl(arguments, environment).err.find("set EECTL_OWNER_TOKEN"), std::string::npos);
    environment["EECTL_OWNER_TOKEN"] = "wrong";
    EXPECT_NE(eectl(arguments, environment).err.find("EECTL_OWNER_TOKEN is not the token of the account"),
              std::string::npos);
}

TEST(LedgerApi, AReceiptIsNamedAndNotPouredOut) {
    const std::string answer = R"({"transfer_id":"7","receipt":{"leaf_index":6,"leaf":"AAAA"}})";
    ScriptedServer server({ok(answer), ok(answer), ok("[]")});
    const std::vector<std::string> arguments = {"credits", "purchase", "alice",     "--amount-usd",
                                                "1",       "--url",    server.url()};
    const EectlRun run = eectl(arguments);
    EXPECT_TRUE(run.out.starts_with("transfer_id               7\nreceipt                   of leaf 6;"))
        << run.out;
    EXPECT_NE(run.out.find("`eectl ledger verify FILE --control-allowlist FILE` (or --key FILE) checks it"),
              std::string::npos)
        << run.out;
    std::vector<std::string> as_json = arguments;
    as_json.emplace_back("--json");
    EXPECT_EQ(eectl(as_json).out, answer + "\n");
    EXPECT_EQ(eectl(arguments).code, exit_refused);
}

}  // namespace
}  // namespace ee::cli
