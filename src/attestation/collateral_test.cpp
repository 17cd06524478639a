#include "attestation/collateral.h"

#include <gtest/gtest.h>

#include "attestation/simulated_platform.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

using std::chrono::sys_days;
using namespace std::chrono_literals;

TEST(CollateralFile, IsReadEntryByEntry) {
    const auto collateral = parse_collateral(
        R"({"root_ca_crl":"0a0B","pck_crl":null,"tcb_info":"{\"a\":1}","tcb_info_signature":"ff","x":7})");
    ASSERT_TRUE(collateral) << collateral.error().code;
    EXPECT_EQ(collateral->root_ca_crl, (Bytes{0x0a, 0x0b}));
    EXPECT_TRUE(collateral->pck_crl.empty());
    EXPECT_EQ(collateral->tcb_info, R"({"a":1})");
    EXPECT_EQ(collateral->tcb_info_signature, Bytes{0xff});
    const auto digests = collateral->sha256();
    ASSERT_EQ(digests.size(), 3u);
    EXPECT_EQ(digests.at("tcb_info"), crypto::sha256(as_bytes(R"({"a":1})")));
}

TEST(CollateralFile, IsRefusedByTheEntryThatIsWrong) {
    const std::pair<std::string, std::string> rows[] = {
        {"", "collateral_malformed"},
        {"[]", "collateral_malformed"},
        {"{}", "collateral_malformed"},
        {R"({"quote":"00"})", "collateral_malformed"},
        {R"({"tcb_info":)" + std::string(40, '[') + std::string(40, ']') + "}", "collateral_malformed"},
        {R"({"root_ca_crl":"0"})", "collateral_malformed:root_ca_crl"},
        {R"({"root_ca_crl":"zz"})", "collateral_malformed:root_ca_crl"},
        {R"({"pck_crl":5})", "collateral_malformed:pck_crl"},
        {R"({"tcb_info":{}})", "collateral_malformed:tcb_info"},
        {R"({"tcb_info":"a","tcb_info":"b"})", "collateral_malformed:tcb_info"},
        {R"({"tcb_info":")" + std::string(tcb_info_size_max + 1, 'x') + "\"}",
         "collateral_malformed:tcb_info"},
        {R"({"qe_identity":")" + std::string(qe_identity_size_max + 1, 'x') + "\"}",
         "collateral_malformed:qe_identity"},
        {R"({"pck_crl":")" + std::string(2 * crl_size_max + 2, '0') + "\"}", "collateral_malformed:pck_crl"},
        {std::string(collateral_file_size_max + 1, ' '), "collateral_malformed"},
    };
    for (const auto& [json, code] : rows) {
        const auto collateral = parse_collateral(json);
        ASSERT_FALSE(collateral) << json.substr(0, 80);
        EXPECT_EQ(collateral.error().code, code) << json.substr(0, 80);
    }
}

TEST(CollateralFile, IsTakenUpToItsCapAndNoFurther) {
    std::string json = R"({"tcb_info":"a"})";
    json.resize(collateral_file_size_max, ' ');
    EXPECT_TRUE(parse_collateral(json));
    json.push_back(' ');
    const auto larger = parse_collateral(json);
    ASSERT_FALSE(larger);
    EXPECT_EQ(larger.error(), (Error{"collateral_malformed", "5242881 bytes, at most 5242880 are taken"}));
}

TEST(CollateralLabel, SaysWhichPlatformAndAnchorItIsAbout) {
    const WallTime at = sys_days(2026y / 6 / 1);
    const SimulatedPlatform platform = make_simulated_platform(at);
    const auto collateral = parse_collateral(make_simulated_collateral(platform, at)).value();
    const auto label = read_collateral_label(collateral);
    ASSERT_TRUE(label);
    EXPECT_EQ(label->key.anchor_spki_sha256, crypto::sha256(platform.root_key.spki()));
    EXPECT_EQ(label->key.ca, PckCa::platform);
    EXPECT_EQ(label->issued_at, at);

    Collateral without_crl = collateral;
    without_crl.pck_crl.clear();
    EXPECT_EQ(read_collateral_label(without_crl)->key, label->key);
    without_crl.pck_crl_issuer_chain.clear();
    EXPECT_FALSE(read_collateral_label(without_crl));
    for (std::string Collateral::* part : {&Collateral::tcb_info, &Collateral::tcb_info_issuer_chain}) {
        Collateral broken = collateral;
        (broken.*part).clear();
        EXPECT_FALSE(read_collateral_label(broken));
    }
    for (const std::size_t depth : {31u, 32u}) {
        Collateral deep = collateral;
        deep.tcb_info.insert(1, "\"x\":" + std::string(depth, '[') + std::string(depth, ']') + ",");
        EXPECT_EQ(read_collateral_label(deep).has_value(), depth == 31u) << depth;
    }
}

}  // namespace
}  // namespace ee::attestation
