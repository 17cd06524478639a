#include <algorithm>
#include <fstream>
#include <functional>

#include "attestation/evidence_fixture.h"
#include "base/base64.h"
#include "base/hex.h"
#include "cli/eectl_run.h"
#include "cli/leaf_words.h"
#include "cli/receipt_judgement.h"
#include "ledger/test_log.h"

namespace ee::cli {
namespace {

namespace att = ee::attestation;

using ledger::field;
using ledger::Leaf;
using ledger::Receipt;
using ledger::test::SaltedLog;

// The fields of a log_key leaf.
enum KeyField { public_key, quote, collateral, last_size, last_root, repo, release_tag, tls_spki };

// The log of a control plane on a simulated TDX platform. Its parts may be changed before receipt() is asked.
struct AttestedLog {
    WallTime at = *from_rfc3339("2026-01-01T00:00:00Z");  // when the log's leaves are from
    att::SimulatedPlatform platform = att::make_simulated_platform(at);
    std::string collateral_text = att::make_simulated_collateral(platform, at);
    att::SimulatedQuoteRequest request;
    std::function<void(Leaf&)> before_quote = [](Leaf&) {};
    std::function<void(Leaf&)> after_quote = [](Leaf&) {};
    SaltedLog log;

    static constexpr std::uint64_t key_index = 1;
    static constexpr std::uint64_t entry_index = 2;

    att::ReportData report_data_of(const Leaf& leaf) const {
        ByteArray<32> root;
        std::copy_n(leaf.bytes("last_root").begin(), 32, root.begin());
        return att::report_data_control(att::log_key_nonce(log.log_id, leaf.u64("last_size"), root),
                                        {.tls_spki_sha256 = {},
                                         .ledger_public_key = leaf.bytes("public_key"),
                                         .log_id = log.log_id,
                                         .repo = leaf.text("repo"),
                                         .release_tag = leaf.text("release_tag")});
    }
    void append_log_key() {
        Leaf leaf = log.log_key_leaf();
        leaf.fields[repo] = field("easyenclave/easyenclave");
        leaf.fields[release_tag] = field("v0.2.0");
        leaf.fields[collateral] = field(collateral_text);
        before_quote(leaf);
        if (request.report_data == ByteArray<64>{}) request.report_data = report_data_of(leaf);
        leaf.fields[quote] = make_simulated_quote(platform, request);
        after_quote(leaf);
        log.append(leaf);
    }
    Receipt receipt() {
        if (log.leaves.empty()) {
            log.append(ledger::test::grid_leaf());
            append_log_key();
            log.append(ledger::test::entry_leaf("alice"));
            log.append(ledger::test::entry_leaf("bob"));
        }
        return log.receipt(entry_index, key_index);
    }
};

struct LedgerCommands : testing::Test {
    std::string write(const std::string& name, const std::string& text) {
        std::ofstream(folder.file(name), std::ios::binary) << text;
        return folder.file(name);
    }
    // The allowlist is one of version 1 that names its release.
    std::string allowlist_of(const att::SimulatedPlatform& platform, const std::string& more) {
        std::string text = att::make_simulated_allowlist(platform, att_log.at);
        return text.replace(text.find("{"), 1, "{" + more);
    }
    EectlRun verify(const Receipt& receipt, std::vector<std::string> more = {}) {
        std::vector<std::string> arguments = {
            "ledger",
            "verify",
            write("receipt.json", ledger::receipt_json(receipt)),
            "--control-allowlist",
            write("allowlist.json", att::make_simulated_allowlist(att_log.platform, att_log.at)),
            "--root",
            write("root.der", std::string(as_text(att_log.platform.root_certificate)))};
        arguments.insert(arguments.end(), more.begin(), more.end());
        return eectl(std::move(arguments));
    }
    static std::string code_of(const EectlRun& run) {
        const std::string start = "result        refused: ";
        if (!run.out.starts_with(start)) return run.out.substr(0, run.out.find('\n')) + run.err;
        return run.out.substr(start.size(), run.out.find('\n') - start.size());
    }

