#include "attestation/ratls_certificate.h"

#include <functional>

#include <gtest/gtest.h>

#include "attestation/simulated_platform_ratls.h"
#include "base/hex.h"
#include "crypto/der.h"
#include "crypto/digest.h"

namespace ee::attestation {
namespace {

using std::chrono::sys_days;
using namespace std::chrono_literals;
using crypto::der_element;
using crypto::KeyKind;
using crypto::SigningKey;
namespace der_tag = crypto::der_tag;

const WallTime at = sys_days(2026y / 6 / 1);
const RatlsIdentity agent{.role = "agent",
                          .app_name = "myapp",
                          .repo = "org/repo",
                          .release_tag = "v0.1.3",
                          .network = "sandbox-1"};

const SimulatedPlatform& platform() {
    static const SimulatedPlatform made = make_simulated_platform(at);
    return made;
}

struct RatlsReader : testing::Test {
    SigningKey key = SigningKey::generate(KeyKind::p256);
    SimulatedCertificateRequest request = [] {
        SimulatedCertificateRequest made;
        made.identity = agent;
        made.not_before = at;
        return made;
    }();

    Bytes make() const { return make_simulated_certificate(platform(), key, request); }
    Result<RatlsCertificate> read(WallTime now = at) const { return read_ratls_certificate(make(), now); }
    std::string code(WallTime now = at) const {
        const auto read_one = read(now);
        return read_one ? "" : read_one.error().code;
    }
};

TEST_F(RatlsReader, ReadsWhatACertificateOfOursNamesAndWhatItsQuoteIsOver) {
    for (const KeyKind kind : {KeyKind::p256, KeyKind::ed25519}) {
        key = SigningKey::generate(kind);
        const auto certificate = read();
        ASSERT_TRUE(certificate) << certificate.error().code << ": " << certificate.error().detail;
        EXPECT_EQ(certificate->identity, agent);
        EXPECT_EQ(certificate->not_before, at);
        EXPECT_EQ(certificate->not_after, at + 24h);
        EXPECT_EQ(certificate->spki_sha256, crypto::sha256(key.spki()));
        EXPECT_EQ(certificate->report_data,
                  report_data_ratls(agent, crypto::sha256(key.spki()), at, at + 24h));
        EXPECT_EQ(parse_quote(certificate->quote).value().body.report_data, certificate->report_data);
    }
}

TEST_F(RatlsReader, ReadsDeployedAgentsLayoutRawAndWrapped) {
    request.deployed_layout = true;
    request.life = std::chrono::days(3650);  // Theirs live long.
    for (const bool wrapped : {false, true}) {
        for (const QuoteFormat format : {QuoteFormat::v4, QuoteFormat::v5_td_1_5}) {
            request.wrapped = wrapped;
            request.quote.format = format;
            const auto certificate = read();
            ASSERT_TRUE(certificate) << certificate.error().detail;
            EXPECT_FALSE(certificate->identity);
            EXPECT_EQ(to_hex(certificate->report_data),
                      to_hex(crypto::sha256(key.spki())) + std::string(64, '0'));
            EXPECT_EQ(parse_quote(certificate->quote).value().body.report_data, certificate->report_data);
        }
    }
}

TEST_F(RatlsReader, JudgesValidityAtBothEnds) {
    EXPECT_EQ(code(at), "");
    EXPECT_EQ(code(at - 1ms), "certificate_not_yet_valid");
    EXPECT_EQ(code(at + 24h), "");
    EXPECT_EQ(code(at + 24h + 1ms), "certificate_expired");
}

TEST_F(RatlsReader, TakesOursForADayAtMost) {
    request.life = 24h + 1s;
    EXPECT_EQ(code(), "certificate_malformed");
    request.life = 1s;
    EXPECT_EQ(code(), "");
    request.life = -1s;
    EXPECT_NE(code(), "");
}

TEST_F(RatlsReader, WantsTheCertificatesOwnKeyToHaveSignedIt) {
    for (const KeyKind kind : {KeyKind::p256, KeyKind::ed25519}) {
        key = SigningKey::generate(kind);
        request.signed_by_stranger = true;
        EXPECT_EQ(code(), "certificate_signature_invalid");
        request.signed_by_stranger = false;
        EXPECT_EQ(code(), "");
    }
    // Its own key, but the names are two: somebody else is said to vouch for it.
    const crypto::CertificateContent content{
        .serial = {1},
        .subject = {{"CN", "agent"}},
        .not_before = at,
        .not_after = at + 1h,
        .path_length_max = {},
        .subject_alternatives = {},
        .extensions = {
            {.oid = std::string(deployed_ratls_extension_oid), .critical = false, .der = Bytes(100, 5)}}};
    EXPECT_TRUE(
        read_ratls_certificate(crypto::issue_certificate(content, key.spki(), {key, content.subject}), at));
    const auto other = crypto::issue_certificate(content, key.spki(), {key, {{"CN", "other"}}});
    EXPECT_EQ(read_ratls_certificate(other, at).error().code, "certificate_signature_invalid");
}

TEST_F(RatlsReader, RefusesCriticalExtensionsItDoesNotJudge) {
    request.more_extensions = {{.oid = "1.2.3.4", .critical = false, .der = {5, 0}}};
    EXPECT_EQ(code(), "");
    request.more_extensions.front().critical = true;
    EXPECT_EQ(code(), "certificate_malformed");
    // Its own extension included: others must be able to skip it.
    request.deployed_layout = true;
    request.more_extensions = {{.oid = std::string(ratls_extension_oid), .critical = true, .der = {5, 0}}};
    EXPECT_EQ(code(), "certificate_malformed");
}

TEST_F(RatlsReader, TakesOursOfTwoAndNothingElseWhenItIsBroken) {
    request.more_extensions = {
        {.oid = std::string(deployed_ratls_extension_oid), .critical = false, .der = Bytes(100, 5)}};
    EXPECT_EQ(read().value().identity, agent);
    request.extension_value = Bytes{0x30, 0};
    EXPECT_EQ(code(), "certificate_malformed");
}

// One row a way in which the extension can be wrong; the rest of the certificate is right.
TEST_F(RatlsReader, RefusesAnExtensionThatIsNotExactlyAsPublished) {
    const auto text = [](std::string_view value) {
        return der_element(der_tag::utf8_string, as_bytes(value));
    };
    const Bytes version = der_element(der_tag::integer, Bytes{2}), quote(200, 7);
    const std::vector<Bytes> right{version,
                                   text("agent"),
                                   text("myapp"),
                                   text("org/repo"),
                                   text("v0.1.3"),
                                   text("sandbox-1"),
                                   der_element(der_tag::octet_string, quote)};
    const auto joined = [](const std::vector<Bytes>& parts) {
        Bytes out;
        for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
        return out;
    };
    const auto sequence = [&](const std::vector<Bytes>& parts) {
        return der_element(der_tag::sequence, joined(parts));
    };
    ASSERT_EQ(sequence(right), encode_ratls_extension(agent, quote));
    request.extension_value = sequence(right);
    EXPECT_EQ(code(), "");

    using Parts = std::vector<Bytes>;
    const std::pair<const char*, std::function<void(Parts&)>> mutations[] = {
        {"version 1", [&](Parts& p) { p[0] = der_element(der_tag::integer, Bytes{1}); }},
        {"version 3", [&](Parts& p) { p[0] = der_element(der_tag::integer, Bytes{3}); }},
        {"no version", [](Parts& p) { p.erase(p.begin()); }},
        {"no role", [](Parts& p) { p.erase(p.begin() + 1); }},
        {"no network", [](Parts& p) { p.erase(p.begin() + 5); }},
        {"a text of another type", [](Parts& p) { p[2][0] = 0x13; }},
        {"no UTF-8", [&](Parts& p) { p[2] = text("\xff"); }},
        {"a text too long", [&](Parts& p) { p[3] = text(std::string(257, 'a')); }},
        {"no quote", [](Parts& p) { p.pop_back(); }},
        {"an empty quote", [](Parts& p) { p[6] = {4, 0}; }},
        {"a quote too large", [](Parts& p) { p[6] = der_element(4, Bytes(quote_size_max + 1, 7)); }},
        {"a quote of another type", [](Parts& p) { p[6][0] = 3; }},
        {"one more field", [&](Parts& p) { p.push_back(text("more")); }},
    };
    for (const auto& [what, mutate] : mutations) {
        Parts parts = right;
        mutate(parts);
        request.extension_value = sequence(parts);
        EXPECT_EQ(code(), "certificate_malformed") << what;
    }
    Bytes after = sequence(right);
    after.push_back(0);
    for (const Bytes& value : {Bytes{}, Bytes{0x30}, Bytes{0x31, 0}, joined(right), after}) {
        request.extension_value = value;
        EXPECT_EQ(code(), "certificate_malformed") << to_hex(value);
    }
    Bytes texts_longest = sequence({version, text(std::string(256, 'a')), text("b"), text("c"), text("d"),
                                    text("e"), der_element(4, Bytes(quote_size_max, 7))});
    request.extension_value = texts_longest;
    EXPECT_EQ(code(), "");
}

TEST_F(RatlsReader, RefusesQuotesAndCertificatesThatAreTooLarge) {
    request.deployed_layout = true;
    request.extension_value = Bytes(quote_size_max, 7);
    EXPECT_EQ(code(), "");
    request.extension_value = Bytes(quote_size_max + 1, 7);
    EXPECT_EQ(code(), "certificate_malformed");
    request.extension_value = Bytes(100, 7);
    request.more_extensions = {
        {.oid = "1.2.3.4", .critical = false, .der = Bytes(ratls_certificate_bytes_max, 1)}};
    EXPECT_EQ(code(), "certificate_malformed");
    request.more_extensions.clear();
    request.extension_value = Bytes{};
    EXPECT_EQ(code(), "certificate_malformed");
    request.extension_value = Bytes{4, 0};  // Wrapped, and nothing in it.
    EXPECT_EQ(code(), "certificate_malformed");
}

TEST_F(RatlsReader, RefusesWhatIsNoCertificateOrCarriesNoQuote) {
    Bytes der = make();
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, der.size() / 2, der.size() - 1})
        EXPECT_EQ(read_ratls_certificate(ByteSpan(der).first(size), at).error().code,
                  "certificate_malformed");
    der.push_back(0);
    EXPECT_EQ(read_ratls_certificate(der, at).error().code, "certificate_malformed");
    EXPECT_EQ(read_ratls_certificate(platform().root_certificate, at).error().code, "certificate_malformed");
}

