#include "cli/simulate_commands.h"

#include <fstream>

#include <gtest/gtest.h>

#include "attestation/directory_source.h"
#include "attestation/quote.h"
#include "attestation/simulated_platform_ratls.h"
#include "base/base64.h"
#include "base/hex.h"
#include "cli/eectl_run.h"
#include "crypto/certificate.h"
#include "crypto/digest.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

const std::string report_data_hex = "c0" + std::string(126, '1');

Result<att::Quote> parse_output(const std::string& text) {
    std::string line = text;
    EXPECT_FALSE(line.empty());
    EXPECT_EQ(line.find('\n'), line.size() - 1) << "one line of base64 and nothing else";
    line.pop_back();
    const auto bytes = from_base64(line);
    if (!bytes) return fail("test", "not base64");
    return att::parse_quote(*bytes);
}

TEST(Simulate, InitThenQuoteThenVerifyIsTheWholeStory) {
    const TemporaryFolder folder;
    const std::string platform = folder.file("sim");
    const EectlRun made = eectl({"simulate", "init", platform});
    ASSERT_EQ(made.code, exit_good) << made.err;
    EXPECT_NE(made.out.find("EE_TDX_ROOT_CA=" + platform + "/root.pem"), std::string::npos);
    EXPECT_NE(made.out.find("2026-02-14T10:30:00Z"), std::string::npos) << "valid for 30 days";

    const EectlRun quote = eectl({"simulate", "quote", platform, "--report-data", report_data_hex});
    ASSERT_EQ(quote.code, exit_good) << quote.err;
    EXPECT_TRUE(quote.err.empty());
    const auto parsed = parse_output(quote.out);
    ASSERT_TRUE(parsed) << parsed.error().detail;
    EXPECT_EQ(to_hex(parsed->body.report_data), report_data_hex);

    const std::string file = folder.file("quote.b64");
    const EectlRun to_file =
        eectl({"simulate", "quote", platform, "--report-data", report_data_hex, "--out", file});
    EXPECT_EQ(to_file.code, exit_good);
    EXPECT_TRUE(to_file.out.empty());
    EXPECT_TRUE(parse_output(*att::read_whole_file(file, 1 << 16)));
    const EectlRun verified =
        eectl({"quote", "verify", file, "--root", platform + "/root.pem", "--collateral", platform,
               "--allowlist", platform + "/allowlist.json", "--report-data", report_data_hex});
    EXPECT_EQ(verified.code, exit_good) << verified.out;
}

// One platform for all that only quotes.
class SimulateQuote : public testing::Test {
protected:
    static void SetUpTestSuite() {
        folder_ = new TemporaryFolder;
        ASSERT_EQ(eectl({"simulate", "init", folder_->file("sim")}).code, exit_good);
    }
    static void TearDownTestSuite() { delete folder_; }

    static EectlRun quote(std::vector<std::string> more) {
        std::vector<std::string> arguments{"simulate", "quote", folder_->file("sim"), "--report-data",
                                           report_data_hex};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return eectl(std::move(arguments));
    }

    static TemporaryFolder* folder_;
};
TemporaryFolder* SimulateQuote::folder_ = nullptr;

TEST_F(SimulateQuote, OptionsSetFormatStatusAndFields) {
    EXPECT_EQ(parse_output(quote({"--body", "v5-1.5"}).out)->body_type, att::TdBodyType::td_1_5);
    EXPECT_TRUE(parse_output(quote({"--debug"}).out)->body.is_debug());
    EXPECT_EQ(parse_output(quote({"--tcb", "TDRelaunchAdvised"}).out)->body_type, att::TdBodyType::td_1_5);
    EXPECT_EQ(parse_output(quote({"--rtmr2", std::string(96, 'e')}).out)->body.rtmr[2][0], 0xee);
    EXPECT_EQ(parse_output(quote({"--td-attributes", "0x30000000"}).out)->body.td_attributes, 0x30000000u);
    EXPECT_EQ(parse_output(quote({"--qe-isvsvn", "4"}).out)->qe_report.isv_svn, 4);
    EXPECT_EQ(parse_output(quote({"--qe-auth", ""}).out)->qe_auth_data.size(), 0u);
    EXPECT_EQ(parse_output(quote({"--qe-auth=abcd"}).out)->qe_auth_data.size(), 2u);
    EXPECT_EQ(parse_output(quote({"--padding", "70"}).out)->padding, 70u);
    EXPECT_EQ(parse_output(quote({"--trailing", "01"}).out).error().code, "quote_malformed");
    EXPECT_EQ(parse_output(quote({"--truncate", "100"}).out).error().code, "quote_malformed");
    EXPECT_EQ(parse_output(quote({"--version", "3"}).out).error().code, "quote_unsupported");
}

