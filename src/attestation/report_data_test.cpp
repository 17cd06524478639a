#include "attestation/report_data.h"

#include <functional>
#include <set>
#include <tuple>

#include <gtest/gtest.h>

#include "base/hex.h"

namespace ee::attestation {
namespace {

struct LayoutTwo : testing::Test {
    ByteArray<32> nonce = [] {
        ByteArray<32> out{};
        for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(i);
        return out;
    }();
    Bytes agent_key = to_bytes(as_bytes("spki bytes"));
    Bytes channel = Bytes(32, 0xcc);
    std::string wire = "2";
    std::string role = std::string(agent_role);
    AgentIdentity identity{.agent_id = "agent-1",
                           .node_id = "node-1",
                           .app_name = "myapp",
                           .repo = "org/repo",
                           .release_tag = "v0.1.3",
                           .network = "forge-1"};
    Claims measurements{{"sealed", true}, {"config_sha256", "aa"}};

    std::string hex() const {
        return to_hex(report_data_layout2({.role = role,
                                           .nonce = nonce,
                                           .agent_key = agent_key,
                                           .channel = channel,
                                           .wire = wire,
                                           .identity = identity,
                                           .measurements = measurements}));
    }
};

// Computed apart from this code, with Python's hashlib.
TEST_F(LayoutTwo, IsTheHashOfItsInputsEachWithItsLength) {
    EXPECT_EQ(hex(),
              "1ae85d03198aa0f3deb59aa02877d5e5bae76d28f96a9dd2789675633e69da3f"
              "5a8a88c59d0eec35c3d75ccc0de16bae7e113c89b88bfbf0371605243188c72c");
    agent_key.clear();
    channel.clear();
    wire = "1";
    identity.node_id.clear();
    EXPECT_EQ(hex(),
              "b2dbf9138f43c1d5ba76a06cce9a8e9f5682d3a28514ef54fae89df497f42462"
              "80fe0c59405f5214176ca359cc061204a6c8f63abf26e498711795514fa2423b");
}

// Computed apart from this code, too.
TEST_F(LayoutTwo, OfAFreshQuoteBindsNonceConnectionAndKey) {
    ByteArray<32> spki_sha256;
    spki_sha256.fill(0xab);
    const ReportData before = report_data_connect(nonce, channel, spki_sha256);
    EXPECT_EQ(to_hex(before),
              "74f7a33d180178a5418d48b0912c919ae8e3f601dae1ebc4186d518557255c3c"
              "ef42e8c84bdf3bdb1a2c94893ba4dc063299ccc0fe1825764122ed5d06e1591f");
    ByteArray<32> other = nonce;
    other[31] ^= 1;
    EXPECT_NE(report_data_connect(other, channel, spki_sha256), before);
    EXPECT_NE(report_data_connect(nonce, Bytes(31, 0xcc), spki_sha256), before);
    EXPECT_NE(report_data_connect(nonce, {}, spki_sha256), before);
    spki_sha256[0] ^= 1;
    EXPECT_NE(report_data_connect(nonce, channel, spki_sha256), before);
}

TEST_F(LayoutTwo, ChangesWithEveryInput) {
    const std::string before = hex();
    const std::function<void()> changes[] = {
        [&] { role = "control"; },
        [&] { nonce[31] ^= 1; },
        [&] { agent_key.push_back(0); },
        [&] { agent_key.clear(); },
        [&] { channel[0] ^= 1; },
        [&] { wire = "1"; },
        [&] { identity.agent_id = "agent-2"; },
        [&] { identity.node_id.clear(); },
        [&] { identity.app_name = "other"; },
        [&] { identity.repo = "org/other"; },
        [&] { identity.release_tag = "v0.1.4"; },
        [&] { identity.network = "sandbox-1"; },
        [&] { measurements["sealed"] = false; },
        [&] { measurements["more"] = nullptr; },
    };
    std::size_t at = 0;
    for (const auto& change : changes) {
        const LayoutTwo& self = *this;
        const auto saved = std::tuple(self.role, self.nonce, self.agent_key, self.channel, self.wire,
                                      self.identity, self.measurements);
        change();
        EXPECT_NE(hex(), before) << "change " << at;
        std::tie(role, nonce, agent_key, channel, wire, identity, measurements) = saved;
        EXPECT_EQ(hex(), before);
        ++at;
    }
}

// Without lengths these would be one and the same text.
TEST_F(LayoutTwo, KeepsNeighbouringFieldsApart) {
    identity.agent_id = "ab";
    identity.node_id = "c";
    const std::string one = hex();
    identity.agent_id = "a";
    identity.node_id = "bc";
    EXPECT_NE(hex(), one);
}

TEST(ReportDataControl, IsTheHashTheSpecificationSays) {
    const std::string_view log_id = "0123456789abcdef0123456789abcdef";
    ByteArray<32> last_root;
    last_root.fill(9);
    const ByteArray<32> nonce = log_key_nonce(log_id, 258, last_root);
    EXPECT_EQ(to_hex(nonce), "ab931f1f022cceebf930e812b4003d566fe95b417abbaad7adf12b842370a178");
    ByteArray<32> key;
    key.fill(5);
    ByteArray<32> spki;
    spki.fill(6);
    ControlIdentity identity{.tls_spki_sha256 = {},
                             .ledger_public_key = key,
                             .log_id = log_id,
                             .repo = "easyenclave/easyenclave",
                             .release_tag = "v0.2.0"};
    EXPECT_EQ(to_hex(report_data_control(nonce, identity)),
              "6a1c301ea744cc52ab7c828a440687bc69e0e7378579ec73b7080b5dfdc8a528"
              "a680b99b7b676bd44c260ff982cd9441de7cd4e8ef4e1341331e85e04e6e15d7");
    identity.tls_spki_sha256 = spki;
    EXPECT_EQ(to_hex(report_data_control(nonce, identity)),
              "c38335dca328c2bb4f16dd9eefdb9230d8d25ae10179ad624396f32e0869b790"
              "69386609f520c505e376752221a5e3dffecd67f8b8d16b88510b8512c5e77bc3");
}

TEST(ReportDataControl, EachInputAloneChangesIt) {
    const ByteArray<32> zeros{};
    const ByteArray<32> ones = [] {
        ByteArray<32> out;
        out.fill(1);
        return out;
    }();
    const ControlIdentity plain{
        .tls_spki_sha256 = {}, .ledger_public_key = zeros, .log_id = "a", .repo = "o/r", .release_tag = "v1"};
    std::set<std::string> seen = {to_hex(report_data_control(zeros, plain)),
                                  to_hex(report_data_control(ones, plain))};
    const std::vector<void (*)(ControlIdentity&, const ByteArray<32>&)> changes = {
        [](ControlIdentity& i, const ByteArray<32>& other) { i.tls_spki_sha256 = other; },
        [](ControlIdentity& i, const ByteArray<32>& other) { i.ledger_public_key = other; },
        [](ControlIdentity& i, const ByteArray<32>&) { i.ledger_public_key = {}; },
        [](ControlIdentity& i, const ByteArray<32>&) { i.log_id = "b"; },
        [](ControlIdentity& i, const ByteArray<32>&) { i.repo = "o/rv"; },
        [](ControlIdentity& i, const ByteArray<32>&) { i.release_tag = "1"; },
    };
    for (const auto change : changes) {
        ControlIdentity identity = plain;
        change(identity, ones);
        EXPECT_TRUE(seen.insert(to_hex(report_data_control(zeros, identity))).second);
    }
    EXPECT_NE(log_key_nonce("a", 1, zeros), log_key_nonce("a", 2, zeros));
    EXPECT_NE(log_key_nonce("a", 1, zeros), log_key_nonce("a", 1, ones));
    EXPECT_NE(log_key_nonce("a", 1, zeros), log_key_nonce("b", 1, zeros));
}

TEST(SessionMessage, IsTheLabelAndTheReportData) {
    ReportData report_data{};
    report_data[63] = 7;
    const Bytes message = session_message(report_data);
    EXPECT_EQ(as_text(message).substr(0, 22), std::string_view("easyenclave/session/2\0", 22));
    EXPECT_EQ(to_hex(ByteSpan(message).subspan(22)), to_hex(report_data));
}

struct LegacyLayout : testing::Test {
    Claims claims{{"agent_dir_sha256", std::string(64, 'a')},
                  {"agent_py_sha256", std::string(64, 'b')},
                  {"vm_image_id", "tag=v0.1.3"},
                  {"sealed", false}};
};

TEST_F(LegacyLayout, IsTheHashOfFourClaimsAndZeros) {
    EXPECT_EQ(to_hex(report_data_legacy(claims).value()),
              "112966dee150c65513eaf4d7e01ca44d4c59e10146fed08f59f33406a1613848" + std::string(64, '0'));
    const auto before = report_data_legacy(claims);
    claims["config_sha256"] = "not covered";
    EXPECT_EQ(report_data_legacy(claims), before);
    claims["sealed"] = true;
    EXPECT_NE(report_data_legacy(claims), before);
}

TEST_F(LegacyLayout, NeedsEveryClaimInItsType) {
    for (const char* name : {"agent_dir_sha256", "agent_py_sha256", "vm_image_id", "sealed"}) {
        Claims without = claims;
        without.erase(name);
        EXPECT_FALSE(report_data_legacy(without)) << name;
        Claims null = claims;
        null[name] = nullptr;
        EXPECT_FALSE(report_data_legacy(null)) << name;
    }
    claims["sealed"] = "false";
    EXPECT_FALSE(report_data_legacy(claims));
}

// "a\nagent_py=b" as one claim would hash like two.
TEST_F(LegacyLayout, RefusesLineBreaksThatCouldMoveABorder) {
    claims["agent_py_sha256"] = "b\nvm_image_id=x";
    EXPECT_FALSE(report_data_legacy(claims));
}

TEST_F(LegacyLayout, BindsNoOtherClaims) {
    claims["config_sha256"] = "cc";
    const Claims bound = legacy_bound_claims(claims);
    EXPECT_EQ(bound.size(), 4u);
    EXPECT_FALSE(bound.contains("config_sha256"));
}

}  // namespace
}  // namespace ee::attestation
