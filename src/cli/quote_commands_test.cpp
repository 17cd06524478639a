#include "cli/quote_commands.h"

#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>
#include <simdjson.h>

#include "attestation/directory_source.h"
#include "attestation/quote.h"
#include "attestation/simulated_platform.h"
#include "base/base64.h"
#include "base/hex.h"
#include "cli/eectl_run.h"
#include "cli/quote_file.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

const std::string report_data_hex = std::string(126, '0') + "7f";

// A platform in a folder, and its quotes.
class QuoteCommands : public testing::Test {
protected:
    static void SetUpTestSuite() {
        folder_ = new TemporaryFolder;
        platform_ = new att::SimulatedPlatform(att::make_simulated_platform(test_now));
        ASSERT_TRUE(att::save_simulated_platform(folder_->file("sim"), *platform_, test_now));
    }
    static void TearDownTestSuite() {
        delete platform_;
        delete folder_;
    }

    static std::string in_platform(const std::string& name) { return folder_->file("sim/" + name); }

    static Bytes quote_of(att::SimulatedQuoteRequest request = {}) {
        request.report_data = *from_hex_exact<64>(report_data_hex);
        return att::make_simulated_quote(*platform_, request);
    }

    static std::string write(const std::string& name, std::string_view content) {
        std::ofstream(folder_->file(name), std::ios::binary) << content;
        return folder_->file(name);
    }

    static std::string write_quote(att::SimulatedQuoteRequest request = {}) {
        return write("quote", as_text(quote_of(std::move(request))));
    }

    static EectlRun verify(const std::string& file, std::vector<std::string> more = {}) {
        std::vector<std::string> arguments{"quote", "verify", file, "--root", in_platform("root.pem")};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return eectl(std::move(arguments));
    }

    static TemporaryFolder* folder_;
    static att::SimulatedPlatform* platform_;
};
TemporaryFolder* QuoteCommands::folder_ = nullptr;
att::SimulatedPlatform* QuoteCommands::platform_ = nullptr;

std::vector<std::string> strings_of(simdjson::dom::element root, const char* name) {
    std::vector<std::string> out;
    const simdjson::dom::array items = root[name];
    for (const simdjson::dom::element item : items) out.emplace_back(item.get_string().value());
    return out;
}

TEST_F(QuoteCommands, AQuoteIsReadRawInHexAndInBase64) {
    const Bytes quote = quote_of();
    std::string wrapped = to_base64(quote);
    for (std::size_t at = 64; at < wrapped.size(); at += 65) wrapped.insert(at, "\n");
    const std::string forms[] = {std::string(as_text(quote)), to_hex(quote), to_hex(quote) + "\n",
                                 to_base64(quote), wrapped + "\r\n"};
    for (const std::string& form : forms) {
        EXPECT_EQ(decode_quote(as_bytes(form)), quote);
        EXPECT_EQ(eectl({"quote", "show", write("form", form)}).code, exit_good);
    }
}

TEST_F(QuoteCommands, ARemarkBehindARawQuoteIsLeftOutAndSaidButOtherBytesAreNot) {
    const std::string quote(as_text(quote_of()));
    const EectlRun remark = eectl({"quote", "show", write("remark", quote + "\nfrom host 7\n")});
    EXPECT_EQ(remark.code, exit_good);
    EXPECT_NE(remark.err.find("left out 13 bytes of text"), std::string::npos) << remark.err;
    for (const std::string& tail :
         {std::string("from host 7"), std::string("\n\xde\xad"), std::string("\n\0x", 3)})
        EXPECT_EQ(eectl({"quote", "show", write("tail", quote + tail)}).code, exit_refused);
}

TEST_F(QuoteCommands, FilesThatCannotBeReadAreBadUsage) {
    for (const char* command : {"show", "verify"}) {
        const EectlRun absent = eectl({"quote", command, folder_->file("absent")});
        EXPECT_EQ(absent.code, exit_usage);
        EXPECT_NE(absent.err.find("absent"), std::string::npos);
        EXPECT_EQ(eectl({"quote", command, folder_->file("sim")}).code, exit_usage) << "a folder is no file";
    }
}