TEST_F(SimulateQuote, EveryFieldHasAnOption) {
    for (const att::QuoteField& field : att::quote_fields()) {
        if (field.name == "report_data") continue;
        std::string flag = "--" + std::string(field.name);
        std::replace(flag.begin(), flag.end(), '_', '-');
        const std::string value = field.is_number ? "1" : std::string(2 * field.size, '1');
        EXPECT_EQ(quote({flag, value}).code, exit_good) << flag;
        EXPECT_EQ(quote({flag, "no value"}).code, exit_usage) << flag;
    }
}

TEST_F(SimulateQuote, EveryFaultOfAQuoteIsRefusedByQuoteVerify) {
    const std::string platform = folder_->file("sim");
    for (const att::SimulatedFaultRow& row : att::simulated_faults()) {
        if (row.in_collateral) {
            EXPECT_EQ(quote({"--fault", std::string(row.name)}).code, exit_usage) << row.name;
            continue;
        }
        const std::string file = folder_->file("fault");
        ASSERT_EQ(quote({"--fault", std::string(row.name), "--out", file}).code, exit_good) << row.name;
        const EectlRun run =
            eectl({"quote", "verify", file, "--root", platform + "/root.pem", "--collateral", platform});
        EXPECT_EQ(run.code, exit_refused) << row.name;
        EXPECT_NE(run.out.find("refused: " + std::string(row.refusal) + "\n"), std::string::npos)
            << row.name << "\n"
            << run.out;
    }
}

TEST_F(SimulateQuote, PolicyRefusalsCanBeMadeByHand) {
    struct Row {
        std::vector<std::string> options;
        const char* code;
    };
    const Row rows[] = {{{"--td-attributes", "0x30000000"}, "td_attributes:29"},
                        {{"--td-attributes", "0x10000080"}, "td_attributes:7"}};
    const std::string platform = folder_->file("sim");
    for (const Row& row : rows) {
        std::vector<std::string> options = row.options;
        const std::string file = folder_->file("policy");
        options.insert(options.end(), {"--out", file});
        ASSERT_EQ(quote(options).code, exit_good);
        const EectlRun run = eectl({"quote", "verify", file, "--root", platform + "/root.pem", "--collateral",
                                    platform, "--network", "sandbox-1"});
        EXPECT_EQ(run.code, exit_refused);
        EXPECT_NE(run.out.find(row.code), std::string::npos) << run.out;
    }
}

TEST_F(SimulateQuote, OptionsThatMakeNoSenseAreBadUsage) {
    const std::vector<std::string> rows[] = {{"--body", "v6"},
                                             {"--tcb", "Fine"},
                                             {"--tcb", "NotEvaluated"},
                                             {"--fault", "no_such_fault"},
                                             {"--rtmr2", "00"},
                                             {"--qe-auth", "x"},
                                             {"--trailing", "0"},
                                             {"--padding", "-1"},
                                             {"--tcb", "TDRelaunchAdvised", "--body", "v4"}};
    for (const auto& row : rows) {
        const EectlRun run = quote(row);
        EXPECT_EQ(run.code, exit_usage) << row.front() << " " << row.back();
        EXPECT_TRUE(run.out.empty());
        EXPECT_FALSE(run.err.empty());
    }
    EXPECT_EQ(eectl({"simulate", "quote", folder_->file("sim")}).code, exit_usage) << "no report data";
    EXPECT_EQ(eectl({"simulate", "quote", folder_->file("sim"), "--report-data", "00"}).code, exit_usage);
}

// ---- simulate certificate ----