    TemporaryFolder folder;
    AttestedLog att_log;
};

// H5: by the collateral, CRLs and certificates that are in it, as of when the key was signed.
TEST_F(LedgerCommands, VerifyChecksAReceiptDownToTheRootAndSaysWhatItShows) {
    const EectlRun run = verify(att_log.receipt());
    EXPECT_EQ(run.code, exit_good) << run.out << run.err;
    EXPECT_TRUE(run.out.starts_with("result        ok\n")) << run.out;
    for (const char* part :
         {"checked       A B C D E F G H I J K L M N O P\n", "judged at     2026-01-01T00:00:00Z\n",
          "leaf          2 of 4, entry, of 2026-01-01T00:00:00Z\n",
          "says          account alice: +12.5 USD available, +0 USD locked; after it 12.5 USD available",
          "A purchase against @issued, transfer 1, reference inv-1, memo none\n",
          "log           0123456789abcdef0123456789abcdef\n", "noted in leaf 1\n",
          "release       v0.2.0 of easyenclave/easyenclave\n",
          "trust root    the one given with --root (simulated)\n", "tcb status    UpToDate\n"})
        EXPECT_NE(run.out.find(part), std::string::npos) << part << "in\n" << run.out;
}

TEST_F(LedgerCommands, VerifyShowsNothingThatControlsATerminal) {
    att_log.before_quote = [](Leaf& leaf) { leaf.fields[repo] = field("a\u009b2Jb\u202ec/\u2067d"); };
    att_log.log.append(ledger::test::grid_leaf());
    att_log.append_log_key();
    Leaf entry = ledger::test::entry_leaf("alice");
    entry.fields[9] = field("a\u009b2Jb\u202ec");  // the memo
    att_log.log.append(entry);
    att_log.log.append(ledger::test::entry_leaf("bob"));
    // By the key alone: no allowlist has such a repo.
    const EectlRun run =
        eectl({"ledger", "verify", write("receipt.json", ledger::receipt_json(att_log.receipt())), "--key",
               write("key", to_base64(att_log.log.public_key()))});
    EXPECT_EQ(run.code, exit_good) << run.out << run.err;
    EXPECT_NE(run.out.find("memo a?2Jb?c\n"), std::string::npos) << run.out;
    for (const char* character : {"\u009b", "\u202e", "\u2067"})
        EXPECT_EQ(run.out.find(character), std::string::npos) << run.out;
}

TEST_F(LedgerCommands, VerifyTakesTheAnswerThatAReceiptCameWith) {
    const std::string receipt = ledger::receipt_json(att_log.receipt());
    const std::vector<std::string> by_key = {"--key", write("key", to_base64(att_log.log.public_key()))};
    const auto verify_text = [&](const std::string& text) {
        return eectl({"ledger", "verify", write("answer.json", text), by_key[0], by_key[1]}).code;
    };
    EXPECT_EQ(verify_text(receipt), exit_good);
    EXPECT_EQ(verify_text(R"({"transfer_id":"7", "receipt": )" + receipt + "}"), exit_good);
    EXPECT_EQ(verify_text(R"({"transfer_id":"7"})"), exit_refused);
    EXPECT_EQ(verify_text(R"({"receipt":{}})"), exit_refused);
    EXPECT_EQ(verify_text(R"([{"receipt": )" + receipt + "}]"), exit_refused);
}

TEST_F(LedgerCommands, VerifyAnswersAsJson) {
    const EectlRun run = verify(att_log.receipt(), {"--json"});
    EXPECT_EQ(run.code, exit_good) << run.out;
    EXPECT_TRUE(run.out.starts_with(R"({"result":"ok","code":null,"detail":")")) << run.out;
    for (
        const char* part :
        {R"("leaf_index":2,"leaf":{"kind":"entry","seq":2,"time":"2026-01-01T00:00:00Z","time_us":176722560)",
         R"("fields":{"transfer":1,"account":"alice","transfer_kind":"purchase","counterparty":"@issued",)"
         R"("available_delta":12500000,"locked_delta":0,)",
         R"("checkpoint":{"log_id":"0123456789abcdef0123456789abcdef","size":4,"root":")",
         R"("tcb_status":"UpToDate","root":"given"}})"})
        EXPECT_NE(run.out.find(part), std::string::npos) << part << "in\n" << run.out;
    Receipt altered = att_log.receipt();
    altered.leaf.salt[0] ^= 1;
    const EectlRun refused = verify(altered, {"--json"});
    EXPECT_EQ(refused.code, exit_refused);
    EXPECT_TRUE(refused.out.starts_with(R"({"result":"refused","code":"inclusion_invalid:root","detail":")"))
        << refused.out;
    // What does not hold is not shown.
    EXPECT_EQ(refused.out.find("alice"), std::string::npos);
    EXPECT_EQ(verify(altered).out.find("alice"), std::string::npos);
}

struct Forgery {
    const char* name;
    std::function<void(AttestedLog&)> before;           // to the control plane that signs
    std::function<void(Receipt&, AttestedLog&)> after;  // to what it signed
    const char* code;
};

const auto honest = [](AttestedLog&) {};
const auto as_it_is = [](Receipt&, AttestedLog&) {};

// Makes one forgery of each and expects its refusal.
void expect_refused(LedgerCommands& test, const std::vector<Forgery>& forgeries,
                    const std::function<EectlRun(const Receipt&)>& verify) {
    for (const Forgery& forgery : forgeries) {
        AttestedLog log;
        forgery.before(log);
        Receipt receipt = log.receipt();
        forgery.after(receipt, log);
        // The verifier trusts this platform's root and the image that runs on it.
        test.att_log.platform = std::move(log.platform);
        const EectlRun run = verify(receipt);
        EXPECT_EQ(LedgerCommands::code_of(run), forgery.code) << forgery.name << "\n" << run.out;
        EXPECT_EQ(run.code, exit_refused) << forgery.name;
    }
}

// An altered note: the checkpoint with `from` replaced.
auto replaced(std::string from, std::string to) {
    return [from = std::move(from), to = std::move(to)](Receipt& r, AttestedLog&) {
        r.checkpoint.replace(r.checkpoint.find(from), from.size(), to);
    };
}

TEST_F(LedgerCommands, ForgeriesOfWhatWasSignedAreRefused) {
    const std::vector<Forgery> forgeries = {
        {"a larger balance", honest,
         [](Receipt& r, AttestedLog&) {
             Leaf leaf = ledger::decode_leaf(r.leaf.leaf).value();
             leaf.fields[6] = field(std::int64_t{99'000'000});
             r.leaf.leaf = encode_leaf(leaf).value();
         },
         "inclusion_invalid:root"},
        {"another one's entry under the path of this", honest,
         [](Receipt& r, AttestedLog& log) { r.leaf.leaf = log.log.leaves[3]; }, "inclusion_invalid:root"},
        {"another salt", honest, [](Receipt& r, AttestedLog&) { r.leaf.salt[15] ^= 0x80; },
         "inclusion_invalid:root"},
        {"another place", honest, [](Receipt& r, AttestedLog&) { r.leaf.index = 3; },
         "inclusion_invalid:root"},
        {"a place past the end", honest, [](Receipt& r, AttestedLog&) { r.leaf.index = 4; },
         "inclusion_invalid:index"},
        {"a shorter path", honest, [](Receipt& r, AttestedLog&) { r.leaf.path.pop_back(); },
         "inclusion_invalid:path_length"},
        {"a longer path", honest, [](Receipt& r, AttestedLog&) { r.leaf.path.push_back({}); },
         "inclusion_invalid:path_length"},
        {"another size", honest, replaced("\n4\n", "\n5\n"), "checkpoint_signature_invalid"},
        {"another root", honest,
         [](Receipt& r, AttestedLog& log) {
             replaced(to_base64(log.log.tree.root()), to_base64(ledger::empty_root()))(r, log);
         },
         "checkpoint_signature_invalid"},
        {"another log's name", honest, replaced("easyenclave/0", "easyenclave/1"), "checkpoint_unsigned"},
        {"no signature", honest,
         [](Receipt& r, AttestedLog&) { r.checkpoint.resize(r.checkpoint.find("\n\n") + 2); },
         "checkpoint_malformed"},
        {"a key of the forger's", honest,
         [](Receipt& r, AttestedLog& log) {
             log.log.key = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
             r.checkpoint = ledger::sign_checkpoint({.log_id = log.log.log_id, .head = log.log.tree.head()},
                                                    log.log.key);
         },
         "checkpoint_unsigned"},
        {"a key of the forger's, and a leaf for it that is not in the log", honest,
         [](Receipt& r, AttestedLog& log) {
             log.log.key = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
             r.checkpoint = ledger::sign_checkpoint({.log_id = log.log.log_id, .head = log.log.tree.head()},
                                                    log.log.key);
             Leaf leaf = ledger::decode_leaf(r.log_key.leaf).value();
             leaf.fields[public_key] = field(log.log.public_key());
             r.log_key.leaf = encode_leaf(leaf).value();
         },
         "log_key_invalid:root"},
        {"a key's leaf moved", honest, [](Receipt& r, AttestedLog&) { r.log_key.index = 2; },
         "log_key_invalid:root"},
        {"an entry as the key's leaf", honest, [](Receipt& r, AttestedLog&) { r.log_key = r.leaf; },
         "log_key_invalid:kind"},
        {"said to be unattested", honest, [](Receipt& r, AttestedLog&) { r.attested = false; },
         "receipt_malformed:/attested"},
    };
    expect_refused(*this, forgeries, [this](const Receipt& receipt) { return verify(receipt); });
}

TEST_F(LedgerCommands, ForgeriesOfTheKeysQuoteAreRefused) {
    const auto before_quote = [](KeyField which, Bytes to) {
        return [=](AttestedLog& log) { log.before_quote = [=](Leaf& leaf) { leaf.fields[which] = to; }; };
    };
    const auto after_quote = [](KeyField which, Bytes to) {
        return [=](AttestedLog& log) { log.after_quote = [=](Leaf& leaf) { leaf.fields[which] = to; }; };
    };
    const auto fault = [](att::SimulatedFault which) {
        return [=](AttestedLog& log) { log.request.faults.insert(which); };
    };
    const std::vector<Forgery> forgeries = {
        {"no quote", after_quote(quote, {}), as_it_is, "quote_missing"},
        {"a second key, unattested, in an attested log", honest,
         [](Receipt& r, AttestedLog& log) {
             log.log.key = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
             log.log.append_log_key();
             r = log.log.receipt(2, 4);
         },
         "quote_missing"},
        {"a genuine quote for another key",
         [](AttestedLog& log) {
             log.after_quote = [&log](Leaf& leaf) {
                 log.log.key = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
                 leaf.fields[public_key] = field(log.log.public_key());
             };
         },
         as_it_is, "report_data_mismatch"},
        {"a genuine quote of another log",
         [](AttestedLog& log) { log.after_quote = [&log](Leaf&) { log.log.log_id = std::string(32, 'f'); }; },
         as_it_is, "report_data_mismatch"},
        {"a genuine quote of an earlier size",
         [](AttestedLog& log) {
             log.after_quote = [](Leaf& leaf) {
                 leaf.fields[last_size] = field(std::uint64_t{0});
                 leaf.fields[last_root] = field(ledger::empty_root());
             };
         },
         as_it_is, "report_data_mismatch"},
        {"a genuine quote over another root", after_quote(last_root, Bytes(32, 1)), as_it_is,
         "report_data_mismatch"},
        {"a genuine quote of another repository", after_quote(repo, field("someone/else")), as_it_is,
         "report_data_mismatch"},
        {"a genuine quote of another release", after_quote(release_tag, field("v9")), as_it_is,
         "report_data_mismatch"},
        {"a genuine quote for another certificate", after_quote(tls_spki, Bytes(32, 1)), as_it_is,
         "report_data_mismatch"},
        {"an agent's quote",
         [](AttestedLog& log) {
             const att::AgentIdentity agent{.agent_id = "a",
                                            .node_id = "",
                                            .app_name = "app",
                                            .repo = "easyenclave/easyenclave",
                                            .release_tag = "v0.2.0",
                                            .network = "forge-1"};
             const Claims none;
             log.request.report_data = att::report_data_layout2({.nonce = ByteArray<32>{},
                                                                 .agent_key = {},
                                                                 .channel = {},
                                                                 .wire = "2",
                                                                 .identity = agent,
                                                                 .measurements = none});
         },
         as_it_is, "report_data_mismatch"},
        {"a quote of a certificate",
         [](AttestedLog& log) {
             log.request.report_data = att::report_data_ratls({.role = "control",
                                                               .app_name = "",
                                                               .repo = "easyenclave/easyenclave",
                                                               .release_tag = "v0.2.0",
                                                               .network = ""},
                                                              ByteArray<32>{}, log.at, log.at);
         },
         as_it_is, "report_data_mismatch"},
        {"half a quote",
         [](AttestedLog& log) { log.after_quote = [](Leaf& leaf) { leaf.fields[quote].resize(600); }; },
         as_it_is, "quote_malformed"},
        {"a quote nobody's machine signed", fault(att::SimulatedFault::quote_signature), as_it_is,
         "quote_signature_invalid"},
        {"a quote by a key of the forger's", fault(att::SimulatedFault::attestation_key_binding), as_it_is,
         "attestation_key_unbound"},
        {"a platform of the forger's", fault(att::SimulatedFault::root_unknown), as_it_is,
         "certificate_chain_invalid"},
        {"a revoked platform", [](AttestedLog& log) { log.request.tcb_status = att::TcbStatus::revoked; },
         as_it_is, "tcb_unacceptable:Revoked"},
        {"a platform out of date",
         [](AttestedLog& log) { log.request.tcb_status = att::TcbStatus::out_of_date; }, as_it_is,
         "tcb_unacceptable:OutOfDate"},
        {"a debug TD", [](AttestedLog& log) { log.request.debug = true; }, as_it_is, "debug_td"},
        {"another image",
         [](AttestedLog& log) {
             log.request.fields.push_back(
                 att::parse_field_override(*att::find_quote_field("rtmr2"), std::string(96, 'a')).value());
         },
         as_it_is, "measurement_mismatch:rtmr2"},
        {"no collateral", before_quote(collateral, {}), as_it_is, "collateral_malformed"},
        {"collateral of another time",
         [](AttestedLog& log) {
             log.collateral_text =
                 att::make_simulated_collateral(log.platform, log.at - std::chrono::days(40));
         },
         as_it_is, "collateral_expired:root_crl"},
        {"collateral without a revocation list",
         [](AttestedLog& log) {
             log.collateral_text =
                 att::make_simulated_collateral(log.platform, log.at, {att::SimulatedFault::pck_crl_missing});
         },
         as_it_is, "collateral_unavailable"},
        {"collateral of a platform of the forger's",
         [](AttestedLog& log) {
             log.collateral_text =
                 att::make_simulated_collateral(att::make_simulated_platform(log.at), log.at);
         },
         as_it_is, "collateral_signature_invalid:root_crl"},
    };
    expect_refused(*this, forgeries, [this](const Receipt& receipt) { return verify(receipt); });
}

// H2, of the quote: in a log that is signed all the same. Up to its certificates, which have tests of their
// own. Judged without the command line, which costs more than judging does.
TEST_F(LedgerCommands, EveryAlteredByteOfTheKeysQuoteIsRefused) {
    ASSERT_EQ(verify(att_log.receipt()).code, exit_good);
    ReceiptTermsOptions options;
    options.control_allowlist = folder.file("allowlist.json");
    options.root = folder.file("root.der");
    const auto terms = read_receipt_terms(options);
    ASSERT_TRUE(terms) << terms.error().detail;
    const Leaf good = ledger::decode_leaf(att_log.receipt().log_key.leaf).value();
    const auto result_of = [&](const Leaf& leaf) {
        SaltedLog log;
        log.key = crypto::SigningKey::from_pem(att_log.log.key.to_pem().reveal()).value();
        log.append(ledger::test::grid_leaf());
        log.append(leaf);
        log.append(ledger::test::entry_leaf("alice"));
        return std::string(judge_receipt(ledger::receipt_json(log.receipt(2, 1)), *terms).result());
    };
    ASSERT_EQ(result_of(good), "ok");
    const std::string pem = "-----BEGIN";
    const std::size_t signed_bytes = as_text(good.bytes("quote")).find(pem);
    ASSERT_GT(signed_bytes, 1000U);
    for (std::size_t i = 0; i < signed_bytes; ++i) {
        Leaf leaf = good;
        leaf.fields[quote][i] ^= static_cast<std::uint8_t>(1U << i % 8);
        ASSERT_EQ(result_of(leaf), "refused") << "byte " << i;
    }
}

TEST_F(LedgerCommands, VerifyRefusesWhatWasNotAskedFor) {
    const Receipt receipt = att_log.receipt();
    EXPECT_EQ(code_of(verify(receipt, {"--log-id", std::string(32, '0')})), "log_mismatch");
    EXPECT_EQ(verify(receipt, {"--log-id", att_log.log.log_id}).code, exit_good);
    // The rules of a network that never takes a simulated root.
    EXPECT_EQ(code_of(verify(receipt, {"--network", "forge-1"})), "simulated_root");
    EXPECT_EQ(verify(receipt, {"--network", "sandbox-1"}).code, exit_good);
    EXPECT_EQ(code_of(verify(receipt, {"--at", "2026-03-01T00:00:00Z"})), "collateral_expired:root_crl");
    // Intel's root alone.
    const std::string allowlist = folder.file("allowlist.json");
    EXPECT_EQ(
        code_of(eectl({"ledger", "verify", folder.file("receipt.json"), "--control-allowlist", allowlist})),
        "certificate_chain_invalid");
    // An allowlist of another release of the same image.
    const std::string root = folder.file("root.der");
    const auto by = [&](const std::string& more) {
        return eectl({"ledger", "verify", folder.file("receipt.json"), "--root", root, "--control-allowlist",
                      write("release.json", allowlist_of(att_log.platform, more))});
    };
    EXPECT_EQ(by(R"("release_tag":"v0.2.0",)").code, exit_good);
    EXPECT_EQ(code_of(by(R"("release_tag":"v0.1.9",)")), "allowlist_invalid:/release_tag");
}

TEST_F(LedgerCommands, VerifyByAKeySaysThatNothingIsAttested) {
    SaltedLog log;
    log.append_log_key();
    log.append(ledger::test::entry_leaf("alice"));
    Receipt receipt = log.receipt(1, 0);
    receipt.attested = false;
    write("receipt.json", ledger::receipt_json(receipt));
    const Bytes spki = log.key.spki();
    const std::string pem = "-----BEGIN PUBLIC KEY-----\n" + to_base64(spki) + "\n-----END PUBLIC KEY-----\n";
    const auto verify_by = [&](const std::string& key) {
        return eectl({"ledger", "verify", folder.file("receipt.json"), "--key", write("key", key)});
    };
    for (const std::string& key : {pem, to_base64(spki), to_base64(log.public_key()) + "\n"}) {
        const EectlRun run = verify_by(key);
        EXPECT_EQ(run.code, exit_good) << run.out << run.err;
        EXPECT_TRUE(run.out.starts_with("result        unattested\n")) << run.out;
        EXPECT_NE(run.out.find("account alice"), std::string::npos) << run.out;
    }
    const auto stranger = crypto::SigningKey::generate(crypto::KeyKind::ed25519);
    EXPECT_EQ(code_of(verify_by(to_base64(stranger.spki()))), "key_mismatch");
    for (const char* key : {"", "AAAA", "-----BEGIN PUBLIC KEY-----\nAAAA", "hello"})
        EXPECT_EQ(verify_by(key).code, exit_usage) << key;
    // Where a quote is there it was not looked at.
    const EectlRun attested =
        eectl({"ledger", "verify", write("attested.json", ledger::receipt_json(att_log.receipt())), "--key",
               write("key", to_base64(att_log.log.public_key())), "--json"});
    EXPECT_EQ(attested.code, exit_good);
    EXPECT_TRUE(attested.out.starts_with(R"({"result":"unattested")")) << attested.out;
    EXPECT_NE(attested.out.find(R"("quote":null)"), std::string::npos) << attested.out;
}

TEST_F(LedgerCommands, WhatAReceiptIsJudgedByIsNamed) {
    const EectlRun run =
        eectl({"ledger", "verify", write("receipt.json", ledger::receipt_json(att_log.receipt()))});
    EXPECT_EQ(run.code, exit_usage);
    EXPECT_NE(run.err.find("--control-allowlist, the allowlist of the control plane's release"),
              std::string::npos)
        << run.err;
    EXPECT_NE(run.err.find("public_key as `eectl ledger head` shows it"), std::string::npos) << run.err;
}

TEST_F(LedgerCommands, BadUsageIsNoVerdict) {
    verify(att_log.receipt());
    const std::string receipt = folder.file("receipt.json");
    const std::string allowlist = folder.file("allowlist.json");
    const std::string key = write("key", to_base64(att_log.log.public_key()));
    const std::vector<std::vector<std::string>> cases = {
        {receipt},
        {receipt, "--key", key, "--control-allowlist", allowlist},
        {receipt, "--key", key, "--at", "0"},
        {receipt, "--key", folder.file("none")},
        {receipt, "--control-allowlist", folder.file("none")},
        {receipt, "--control-allowlist", key},
        {receipt, "--control-allowlist", allowlist, "--root", key},
        {receipt, "--control-allowlist", allowlist, "--network", "none"},
        {receipt, "--control-allowlist", allowlist, "--at", "noon"},
        {receipt, "--control-allowlist", allowlist, "--log-id", "short"},
        {folder.file("none"), "--control-allowlist", allowlist},
        {},
    };
    for (const auto& more : cases) {
        std::vector<std::string> arguments = {"ledger", "verify"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        const EectlRun run = eectl(arguments);
        EXPECT_EQ(run.code, exit_usage) << run.out;
        EXPECT_FALSE(run.err.empty());
    }
    const EectlRun malformed =
        eectl({"ledger", "verify", write("bad", "{}"), "--control-allowlist", allowlist});
    EXPECT_EQ(malformed.code, exit_refused);
    EXPECT_EQ(code_of(malformed), "receipt_malformed:/leaf_index");
}

TEST(LeafWords, AmountsAreDecimals) {
    const std::pair<std::int64_t, const char*> cases[] = {
        {0, "0"},
        {1, "0.000001"},
        {-1, "-0.000001"},
        {12'500'000, "12.5"},
        {-1'000'000, "-1"},
        {INT64_MAX, "9223372036854.775807"},
        {INT64_MIN, "-9223372036854.775808"},
    };
    for (const auto& [micros, text] : cases) EXPECT_EQ(usd_text(micros), text);
    EXPECT_EQ(time_text(1'767'225'600'999'999), "2026-01-01T00:00:00Z");
    EXPECT_EQ(time_text(-1), "-1 us");
}

TEST(LeafWords, ASlashingTakesStakeOnlyOnceItIsDone) {
    const std::pair<const char*, const char*> cases[] = {
        {"other:proposed", "slashing 7: node n1 is to lose 4 USD of its stake for other:proposed: why"},
        {"other:done", "slashing 7: node n1 loses 4 USD of its stake for other:done: why"},
        {"other:dismissed", "slashing 7: node n1 is not to lose 4 USD of its stake for other:dismissed: why"},
    };
    for (const auto& [cause, words] : cases)
        EXPECT_EQ(leaf_in_words({.kind = ledger::LeafKind::slashing,
                                 .fields = {field("7"), field("n1"), field(cause),
                                            field(std::int64_t{4'000'000}), field("why")}}),
                  words);
}

TEST(LeafWords, EveryKindHasWordsAndJsonWithoutControlCharacters) {
    for (const ledger::KindRule& rule : ledger::leaf_kinds()) {
        Leaf leaf{.kind = rule.kind, .fields = {}};
        for (const ledger::FieldRule& expected : rule.fields) {
            switch (expected.type) {
                case ledger::FieldType::u64:
                case ledger::FieldType::i64: leaf.fields.push_back(field(std::uint64_t{7})); break;
                case ledger::FieldType::text: leaf.fields.push_back(field("a\x1b[31m\n")); break;
                default: leaf.fields.emplace_back(32, 3);
            }
        }
        const std::string words = leaf_in_words(leaf);
        EXPECT_GT(words.size(), 10U) << rule.name;
        EXPECT_TRUE(std::none_of(words.begin(), words.end(), [](char c) { return c >= 0 && c < 0x20; }))
            << words;
        std::string text;
        JsonWriter json(text);
        write_leaf(json, leaf);
        for (const ledger::FieldRule& expected : rule.fields)
            EXPECT_NE(text.find("\"" + std::string(expected.name) + "\":"), std::string::npos) << text;
    }
}

}  // namespace
}  // namespace ee::cli
