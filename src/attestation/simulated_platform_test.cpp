#include "attestation/simulated_platform.h"

#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>
#include <sys/stat.h>

#include "attestation/allowlist.h"
#include "attestation/collateral.h"
#include "attestation/directory_source.h"
#include "attestation/quote_verifier.h"
#include "attestation/simulated_platform_tcb.h"
#include "base/hex.h"
#include "crypto/certificate.h"
#include "crypto/ecdsa.h"

namespace ee::attestation {
namespace {

using namespace std::chrono_literals;

const WallTime at = *from_rfc3339("2026-01-15T10:30:00Z");

class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "ee-simulated-XXXXXX").string();
        path_ = ::mkdtemp(name.data());
    }
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    const std::filesystem::path& folder() const { return path_; }

private:
    std::filesystem::path path_;
};

// Five key pairs are made once; no test changes the platform.
const SimulatedPlatform& platform() {
    static const SimulatedPlatform made = make_simulated_platform(at);
    return made;
}

Quote quote_of(const SimulatedQuoteRequest& request, Bytes& storage) {
    storage = make_simulated_quote(platform(), request);
    return *parse_quote(storage);
}

TrustAnchors own_root() {
    return *TrustAnchors::with_simulated_root(platform().root_certificate);
}

ByteArray<64> some_report_data() {
    ByteArray<64> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i + 1);
    return bytes;
}

SimulatedQuoteRequest request_over_report_data() {
    SimulatedQuoteRequest request;
    request.report_data = some_report_data();
    return request;
}

// As those of a genuine platform do, until its QE is started anew.
TEST(SimulatedQuote, ShowsOneQeReportWithOneSignature) {
    Bytes first_bytes, second_bytes, other_bytes;
    const Quote first = quote_of({}, first_bytes),
                second = quote_of(request_over_report_data(), second_bytes);
    EXPECT_EQ(first.qe_report_bytes, second.qe_report_bytes);
    EXPECT_EQ(first.qe_report_signature, second.qe_report_signature);
    SimulatedQuoteRequest request;
    request.qe_auth_data = Bytes(32, 1);
    const Quote other = quote_of(request, other_bytes);
    EXPECT_NE(first.qe_report_bytes, other.qe_report_bytes);
    EXPECT_NE(first.qe_report_signature, other.qe_report_signature);
}

Verification verify(const Bytes& quote, const std::string& collateral_json, WallTime now = at) {
    auto collateral = parse_collateral(collateral_json);
    if (!collateral) {
        Verification unread;
        unread.refusal = collateral.error();
        return unread;
    }
    FixedCollateral source(std::move(*collateral));
    VerifyOptions options;
    options.report_data = some_report_data();
    options.collateral = &source;
    return QuoteVerifier(own_root()).verify(quote, options, now);
}

// Checks A to H only: no collateral knows such a platform.
Verification verify_signatures(const Bytes& quote) {
    VerifyOptions options;
    options.report_data = some_report_data();
    return QuoteVerifier(own_root()).verify(quote, options, at);
}

const std::string& good_collateral() {
    static const std::string json = make_simulated_collateral(platform(), at);
    return json;
}

FieldOverride filled(const QuoteField& field, std::uint8_t byte) {
    return {&field, Bytes(field.size, byte)};
}

TEST(SimulatedPlatform, QuotesOfEveryFormatVerifyUpToItsOwnRoot) {
    const std::pair<const char*, TdBodyType> formats[] = {
        {"v4", TdBodyType::td_1_0}, {"v5-1.0", TdBodyType::td_1_0}, {"v5-1.5", TdBodyType::td_1_5}};
    for (const auto& [name, body_type] : formats) {
        SCOPED_TRACE(name);
        SimulatedQuoteRequest request = request_over_report_data();
        request.format = *parse_quote_format(name);
        const Verification verified = verify(make_simulated_quote(platform(), request), good_collateral());
        ASSERT_FALSE(verified.refusal) << verified.refusal->code << ": " << verified.refusal->detail;
        EXPECT_EQ(verified.checks.size(), 14u);
        EXPECT_EQ(verified.quote->tcb().status, TcbStatus::up_to_date);
        EXPECT_EQ(verified.quote->quote().body_type, body_type);
        EXPECT_EQ(verified.quote->quote().header.version, name[1] - '0');
        EXPECT_TRUE(verified.quote->anchor().simulated);
        EXPECT_EQ(verified.quote->report().td_attributes, 0x10000000u);
        EXPECT_FALSE(verified.quote->report().is_debug());
        EXPECT_TRUE(all_zero(verified.quote->report().mr_service_td.value_or(Measurement{})));
    }
    EXPECT_EQ(parse_quote_format("v6"), std::nullopt);
}