TEST_F(QuoteCommands, WhatIsNoQuoteIsRefused) {
    std::string padded = to_base64(quote_of());
    padded.append(64 * 1024 - padded.size(), ' ');
    EXPECT_EQ(eectl({"quote", "show", write("padded", padded)}).code, exit_good);
    padded += "more";
    for (const std::string& content :
         {std::string(), std::string("hello"), std::string(200'000, 'x'), padded}) {
        const std::string file = write("nonsense", content);
        EXPECT_EQ(eectl({"quote", "show", file}).code, exit_refused);
        const EectlRun run = eectl({"quote", "verify", file});
        EXPECT_EQ(run.code, exit_refused);
        EXPECT_NE(run.out.find("quote_malformed"), std::string::npos) << run.out;
    }
}

TEST_F(QuoteCommands, ShowPrintsEveryFieldOfHeaderBodyAndReport) {
    att::SimulatedQuoteRequest request;
    request.format = att::QuoteFormat::v5_td_1_5;
    request.debug = true;
    const std::string file = write_quote(request);
    const EectlRun human = eectl({"quote", "show", file});
    EXPECT_EQ(human.code, exit_good);
    for (const char* word :
         {"version                 5", "TD 1.5", "DEBUG, SEPT_VE_DISABLE", "mrservicetd", "rtmr3",
          "qe_auth_data", "isvsvn                  8", "Intel SGX PCK Certificate",
          "Intel SGX PCK Platform CA", "Intel SGX Root CA", "fmspc", "2033-01-13T10:30:00Z"}) {
        EXPECT_NE(human.out.find(word), std::string::npos) << word << "\n" << human.out;
    }
    const EectlRun json = eectl({"quote", "show", file, "--json"});
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    ASSERT_EQ(parser.parse(json.out).get(root), simdjson::SUCCESS);
    EXPECT_EQ(root["header"]["version"].get_uint64().value(), 5u);
    EXPECT_EQ(root["body"]["report_data"].get_string().value(), report_data_hex);
    EXPECT_EQ(root["body"]["td_attributes"].get_string().value(), "0x0000000010000001");
    EXPECT_EQ(root["qe_report"]["isvprodid"].get_uint64().value(), 2u);
    const simdjson::dom::array certificates = root["certificates"];
    EXPECT_EQ(certificates.size(), 3u);
    EXPECT_EQ(certificates.at(0)["fmspc"].get_string().value(),
              to_hex(ByteSpan(platform_->pck_facts).subspan(36, 6)));
}

TEST_F(QuoteCommands, ShowSaysWhyACertificateChainCannotBeRead) {
    Bytes quote = quote_of();
    const std::string_view text = as_text(quote);
    quote[text.find("-----BEGIN")] = '+';
    const std::string file = write("no-chain", as_text(quote));
    EXPECT_EQ(eectl({"quote", "show", file}).code, exit_good);
    EXPECT_NE(eectl({"quote", "show", file, "--json"}).out.find("certificates_error"), std::string::npos);
}

TEST_F(QuoteCommands, WithoutCollateralWhatCanBeJudgedIsAToH) {
    const EectlRun run = verify(write_quote(), {"--json"});
    EXPECT_EQ(run.code, exit_good) << run.err << run.out;
    simdjson::dom::parser parser;
    const simdjson::dom::element root = parser.parse(run.out);
    EXPECT_EQ(root["result"].get_string().value(), "crypto_ok");
    EXPECT_TRUE(root["code"].is_null());
    EXPECT_TRUE(root["tcb_status"].is_null());
    EXPECT_EQ(strings_of(root, "checks"), (std::vector<std::string>{"A", "B", "D", "E", "F", "G", "H"}));
    EXPECT_EQ(strings_of(root, "not_checked"),
              (std::vector<std::string>{"C", "I", "J", "K", "L", "M", "N", "O", "P"}));
    EXPECT_EQ(root["report_data"].get_string().value(), report_data_hex);
    EXPECT_EQ(strings_of(root, "rtmrs").size(), 4u);
    EXPECT_EQ(root["mrtd"].get_string().value().size(), 96u);
}

TEST_F(QuoteCommands, EveryOptionAddsItsCheck) {
    const std::string file = write_quote();
    for (const std::string& collateral : {in_platform("collateral.json"), in_platform("")}) {
        const EectlRun run =
            verify(file, {"--json", "--collateral", collateral, "--report-data", report_data_hex, "--network",
                          "sandbox-1", "--allowlist", in_platform("allowlist.json")});
        EXPECT_EQ(run.code, exit_good) << run.err << run.out;
        simdjson::dom::parser parser;
        const simdjson::dom::element root = parser.parse(run.out);
        const auto checks = strings_of(root, "checks");
        std::string made;
        for (const std::string& check : checks) made += check;
        EXPECT_EQ(made, "ABCDEFGHIJKLMNOP");
        EXPECT_EQ(root["result"].get_string().value(), "ok");
        EXPECT_EQ(root["tcb_status"].get_string().value(), "UpToDate");
        EXPECT_EQ(root["tcb_date"].get_string().value(), "2025-08-13T00:00:00Z");
        EXPECT_TRUE(strings_of(root, "advisory_ids").empty());
        EXPECT_EQ(root["collateral_sha256"]["tcb_info"].get_string().value().size(), 64u);
        EXPECT_EQ(root["fmspc"].get_string().value(), to_hex(ByteSpan(platform_->pck_facts).subspan(36, 6)));
    }
}

TEST_F(QuoteCommands, RefusalsExitOneAndNameTheirCode) {
    struct Row {
        std::vector<std::string> options;
        const char* code;
    };
    const std::string other_allowlist =
        write("other.json",
              R"({"version":"1.0","release_tag":"t","measurements":{},"quote_measurements":{"rtmr2":")" +
                  std::string(96, 'b') + "\"}}");
    const std::string bad_allowlist =
        write("bad.json", R"({"version":"1.0","quote_measurements":{"rtmr9":""}})");
    const std::string bad_collateral = write("collateral", "[]");
    const std::string empty_folder = folder_->file("empty");
    std::filesystem::create_directory(empty_folder);
    const Row rows[] = {
        {{"--report-data", std::string(128, '0')}, "report_data_mismatch"},
        {{"--at", "2060-01-01T00:00:00Z"}, "certificate_expired"},
        {{"--at", "1500000000"}, "certificate_not_yet_valid"},
        {{"--collateral", in_platform("collateral.json"), "--at", "2026-03-01T00:00:00Z"},
         "collateral_expired:root_crl"},
        {{"--network", "sandbox-1"}, "tcb_unacceptable:NotEvaluated"},
        {{"--collateral", empty_folder}, "collateral_unavailable"},
        {{"--collateral", bad_collateral}, "collateral_malformed"},
        {{"--network", "forge-1"}, "simulated_root"},
        {{"--allowlist", other_allowlist}, "measurement_mismatch:rtmr2"},
        {{"--allowlist", bad_allowlist}, "allowlist_invalid:/quote_measurements/rtmr9"},
    };
    const std::string file = write_quote();
    for (const Row& row : rows) {
        SCOPED_TRACE(row.code);
        const EectlRun human = verify(file, row.options);
        EXPECT_EQ(human.code, exit_refused) << human.err;
        EXPECT_NE(human.out.find(std::string("refused: ") + row.code + "\n"), std::string::npos) << human.out;
        std::vector<std::string> with_json = row.options;
        with_json.emplace_back("--json");
        const EectlRun json = verify(file, with_json);
        simdjson::dom::parser parser;
        const simdjson::dom::element root = parser.parse(json.out);
        EXPECT_EQ(root["result"].get_string().value(), "refused");
        EXPECT_EQ(root["code"].get_string().value(), row.code);
        EXPECT_FALSE(root["detail"].get_string().value().empty());
        EXPECT_EQ(strings_of(root, "checks").size() + strings_of(root, "not_checked").size(), 16u);
        const std::string_view remedy = root["remedy"].get_string().value();
        EXPECT_FALSE(remedy.empty());
        EXPECT_NE(human.out.find("what to do    " + std::string(remedy) + "\n"), std::string::npos)
            << human.out;
    }
}

TEST_F(QuoteCommands, APolicyFileJudgesByItsOnlyNetworkOrTheOneThatIsNamed) {
    const std::string file = write_quote();
    const std::string one =
        write("one.toml", "[lab]\nbase = \"sandbox-1\"\nfmspc_allowed = [\"000000000001\"]\n");
    const std::string two =
        write("two.toml", "[lab]\nbase = \"sandbox-1\"\n[strict]\nsealed = false\nsimulated_root = false\n");
    struct Row {
        std::vector<std::string> options;
        const char* code;
    };
    const Row rows[] = {
        {{"--policy", one}, "fmspc_not_allowed"},
        {{"--policy", one, "--network", "lab"}, "fmspc_not_allowed"},
        {{"--policy", two, "--network", "strict"}, "simulated_root"},
        {{"--policy", two, "--network", "lab"}, ""},
    };
    for (const Row& row : rows) {
        std::vector<std::string> options = row.options;
        options.insert(options.end(), {"--collateral", in_platform("collateral.json")});
        const EectlRun run = verify(file, options);
        EXPECT_EQ(run.code, *row.code == '\0' ? exit_good : exit_refused) << run.out << run.err;
        if (*row.code != '\0') {
            EXPECT_NE(run.out.find(std::string("refused: ") + row.code), std::string::npos) << run.out;
        }
    }
    const std::string unserved = write("unserved.toml", "[lab]\nbase = \"sandbox-1\"\nserved = false\n");
    const EectlRun noted =
        verify(file, {"--policy", unserved, "--collateral", in_platform("collateral.json")});
    EXPECT_EQ(noted.code, exit_good) << noted.err;
    EXPECT_NE(noted.err.find("does not serve lab (served = false)"), std::string::npos) << noted.err;
    EXPECT_EQ(verify(file, {"--policy", two, "--network", "lab"}).err, "");
    const auto usage = [&](std::vector<std::string> options) {
        const EectlRun run = verify(file, std::move(options));
        EXPECT_EQ(run.code, exit_usage) << run.out;
        return run.err;
    };
    EXPECT_NE(usage({"--policy", two}).find("pick one with --network: lab strict"), std::string::npos);
    EXPECT_NE(usage({"--policy", two, "--network", "forge-1"}).find("is not one of"), std::string::npos);
    EXPECT_NE(usage({"--policy", write("none.toml", "")}).find("names no network"), std::string::npos);
    EXPECT_NE(usage({"--policy", folder_->file("absent")}).find("absent"), std::string::npos);
    const std::string problems = usage({"--policy", write("bad.toml", "[a]\nx = 1\nsealed = 2\n")});
    EXPECT_NE(problems.find(":2: [a] x = 1"), std::string::npos) << problems;
    EXPECT_NE(problems.find(":3: [a] sealed = 2"), std::string::npos) << problems;
}

TEST_F(QuoteCommands, NothingIsSaidAboutAQuoteWhoseSignaturesDoNotHold) {
    att::SimulatedQuoteRequest request;
    request.faults.insert(att::SimulatedFault::quote_signature);
    const EectlRun run = verify(write_quote(request), {"--json"});
    simdjson::dom::parser parser;
    const simdjson::dom::element root = parser.parse(run.out);
    EXPECT_EQ(root["code"].get_string().value(), "quote_signature_invalid");
    EXPECT_TRUE(root["mrtd"].is_null());
    EXPECT_TRUE(root["report_data"].is_null());
    EXPECT_TRUE(strings_of(root, "rtmrs").empty());
}

TEST_F(QuoteCommands, WithoutTheRootOptionOnlyIntelsRootCounts) {
    const EectlRun run = eectl({"quote", "verify", write_quote()});
    EXPECT_EQ(run.code, exit_refused);
    EXPECT_NE(run.out.find("certificate_chain_invalid"), std::string::npos);
}

TEST_F(QuoteCommands, OptionsThatMakeNoSenseAreBadUsage) {
    const std::string file = write_quote();
    const std::vector<std::string> rows[] = {{"--at", "yesterday"},
                                             {"--at", "-1"},
                                             {"--at", "99999999999999"},
                                             {"--report-data", "00"},
                                             {"--report-data", "zz"},
                                             {"--network", "no-such-network"},
                                             {"--root", file},
                                             {"--root", "/absent"},
                                             {"--collateral", folder_->file("absent")},
                                             {"--allowlist", folder_->file("absent")},
                                             {"--no-such-option"}};
    for (const auto& row : rows) {
        const EectlRun run = verify(file, row);
        EXPECT_EQ(run.code, exit_usage) << row.front() << " " << row.back();
        EXPECT_TRUE(run.out.empty());
        EXPECT_FALSE(run.err.empty());
    }
}

TEST(ParseTime, TakesUnixSecondsAndRfc3339) {
    EXPECT_EQ(parse_time("0"), WallTime{});
    EXPECT_EQ(parse_time("1768473000"), test_now);
    EXPECT_EQ(parse_time("2026-01-15T10:30:00Z"), test_now);
    for (const char* text : {"", "1.5", "0x10", "2026-01-15", "253402300800"})
        EXPECT_EQ(parse_time(text), std::nullopt) << text;
}

}  // namespace
}  // namespace ee::cli