class SimulateCertificate : public SimulateQuote {
protected:
    static EectlRun certificate(std::vector<std::string> more) {
        std::vector<std::string> arguments{"simulate", "certificate", folder_->file("sim"), "--app",
                                           "myapp",    "--repo",      "org/repo",           "--release-tag",
                                           "v0.1.3",   "--network",   "sandbox-1"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return eectl(std::move(arguments));
    }
    static Result<att::RatlsCertificate> read(const std::string& pem, WallTime now) {
        const auto chain = crypto::parse_pem_chain(pem.substr(0, pem.find("-----BEGIN PRIVATE")));
        if (!chain) return fail(chain.error());
        return att::read_ratls_certificate(chain->front().der(), now);
    }
};

TEST_F(SimulateCertificate, IsOneOfOursWithItsKey) {
    const EectlRun made = certificate({});
    ASSERT_EQ(made.code, exit_good) << made.err;
    const auto read_back = read(made.out, test_now);
    ASSERT_TRUE(read_back) << read_back.error().detail;
    EXPECT_EQ(read_back->identity, (att::RatlsIdentity{"agent", "myapp", "org/repo", "v0.1.3", "sandbox-1"}));
    EXPECT_EQ(att::parse_quote(read_back->quote).value().body.report_data, read_back->report_data);
    const auto key = crypto::SigningKey::from_pem(made.out.substr(made.out.find("-----BEGIN PRIVATE")));
    ASSERT_TRUE(key);
    EXPECT_EQ(read_back->spki_sha256, crypto::sha256(key->spki()));
}

TEST_F(SimulateCertificate, GoesToFilesAndTakesAKeyThatIsThere) {
    const std::string key = folder_->file("client.key"), cert = folder_->file("client.pem");
    const EectlRun made = certificate({"--ed25519", "--key-out", key, "--cert-out", cert});
    ASSERT_EQ(made.code, exit_good) << made.err;
    EXPECT_EQ(made.out, "");
    const auto first = read(*att::read_whole_file(cert, 1 << 16), test_now);
    const auto kept = crypto::load_signing_key(key);
    ASSERT_TRUE(first && kept);
    EXPECT_EQ(kept->kind(), crypto::KeyKind::ed25519);
    const EectlRun again = certificate({"--key", key});
    EXPECT_EQ(again.out.find("PRIVATE"), std::string::npos);
    EXPECT_EQ(read(again.out, test_now).value().spki_sha256, first->spki_sha256);
}

TEST_F(SimulateCertificate, CanBeWrongInEachThing) {
    const auto code = [](std::vector<std::string> more) {
        const auto read_back = read(certificate(std::move(more)).out, test_now);
        return read_back ? "" : read_back.error().code;
    };
    EXPECT_EQ(code({}), "");
    EXPECT_EQ(code({"--life", "30"}), "certificate_expired");
    EXPECT_EQ(code({"--life", "86401"}), "certificate_malformed");
    EXPECT_EQ(code({"--at", "2030-01-01T00:00:00Z"}), "certificate_not_yet_valid");
    EXPECT_EQ(code({"--signed-by-stranger"}), "certificate_signature_invalid");
    EXPECT_EQ(code({"--legacy", "--life", "864000"}), "");
    EXPECT_EQ(code({"--legacy", "--wrapped"}), "");
    EXPECT_EQ(read(certificate({"--role", "control"}).out, test_now)->identity->role, "control");
    const auto quote = [](std::vector<std::string> more) {
        return att::parse_quote(read(certificate(std::move(more)).out, test_now)->quote).value();
    };
    EXPECT_EQ(to_hex(quote({"--report-data", report_data_hex}).body.report_data), report_data_hex);
    EXPECT_EQ(quote({"--rtmr2", std::string(96, 'e')}).body.rtmr[2][0], 0xee);
    EXPECT_TRUE(quote({"--debug"}).body.is_debug());
}

TEST_F(SimulateCertificate, OptionsThatMakeNoSenseAreBadUsage) {
    for (const auto& row : std::vector<std::vector<std::string>>{{"--at", "soon"},
                                                                 {"--life", "-1"},
                                                                 {"--report-data", "00"},
                                                                 {"--fault", "no_such_fault"},
                                                                 {"--rtmr2", "00"}}) {
        EXPECT_EQ(certificate(row).code, exit_usage) << row.front();
    }
    EXPECT_EQ(eectl({"simulate", "certificate", folder_->file("sim"), "--app", "myapp"}).code, exit_usage);
    EXPECT_EQ(eectl({"simulate", "certificate", folder_->file("sim"), "--legacy"}).code, exit_good);
    EXPECT_EQ(certificate({"--key", "/nonexistent"}).code, exit_refused);
    EXPECT_EQ(certificate({"--cert-out", "/nonexistent/file"}).code, exit_refused);
}

TEST(Simulate, AFolderWithoutAPlatformIsRefusedWithWhatToDo) {
    const TemporaryFolder folder;
    for (const auto& arguments :
         {std::vector<std::string>{"simulate", "quote", folder.file("x"), "--report-data", report_data_hex},
          std::vector<std::string>{"simulate", "refresh", folder.file("x")}}) {
        const EectlRun run = eectl(arguments);
        EXPECT_EQ(run.code, exit_refused);
        EXPECT_NE(run.err.find("eectl simulate init"), std::string::npos) << run.err;
    }
    EXPECT_EQ(eectl({"simulate", "init", "/proc/no-such-place"}).code, exit_refused);
}

TEST(Simulate, InitReplacesAPlatformOnlyWhenTold) {
    const TemporaryFolder folder;
    ASSERT_EQ(eectl({"simulate", "init", folder.file("sim")}).code, exit_good);
    const std::string root = *att::read_whole_file(folder.file("sim/root.pem"), 1 << 16);
    EXPECT_EQ(eectl({"simulate", "init", folder.file("sim")}).code, exit_refused);
    EXPECT_EQ(*att::read_whole_file(folder.file("sim/root.pem"), 1 << 16), root);
    EXPECT_EQ(eectl({"simulate", "init", folder.file("sim"), "--force"}).code, exit_good);
    EXPECT_NE(*att::read_whole_file(folder.file("sim/root.pem"), 1 << 16), root);
}

TEST(Simulate, RefreshRenewsCollateralFromTheGivenTime) {
    const TemporaryFolder folder;
    const std::string platform = folder.file("sim");
    ASSERT_EQ(eectl({"simulate", "init", platform, "--at", "2025-06-01T00:00:00Z"}).code, exit_good);
    const std::string file = folder.file("quote");
    ASSERT_EQ(eectl({"simulate", "quote", platform, "--report-data", report_data_hex, "--out", file}).code,
              exit_good);
    const std::vector<std::string> verify{"quote",        "verify", file, "--root", platform + "/root.pem",
                                          "--collateral", platform};
    EXPECT_NE(eectl(verify).out.find("collateral_expired:root_crl"), std::string::npos);
    const EectlRun refreshed = eectl({"simulate", "refresh", platform});
    EXPECT_EQ(refreshed.code, exit_good) << refreshed.err;
    EXPECT_EQ(eectl(verify).code, exit_good);
    EXPECT_EQ(eectl({"simulate", "refresh", platform, "--at", "soon"}).code, exit_usage);

    EXPECT_EQ(eectl({"simulate", "refresh", platform, "--fault", "quote_signature"}).code, exit_usage);
    ASSERT_EQ(eectl({"simulate", "refresh", platform, "--fault", "pck_crl_signature"}).code, exit_good);
    EXPECT_NE(eectl(verify).out.find("collateral_signature_invalid:pck_crl"), std::string::npos);
}

TEST(Simulate, FaultsAreListedWithTheirRefusals) {
    const EectlRun run = eectl({"simulate", "faults"});
    EXPECT_EQ(run.code, exit_good);
    for (const att::SimulatedFaultRow& row : att::simulated_faults()) {
        EXPECT_NE(run.out.find(row.name), std::string::npos);
        EXPECT_NE(run.out.find(row.refusal), std::string::npos);
    }
}

TEST(Eectl, HelpAndVersionAreGoodAndNothingIsBadUsage) {
    EXPECT_EQ(eectl({"--help"}).code, exit_good);
    const EectlRun version = eectl({"--version"});
    EXPECT_EQ(version.code, exit_good);
    EXPECT_TRUE(version.out.starts_with("eectl ")) << version.out;
    for (const auto& arguments :
         {std::vector<std::string>{}, {"quote"}, {"simulate"}, {"apps"}, {"no-such-command"}}) {
        const EectlRun run = eectl(arguments);
        EXPECT_EQ(run.code, exit_usage);
        EXPECT_FALSE(run.err.empty());
    }
    EXPECT_EQ(eectl({"help", "quote"}).out, eectl({"quote", "--help"}).out);
}

TEST(Eectl, AWordThatIsNoSubcommandIsNamedWithThoseThereAre) {
    EXPECT_EQ(eectl({"quote", "frob"}).err, "eectl: \"frob\" is none of show, verify\n");
    EXPECT_NE(eectl({"frob", "quote"}).err.find("eectl: \"frob\" is none of quote, "), std::string::npos);
    EXPECT_NE(eectl({"\x1b[2J"}).err.find("\"?[2J\" is none of"), std::string::npos);
}

}  // namespace
}  // namespace ee::cli