TEST(SimulatedPlatform, IsNeverMistakenForIntels) {
    const Bytes quote = make_simulated_quote(platform(), request_over_report_data());
    const Verification verified = QuoteVerifier(TrustAnchors()).verify(quote, {}, at);
    ASSERT_TRUE(verified.refusal);
    EXPECT_EQ(verified.refusal->code, "certificate_chain_invalid");
}

TEST(SimulatedPlatform, AnotherPlatformsCollateralIsNotAcceptedForIt) {
    const std::string foreign = make_simulated_collateral(make_simulated_platform(at), at);
    const Verification verified =
        verify(make_simulated_quote(platform(), request_over_report_data()), foreign);
    ASSERT_TRUE(verified.refusal);
    EXPECT_EQ(verified.refusal->code, "collateral_signature_invalid:root_crl");
}

bool is_told_last(std::string_view code) {
    return code == "certificate_not_yet_valid" || code.starts_with("collateral_expired:") ||
           code.starts_with("collateral_not_yet_valid:");
}

// Each fault is refused by its own check, with its own code, and nothing before it notices.
TEST(SimulatedFaults, EachFaultIsRefusedByItsCheck) {
    int rows = 0;
    for (const SimulatedFaultRow& row : simulated_faults()) {
        ++rows;
        SCOPED_TRACE(row.name);
        SimulatedQuoteRequest request = request_over_report_data();
        SimulatedFaults in_collateral;
        (row.in_collateral ? in_collateral : request.faults).insert(row.fault);
        const Verification verified = verify(make_simulated_quote(platform(), request),
                                             make_simulated_collateral(platform(), at, in_collateral));
        if (!verified.refusal) {
            ADD_FAILURE() << "accepted";
            continue;
        }
        EXPECT_EQ(verified.refusal->code, row.refusal) << verified.refusal->detail;
        EXPECT_FALSE(verified.refusal->detail.empty());
        ASSERT_FALSE(verified.checks.empty());
        // What is from another time is told once everything definite has held, after L.
        EXPECT_EQ(verified.checks.back(), std::string(1, is_told_last(row.refusal) ? 'L' : row.check));
    }
    EXPECT_EQ(rows, 76);
}

struct SignedTexts {
    Collateral collateral;
    bool tcb_info_signature_holds = false;
    bool qe_identity_signature_holds = false;
    std::string signer;
};

SignedTexts signed_texts(const SimulatedFaults& faults) {
    SignedTexts out;
    out.collateral = *parse_collateral(make_simulated_collateral(platform(), at, faults));
    const auto chain = *crypto::parse_pem_chain(out.collateral.tcb_info_issuer_chain);
    const auto key = *chain.front().p256_key();
    const auto holds = [&](const std::string& text, const Bytes& signature) {
        ByteArray<64> raw{};
        EXPECT_EQ(signature.size(), raw.size());
        std::copy(signature.begin(), signature.end(), raw.begin());
        return key.verifies(as_bytes(text), raw);
    };
    EXPECT_TRUE(chain.front().is_signed_by(*chain.back().p256_key()));
    out.tcb_info_signature_holds = holds(out.collateral.tcb_info, out.collateral.tcb_info_signature);
    out.qe_identity_signature_holds = holds(out.collateral.qe_identity, out.collateral.qe_identity_signature);
    out.signer = *chain.front().subject_common_name();
    return out;
}