// Not one byte of it can be changed: the key signs all of it but its own signature, which then does not hold.
TEST_F(RatlsReader, NoByteOfItCanBeChanged) {
    const Bytes der = make();
    for (std::size_t i = 0; i < der.size(); i += 7) {
        Bytes changed = der;
        changed[i] ^= 0x20;
        EXPECT_FALSE(read_ratls_certificate(changed, at)) << i;
    }
}

// Computed apart from this code, with Python's hashlib.
TEST(RatlsReportData, IsTheHashOfItsInputsEachWithItsLength) {
    const auto spki_sha256 = crypto::sha256(as_bytes("spki bytes"));
    const WallTime from{std::chrono::seconds(1700000000)}, until{std::chrono::seconds(1700086400)};
    const std::string before = to_hex(report_data_ratls(agent, spki_sha256, from, until));
    EXPECT_EQ(before,
              "6ebd35cbbb6081664218cf7cc7101d6e8275de55382de3241af70d864ad175cd"
              "6e7de20aa9ccc871f6613f45007ef42641777475c8c26eefdfe8b9464c870e37");
    EXPECT_EQ(to_hex(report_data_deployed_ratls(spki_sha256)), to_hex(spki_sha256) + std::string(64, '0'));

    const std::function<void(RatlsIdentity&)> changes[] = {
        [](RatlsIdentity& i) { i.role = "control"; },
        [](RatlsIdentity& i) { i.app_name = "other"; },
        [](RatlsIdentity& i) { i.repo = "org/other"; },
        [](RatlsIdentity& i) { i.release_tag = "v9"; },
        [](RatlsIdentity& i) { i.network = "forge-1"; },
        // Without lengths these would be the same text.
        [](RatlsIdentity& i) {
            i.app_name = "myap";
            i.repo = "porg/repo";
        },
    };
    for (const auto& change : changes) {
        RatlsIdentity changed = agent;
        change(changed);
        EXPECT_NE(to_hex(report_data_ratls(changed, spki_sha256, from, until)), before);
    }
    EXPECT_NE(to_hex(report_data_ratls(agent, spki_sha256, from + 1s, until)), before);
    EXPECT_NE(to_hex(report_data_ratls(agent, spki_sha256, from, until - 1s)), before);
    EXPECT_NE(to_hex(report_data_ratls(agent, crypto::Sha256{}, from, until)), before);
}

}  // namespace
}  // namespace ee::attestation
