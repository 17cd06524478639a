#include "attestation/pck_extension.h"

#include <gtest/gtest.h>

#include "base/hex.h"

namespace ee::attestation {
namespace {

Bytes element(std::uint8_t tag, const Bytes& content) {
    Bytes out;
    out.reserve(content.size() + 4);
    out.push_back(tag);
    // The shortest form of the length is part of DER.
    const std::size_t size = content.size();
    if (size >= 0x100)
        out.push_back(0x82);
    else if (size >= 0x80)
        out.push_back(0x81);
    if (size >= 0x100) out.push_back(static_cast<std::uint8_t>(size >> 8));
    out.push_back(static_cast<std::uint8_t>(size));
    out.insert(out.end(), content.begin(), content.end());
    return out;
}

Bytes joined(const std::vector<Bytes>& parts) {
    Bytes out;
    for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
}

// 1.2.840.113741.1.13.1 and the arcs below it.
Bytes oid(const Bytes& arcs) {
    Bytes content = from_hex("2a864886f84d010d01").value();
    content.insert(content.end(), arcs.begin(), arcs.end());
    return element(0x06, content);
}

Bytes octets(std::size_t size, std::uint8_t fill) {
    return element(0x04, Bytes(size, fill));
}
Bytes integer(const Bytes& digits) {
    return element(0x02, digits);
}
Bytes entry(const Bytes& arcs, const Bytes& value) {
    return element(0x30, joined({oid(arcs), value}));
}

// The parts of an extension, each of which a test may change.
struct Extension {
    std::vector<Bytes> tcb;
    std::vector<Bytes> entries;

    Extension() {
        for (std::uint8_t i = 1; i <= 16; ++i) tcb.push_back(entry({2, i}, integer({i})));
        tcb.push_back(entry({2, 17}, integer({0x01, 0x04})));
        Bytes cpu_svn;
        for (std::uint8_t i = 1; i <= 16; ++i) cpu_svn.push_back(i);
        tcb.push_back(entry({2, 18}, element(0x04, cpu_svn)));
        entries = {entry({1}, octets(16, 0xa1)),
                   {},
                   entry({3}, octets(2, 0xa3)),
                   entry({4}, octets(6, 0xa4)),
                   entry({5}, element(0x0a, {1}))};
    }