TEST(SimulatedCollateral, TcbInfoAndQeIdentityAreSignedByTheTcbSigner) {
    const SignedTexts texts = signed_texts({});
    EXPECT_TRUE(texts.tcb_info_signature_holds);
    EXPECT_TRUE(texts.qe_identity_signature_holds);
    EXPECT_EQ(texts.signer, "Intel SGX TCB Signing");
    const auto label = read_collateral_label(texts.collateral);
    ASSERT_TRUE(label);
    EXPECT_EQ(label->issued_at, at);
    EXPECT_TRUE(
        std::equal(label->key.fmspc.begin(), label->key.fmspc.end(), platform().pck_facts.begin() + 36));
}

// Checks K and L: what each fault puts into the signed text.
TEST(SimulatedFaults, EachFaultOfTcbInfoAndQeIdentityShowsInTheSignedText) {
    const std::string fmspc_hex = to_hex(ByteSpan(platform().pck_facts).subspan(36, 6));
    struct Row {
        const char* fault;
        bool (*shows)(const SignedTexts&);
    };
    const auto has = [](const std::string& text, std::string_view part) {
        return text.find(part) != text.npos;
    };
    static const auto contains = has;
    const Row rows[] = {
        {"tcb_info_signature", [](const SignedTexts& t) { return !t.tcb_info_signature_holds; }},
        {"qe_identity_signature", [](const SignedTexts& t) { return !t.qe_identity_signature_holds; }},
        {"tcb_signer_subject", [](const SignedTexts& t) { return t.signer != "Intel SGX TCB Signing"; }},
        {"tcb_info_version",
         [](const SignedTexts& t) { return contains(t.collateral.tcb_info, "\"version\":2"); }},
        {"tcb_info_tcb_type",
         [](const SignedTexts& t) { return contains(t.collateral.tcb_info, "\"tcbType\":1"); }},
        {"tcb_info_id",
         [](const SignedTexts& t) { return contains(t.collateral.tcb_info, "\"id\":\"SGX\""); }},
        {"tcb_info_pce_id",
         [](const SignedTexts& t) { return contains(t.collateral.tcb_info, "\"pceId\":\"0100\""); }},
        {"tcb_info_expired",
         [](const SignedTexts& t) {
             return contains(t.collateral.tcb_info, "\"nextUpdate\":\"2025-12-16T10:30:00Z\"");
         }},
        {"tcb_info_not_yet_valid",
         [](const SignedTexts& t) {
             return contains(t.collateral.tcb_info, "\"issueDate\":\"2026-01-16T10:30:00Z\"");
         }},
        {"qe_identity_version",
         [](const SignedTexts& t) { return contains(t.collateral.qe_identity, "\"version\":1"); }},
        {"qe_identity_id",
         [](const SignedTexts& t) { return contains(t.collateral.qe_identity, "\"id\":\"QE\""); }},
        {"qe_identity_expired",
         [](const SignedTexts& t) {
             return contains(t.collateral.qe_identity, "\"nextUpdate\":\"2025-12-16T10:30:00Z\"");
         }},
        {"qe_identity_not_yet_valid",
         [](const SignedTexts& t) {
             return contains(t.collateral.qe_identity, "\"issueDate\":\"2026-01-16T10:30:00Z\"");
         }},
    };
    const SignedTexts good = signed_texts({});
    for (const Row& row : rows) {
        SCOPED_TRACE(row.fault);
        EXPECT_FALSE(row.shows(good));
        const SignedTexts bad = signed_texts({find_simulated_fault(row.fault)->fault});
        EXPECT_TRUE(row.shows(bad));
        // Only the fault of a signature breaks one: the others must get past it.
        if (std::string_view(row.fault).ends_with("_signature")) continue;
        EXPECT_TRUE(bad.tcb_info_signature_holds && bad.qe_identity_signature_holds);
    }
    const SignedTexts other_fmspc = signed_texts({SimulatedFault::tcb_info_fmspc});
    EXPECT_NE(to_hex(read_collateral_label(other_fmspc.collateral)->key.fmspc), fmspc_hex);
}

std::string platform_status_in(const std::string& tcb_info, ByteSpan cpu_svn) {
    simdjson::dom::parser parser;
    const simdjson::dom::array levels = parser.parse(tcb_info)["tcbLevels"];
    for (const simdjson::dom::element level : levels) {
        const simdjson::dom::array components = level["tcb"]["sgxtcbcomponents"];
        bool reached = true;
        std::size_t i = 0;
        for (const simdjson::dom::element component : components) {
            reached = cpu_svn[i++] >= component["svn"].get_uint64().value() && reached;
        }
        EXPECT_EQ(i, 16u);
        if (reached) return std::string(level["tcbStatus"].get_string().value());
    }
    return "none";
}

TEST(SimulatedPlatform, SvnsChosenForAStatusReachThatLevelOfTheTcbInfo) {
    const std::string tcb_info = parse_collateral(good_collateral())->tcb_info;
    for (const auto& recipe : simulated::recipes) {
        SCOPED_TRACE(to_string(recipe.status));
        SimulatedQuoteRequest request = request_over_report_data();
        request.format = QuoteFormat::v5_td_1_5;
        request.tcb_status = recipe.status;
        const Verification verified = verify(make_simulated_quote(platform(), request), good_collateral());
        ASSERT_FALSE(verified.refusal) << verified.refusal->code;
        EXPECT_EQ(verified.quote->tcb().status, recipe.status);
        const bool relaunch = recipe.module_svn != recipe.module_svn_now;
        const std::string status = platform_status_in(tcb_info, verified.quote->pck()->cpu_svn);
        if (!relaunch) {
            EXPECT_EQ(status, to_string(recipe.status));
        }
        // A relaunch is advised where the module was launched out of date and is up to date now.
        EXPECT_EQ(verified.quote->report().tee_tcb_svn[0], relaunch ? 3 : 5);
        EXPECT_EQ((*verified.quote->report().tee_tcb_svn2)[0], 5);
    }
}

TEST(SimulatedFields, EveryFieldOfTheTdReportCanBeSetAndIsSigned) {
    for (const QuoteField& field : quote_fields()) {
        if (field.part != QuotePart::body || field.name == "report_data") continue;
        SCOPED_TRACE(field.name);
        SimulatedQuoteRequest request = request_over_report_data();
        request.format = QuoteFormat::v5_td_1_5;
        request.fields.push_back(filled(field, 0x5a));
        const Bytes quote = make_simulated_quote(platform(), request);
        const Verification verified = verify_signatures(quote);
        ASSERT_FALSE(verified.refusal) << verified.refusal->code;
        constexpr std::size_t body_begin = 48 + 6;
        EXPECT_TRUE(std::all_of(quote.begin() + body_begin + field.offset,
                                quote.begin() + body_begin + field.offset + field.size,
                                [](std::uint8_t byte) { return byte == 0x5a; }));
    }
}

TEST(SimulatedFields, FieldsThatDecideWhatAQuoteIsAreRefusedWhenWrong) {
    struct Row {
        const char* field;
        const char* value;
        const char* code;
    };
    const Row rows[] = {
        {"version", "6", "quote_unsupported"},
        {"tee_type", "0", "quote_unsupported"},
        {"attestation_key_type", "3", "quote_unsupported"},
        {"qe_vendor_id", "00000000000000000000000000000000", "quote_unsupported"},
        {"signature_data_length", "0xffffffff", "quote_malformed"},
        {"certification_type", "5", "quote_unsupported"},
        {"certification_length", "10", "quote_malformed"},
        {"qe_auth_length", "65535", "quote_malformed"},
        {"pck_type", "3", "quote_unsupported"},
        {"pck_length", "0xffffffff", "quote_malformed"},
    };
    for (const Row& row : rows) {
        SCOPED_TRACE(row.field);
        SimulatedQuoteRequest request = request_over_report_data();
        request.fields.push_back(*parse_field_override(*find_quote_field(row.field), row.value));
        const Verification verified = verify(make_simulated_quote(platform(), request), good_collateral());
        ASSERT_TRUE(verified.refusal);
        EXPECT_EQ(verified.refusal->code, row.code) << verified.refusal->detail;
    }
}