    Bytes der() const {
        std::vector<Bytes> all = entries;
        if (all.size() > 1 && all[1].empty()) all[1] = entry({2}, element(0x30, joined(tcb)));
        return element(0x30, joined(all));
    }
};

TEST(PckExtension, ReadsEveryRequiredEntry) {
    const auto pck = parse_pck_extension(Extension().der());
    ASSERT_TRUE(pck) << pck.error().detail;
    EXPECT_EQ(to_hex(pck->ppid), to_hex(Bytes(16, 0xa1)));
    EXPECT_EQ(pck->cpu_svn[0], 1);
    EXPECT_EQ(pck->cpu_svn[15], 16);
    EXPECT_EQ(pck->pce_svn, 260);
    EXPECT_EQ(to_hex(pck->pce_id), "a3a3");
    EXPECT_EQ(to_hex(pck->fmspc), "a4a4a4a4a4a4");
    EXPECT_EQ(pck->sgx_type, 1);
    EXPECT_FALSE(pck->platform_instance_id);
}

TEST(PckExtension, TakesEntriesInAnyOrderAndOptionalOnes) {
    Extension extension;
    extension.entries.push_back(entry({6}, octets(16, 0xa6)));
    extension.entries.push_back(entry({7}, element(0x30, joined({entry({7, 2}, element(0x01, {0x00})),
                                                                 entry({7, 1}, element(0x01, {0xff}))}))));
    std::reverse(extension.tcb.begin(), extension.tcb.end());
    const auto pck = parse_pck_extension(extension.der());
    ASSERT_TRUE(pck) << pck.error().detail;
    EXPECT_EQ(pck->platform_instance_id->front(), 0xa6);
    EXPECT_EQ(pck->dynamic_platform, true);
    EXPECT_EQ(pck->cached_keys, false);
    EXPECT_EQ(pck->smt_enabled, std::nullopt);
}

struct Mutation {
    const char* name;
    const char* detail;
    void (*apply)(Extension&);
};

void PrintTo(const Mutation& mutation, std::ostream* out) {
    *out << mutation.name;
}

class PckExtensionRefuses : public testing::TestWithParam<Mutation> {};

TEST_P(PckExtensionRefuses, AMutation) {
    Extension extension;
    GetParam().apply(extension);
    const auto pck = parse_pck_extension(extension.der());
    ASSERT_FALSE(pck);
    EXPECT_EQ(pck.error(),
              (Error{"certificate_chain_invalid", std::string("PCK extension: ") + GetParam().detail}));
}

INSTANTIATE_TEST_SUITE_P(
    Table, PckExtensionRefuses,
    testing::Values(
        Mutation{"no_ppid", "no entry 1", [](Extension& e) { e.entries.erase(e.entries.begin()); }},
        Mutation{"no_tcb", "no entry 2", [](Extension& e) { e.entries[1] = entry({9}, octets(1, 0)); }},
        Mutation{"no_fmspc", "no entry 4", [](Extension& e) { e.entries.erase(e.entries.begin() + 3); }},
        Mutation{"no_sgx_type", "no entry 5", [](Extension& e) { e.entries.pop_back(); }},
        Mutation{"fmspc_twice", "entry 4 twice", [](Extension& e) { e.entries.push_back(e.entries[3]); }},
        Mutation{"optional_entry_twice", "entry 6 twice",
                 [](Extension& e) { e.entries.insert(e.entries.end(), 2, entry({6}, octets(16, 1))); }},
        Mutation{"ppid_short", "entry 1 is not 16 octets",
                 [](Extension& e) { e.entries[0] = entry({1}, octets(15, 1)); }},
        Mutation{"pce_id_long", "entry 3 is not 2 octets",
                 [](Extension& e) { e.entries[2] = entry({3}, octets(3, 1)); }},
        Mutation{"fmspc_long", "entry 4 is not 6 octets",
                 [](Extension& e) { e.entries[3] = entry({4}, octets(7, 1)); }},
        Mutation{"fmspc_as_integer", "entry 4 is not 6 octets",
                 [](Extension& e) { e.entries[3] = entry({4}, integer({1})); }},
        Mutation{"value_after_fmspc", "entry 4 is not 6 octets",
                 [](Extension& e) { e.entries[3] = entry({4}, joined({octets(6, 1), octets(6, 1)})); }},
        Mutation{"no_pce_id", "no entry 3", [](Extension& e) { e.entries.erase(e.entries.begin() + 2); }},
        Mutation{"tcb_as_octets", "entry 2 is not a sequence",
                 [](Extension& e) { e.entries[1] = entry({2}, octets(1, 1)); }},
        Mutation{"value_after_tcb", "entry 2 is not a sequence",
                 [](Extension& e) {
                     e.entries[1] = entry({2}, joined({element(0x30, joined(e.tcb)), octets(1, 1)}));
                 }},
        Mutation{"sgx_type_unknown", "entry 5 is not a number up to 2",
                 [](Extension& e) { e.entries[4] = entry({5}, element(0x0a, {3})); }},
        Mutation{"sgx_type_as_integer", "entry 5 is not a number up to 2",
                 [](Extension& e) { e.entries[4] = entry({5}, integer({1})); }},
        Mutation{"value_after_sgx_type", "entry 5 is not a number up to 2",
                 [](Extension& e) { e.entries[4] = entry({5}, joined({element(0x0a, {1}), octets(1, 1)})); }},
        Mutation{"instance_id_short", "entry 6 is not 16 octets",
                 [](Extension& e) { e.entries.push_back(entry({6}, octets(15, 1))); }},
        Mutation{"configuration_as_octets", "entry 7 is not a sequence",
                 [](Extension& e) { e.entries.push_back(entry({7}, octets(1, 1))); }},
        Mutation{
            "value_after_configuration", "entry 7 is not a sequence",
            [](Extension& e) { e.entries.push_back(entry({7}, joined({element(0x30, {}), octets(1, 1)}))); }},
        Mutation{"configuration_flag_twice", "entry 1 twice",
                 [](Extension& e) {
                     const Bytes flag = entry({7, 1}, element(0x01, {0xff}));
                     e.entries.push_back(entry({7}, element(0x30, joined({flag, flag}))));
                 }},
        Mutation{"configuration_flag_as_integer", "entry 7.1 is no flag",
                 [](Extension& e) {
                     e.entries.push_back(entry({7}, element(0x30, entry({7, 1}, integer({1})))));
                 }},
        Mutation{"value_after_configuration_flag", "entry 7.1 is no flag",
                 [](Extension& e) {
                     const Bytes flag = element(0x01, {0xff});
                     e.entries.push_back(entry({7}, element(0x30, entry({7, 1}, joined({flag, flag})))));
                 }},
        Mutation{"configuration_flag_misspelled", "entry 7.3 is no flag",
                 [](Extension& e) {
                     e.entries.push_back(entry({7}, element(0x30, entry({7, 3}, element(0x01, {1})))));
                 }},
        Mutation{"configuration_flag_unknown", "an entry 7.4, known are 7.1 to 7.3",
                 [](Extension& e) {
                     e.entries.push_back(entry({7}, element(0x30, entry({7, 4}, element(0x01, {0xff})))));
                 }},
        Mutation{"component_missing", "no entry 5", [](Extension& e) { e.tcb.erase(e.tcb.begin() + 4); }},
        Mutation{"component_twice", "entry 5 twice", [](Extension& e) { e.tcb.push_back(e.tcb[4]); }},
        Mutation{"component_differs", "component 5 has SVN 6, CPUSVN says 5",
                 [](Extension& e) { e.tcb[4] = entry({2, 5}, integer({6})); }},
        Mutation{"component_over_255", "entry 5 is not a number up to 255",
                 [](Extension& e) { e.tcb[4] = entry({2, 5}, integer({0x01, 0x05})); }},
        Mutation{"value_after_component", "entry 5 is not a number up to 255",
                 [](Extension& e) { e.tcb[4] = entry({2, 5}, joined({integer({5}), integer({5})})); }},
        Mutation{"component_negative", "entry 5 is not a number up to 255",
                 [](Extension& e) { e.tcb[4] = entry({2, 5}, integer({0x85})); }},
        Mutation{"pce_svn_missing", "no entry 17", [](Extension& e) { e.tcb.erase(e.tcb.begin() + 16); }},
        Mutation{"pce_svn_over_16_bits", "entry 17 is not a number up to 65535",
                 [](Extension& e) { e.tcb[16] = entry({2, 17}, integer({1, 0, 0})); }},
        Mutation{"cpu_svn_missing", "no entry 18", [](Extension& e) { e.tcb.pop_back(); }},
        Mutation{"cpu_svn_short", "entry 18 is not 16 octets",
                 [](Extension& e) { e.tcb.back() = entry({2, 18}, octets(15, 1)); }},
        Mutation{"entry_outside", "an entry 1.2.840.113741.1.13.2 outside 1.2.840.113741.1.13.1.",
                 [](Extension& e) {
                     e.entries.push_back(element(
                         0x30,
                         joined({element(0x06, from_hex("2a864886f84d010d02").value()), octets(1, 1)})));
                 }},
        Mutation{"entry_without_oid", "an entry that is no pair of OID and value",
                 [](Extension& e) { e.entries.push_back(element(0x30, octets(1, 1))); }}));

TEST(PckExtension, RefusesWhatIsNotOneSequence) {
    Bytes der = Extension().der();
    der.push_back(0);
    EXPECT_FALSE(parse_pck_extension(der));
    EXPECT_FALSE(parse_pck_extension({}));
    EXPECT_FALSE(parse_pck_extension(Bytes{0x30, 0x80, 0, 0}));
}

}  // namespace
}  // namespace ee::attestation