// Checks L, M and N: one field that is not what collateral asks for.
TEST(SimulatedFields, FieldsThatCollateralJudgesAreRefusedByTheirCheck) {
    struct Row {
        const char* field;
        const char* value;
        const char* check;
        const char* code;
        const char* detail;  // a part of it: both sides
    };
    const std::string zeros32(64, '0'), ones48(96, '1');
    const Row rows[] = {
        {"qe_miscselect", "1", "L", "qe_identity_mismatch:miscselect", "has 01000000"},
        {"qe_attributes", "13000000000000000000000000000000", "L", "qe_identity_mismatch:attributes",
         "has 13"},
        {"qe_attributes", "17000000000000000000000000000000", "L", "qe_identity_mismatch:attributes",
         "has 17"},
        {"qe_mrsigner", zeros32.c_str(), "L", "qe_identity_mismatch:mrsigner", zeros32.c_str()},
        {"qe_isvprodid", "1", "L", "qe_identity_mismatch:isvprodid", "product 1, the QE identity asks for 2"},
        {"tee_tcb_svn", "05020300000000000000000000000000", "M", "tdx_module_mismatch:version",
         "version 2, the TCB info knows [1]"},
        {"mrsigner_seam", ones48.c_str(), "M", "tdx_module_mismatch:mrsigner", ones48.c_str()},
        {"seam_attributes", "1", "M", "tdx_module_mismatch:attributes", "has 0100000000000000"},
        {"pck_cpusvn", "06050202030100020000000000000000", "N", "tcb_not_supported",
         "SGX component 8 is 2, the level asks for 3"},
        {"pck_pcesvn", "12", "N", "tcb_not_supported", "SVN is 12, the level asks for 13"},
        {"tee_tcb_svn", "05010200000000000000000000000000", "N", "tcb_not_supported",
         "TDX component 3 is 2, the level asks for 3"},
        {"tee_tcb_svn", "04000300000000000000000000000000", "N", "tcb_not_supported",
         "TDX component 1 is 4, the level asks for 5"},
        {"tee_tcb_svn", "01010300000000000000000000000000", "N", "tcb_not_supported",
         "the TDX module has SVN 1, the lowest of 3 levels is 2"},
        {"qe_isvsvn", "3", "N", "tcb_not_supported",
         "the QE has SVN 3, the lowest of 3 levels is 4 (Revoked"},
    };
    for (const Row& row : rows) {
        SCOPED_TRACE(fmt::format("{} {}", row.field, row.value));
        SimulatedQuoteRequest request = request_over_report_data();
        request.fields.push_back(*parse_field_override(*find_quote_field(row.field), row.value));
        const Verification verified = verify(make_simulated_quote(platform(), request), good_collateral());
        ASSERT_TRUE(verified.refusal);
        EXPECT_EQ(verified.refusal->code, row.code);
        EXPECT_EQ(verified.checks.back(), row.check);
        EXPECT_NE(verified.refusal->detail.find(row.detail), std::string::npos) << verified.refusal->detail;
    }
}

TEST(SimulatedFields, FieldsOfThePckCertificateAreIssuedAnew) {
    SimulatedQuoteRequest request = request_over_report_data();
    for (const auto& [name, value] : {std::pair{"pck_fmspc", "00906ed50000"},
                                      {"pck_ppid", "000102030405060708090a0b0c0d0e0f"},
                                      {"pck_pce_id", "0001"},
                                      {"pck_pcesvn", "260"},
                                      {"pck_cpusvn", "ff000000000000000000000000000000"}}) {
        request.fields.push_back(*parse_field_override(*find_quote_field(name), value));
    }
    const Verification verified = verify_signatures(make_simulated_quote(platform(), request));
    // SVNs of a component have one byte (PCESVN two): 255 is encoded with a leading zero, 260 in two bytes.
    ASSERT_FALSE(verified.refusal) << verified.refusal->detail;
    const PckExtension& pck = *verified.quote->pck();
    EXPECT_EQ(to_hex(pck.fmspc), "00906ed50000");
    EXPECT_EQ(to_hex(pck.ppid), "000102030405060708090a0b0c0d0e0f");
    EXPECT_EQ(to_hex(pck.pce_id), "0001");
    EXPECT_EQ(pck.pce_svn, 260);
    EXPECT_EQ(pck.cpu_svn[0], 0xff);
}

TEST(SimulatedFields, ValuesOfTheWrongSizeAreRefusedByName) {
    const std::pair<const char*, const char*> rows[] = {{"version", "65536"},
                                                        {"version", "-1"},
                                                        {"version", ""},
                                                        {"rtmr0", "00"},
                                                        {"rtmr0", "zz"},
                                                        {"mrtd", "0x1234"},
                                                        {"xfam", "0xfffffffffffffffff"}};
    for (const auto& [name, value] : rows) {
        const auto parsed = parse_field_override(*find_quote_field(name), value);
        ASSERT_FALSE(parsed) << name << " " << value;
        EXPECT_EQ(parsed.error().code, "invalid_field:" + std::string(name));
    }
    EXPECT_EQ(parse_field_override(*find_quote_field("xfam"), "0x602e7")->bytes,
              (Bytes{0xe7, 0x02, 0x06, 0, 0, 0, 0, 0}));
    EXPECT_EQ(find_quote_field("no_such_field"), nullptr);
}

TEST(SimulatedPlatform, AuthenticationDataOfAnyLengthIsBound) {
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{64}, std::size_t{1000}}) {
        SimulatedQuoteRequest request = request_over_report_data();
        request.qe_auth_data.assign(size, 0xaa);
        const Verification verified = verify(make_simulated_quote(platform(), request), good_collateral());
        EXPECT_FALSE(verified.refusal) << size << ": " << verified.refusal->code;
    }
}

TEST(SimulatedPlatform, ZerosAfterTheQuoteArePaddingAndAnythingElseIsMalformed) {
    SimulatedQuoteRequest request = request_over_report_data();
    request.trailing.assign(70, 0);
    EXPECT_FALSE(verify(make_simulated_quote(platform(), request), good_collateral()).refusal);
    request.trailing.back() = 1;
    const Verification verified = verify(make_simulated_quote(platform(), request), good_collateral());
    ASSERT_TRUE(verified.refusal);
    EXPECT_EQ(verified.refusal->code, "quote_malformed");
}

TEST(SimulatedPlatform, ItsAllowlistMatchesItsQuotesAndNoOthers) {
    const auto allowlist = parse_allowlist(make_simulated_allowlist(platform(), at));
    ASSERT_TRUE(allowlist) << allowlist.error().code;
    EXPECT_EQ(allowlist->quote_measurements.size(), 5u);
    EXPECT_TRUE(allowlist->measurements.empty());
    SimulatedQuoteRequest request = request_over_report_data();
    EXPECT_TRUE(match_quote(*allowlist, parse_quote(make_simulated_quote(platform(), request))->body));
    request.fields.push_back(filled(*find_quote_field("rtmr2"), 1));
    const auto other = match_quote(*allowlist, parse_quote(make_simulated_quote(platform(), request))->body);
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().code, "measurement_mismatch:rtmr2");
}

Verification verify_in(const std::filesystem::path& folder, const Bytes& quote, WallTime now) {
    const auto collateral = make_collateral_directory(folder);
    VerifyOptions options;
    options.report_data = some_report_data();
    options.collateral = collateral.get();
    const auto anchors = TrustAnchors::with_simulated_root_file(folder / "root.pem");
    EXPECT_TRUE(anchors);
    return QuoteVerifier(*anchors).verify(quote, options, now);
}

TEST(SimulatedPlatformFiles, APlatformLoadedFromItsFolderQuotesAsTheOneSaved) {
    const TemporaryFolder temporary;
    const auto folder = temporary.folder() / "a" / "b";
    EXPECT_FALSE(simulated_platform_exists(folder));
    ASSERT_TRUE(save_simulated_platform(folder, platform(), at));
    EXPECT_TRUE(simulated_platform_exists(folder));
    const auto loaded = load_simulated_platform(folder);
    ASSERT_TRUE(loaded) << loaded.error().detail;
    EXPECT_EQ(loaded->pck_certificate, platform().pck_certificate);
    EXPECT_EQ(loaded->td_report, platform().td_report);
    EXPECT_EQ(loaded->pck_facts, platform().pck_facts);
    const Verification verified =
        verify_in(folder, make_simulated_quote(*loaded, request_over_report_data()), at);
    EXPECT_FALSE(verified.refusal) << verified.refusal->code << ": " << verified.refusal->detail;
    for (const char* key : {"root.key", "platform_ca.key", "pck.key", "tcb_signing.key", "attestation.key"}) {
        struct stat status{};
        ASSERT_EQ(::stat((folder / key).c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0600u) << key;
    }
}

TEST(SimulatedPlatformFiles, CollateralEndsAfterThirtyDaysAndRefreshRenewsIt) {
    const TemporaryFolder temporary;
    ASSERT_TRUE(save_simulated_platform(temporary.folder(), platform(), at));
    const Bytes quote = make_simulated_quote(platform(), request_over_report_data());
    EXPECT_FALSE(verify_in(temporary.folder(), quote, at + simulated_collateral_life).refusal);
    const WallTime later = at + simulated_collateral_life + 1s;
    const Verification late = verify_in(temporary.folder(), quote, later);
    ASSERT_TRUE(late.refusal);
    EXPECT_EQ(late.refusal->code, "collateral_expired:root_crl");
    ASSERT_TRUE(refresh_simulated_platform(temporary.folder(), later));
    EXPECT_FALSE(verify_in(temporary.folder(), quote, later).refusal);
}

TEST(SimulatedPlatformFiles, MeasurementsEditedInPlatformJsonGoIntoQuotesAndAllowlist) {
    const TemporaryFolder temporary;
    ASSERT_TRUE(save_simulated_platform(temporary.folder(), platform(), at));
    const auto file = temporary.folder() / "platform.json";
    std::string text = *read_whole_file(file, 1 << 20);
    const std::string old_value = to_hex(ByteSpan(platform().td_report).subspan(424, 48));
    text.replace(text.find(old_value), old_value.size(), std::string(96, 'b'));
    std::ofstream(file) << text;
    ASSERT_TRUE(refresh_simulated_platform(temporary.folder(), at));
    const auto loaded = load_simulated_platform(temporary.folder());
    const auto quote = parse_quote(make_simulated_quote(*loaded, request_over_report_data()));
    EXPECT_EQ(to_hex(quote->body.rtmr[2]), std::string(96, 'b'));
    const auto allowlist = parse_allowlist(*read_whole_file(temporary.folder() / "allowlist.json", 1 << 20));
    EXPECT_TRUE(match_quote(*allowlist, quote->body));
}

TEST(SimulatedPlatformFiles, AFolderThatHoldsNoPlatformIsNamedWithWhatToDo) {
    const TemporaryFolder temporary;
    const auto absent = load_simulated_platform(temporary.folder() / "absent");
    ASSERT_FALSE(absent);
    EXPECT_EQ(absent.error().code, "simulated_platform_unreadable");
    EXPECT_NE(absent.error().detail.find("eectl simulate init"), std::string::npos);

    ASSERT_TRUE(save_simulated_platform(temporary.folder(), platform(), at));
    for (const char* name : {"platform.json", "pck.key", "root.pem"}) {
        const auto file = temporary.folder() / name;
        const std::string whole = *read_whole_file(file, 1 << 20);
        std::ofstream(file) << "{}";
        const auto broken = load_simulated_platform(temporary.folder());
        ASSERT_FALSE(broken) << name;
        EXPECT_NE(broken.error().detail.find(name), std::string::npos) << broken.error().detail;
        std::ofstream(file) << whole;
    }
    EXPECT_TRUE(load_simulated_platform(temporary.folder()));
    std::ofstream(temporary.folder() / "file").close();
    const auto unwritable = save_simulated_platform(temporary.folder() / "file", platform(), at);
    ASSERT_FALSE(unwritable);
    EXPECT_EQ(unwritable.error().code, "simulated_platform_unwritable");
}

}  // namespace
}  // namespace ee::attestation
