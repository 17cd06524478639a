#include "attestation/tcb_info.h"

#include <gtest/gtest.h>

#include "attestation/collateral.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

std::string components(const std::string& first) {
    std::string out = "[{\"svn\":" + first + ",\"category\":\"BIOS\"}";
    for (int i = 1; i < 16; ++i) out += ",{\"svn\":0}";
    return out + "]";
}

std::string level(const std::string& sgx, const std::string& pce, const std::string& tdx,
                  const std::string& status) {
    return R"({"tcb":{"sgxtcbcomponents":)" + components(sgx) + R"(,"pcesvn":)" + pce +
           R"(,"tdxtcbcomponents":)" + components(tdx) +
           R"(},"tcbDate":"2024-03-13T00:00:00Z","tcbStatus":")" + status +
           R"(","advisoryIDs":["INTEL-SA-1","INTEL-SA-2"]})";
}

const std::string signer = R"("mrsigner":")" + std::string(96, '0') +
                           R"(","attributes":"0000000000000001",)" + R"("attributesMask":"FFFFFFFFFFFFFFFf")";

// In no particular order of levels.
std::string document() {
    return R"({"id":"TDX","version":3,"issueDate":"2025-06-19T10:16:03Z",)"
           R"("nextUpdate":"2025-07-19T10:16:03Z",)"
           R"("fmspc":"B0c06F000000","pceId":"0100","tcbType":0,"tcbEvaluationDataNumber":17,"tdxModule":{)" +
           signer + R"(},"tdxModuleIdentities":[{"id":"TDX_1a",)" + signer +
           R"(,"tcbLevels":[{"tcb":{"isvsvn":2},"tcbDate":"2023-08-09T00:00:00Z","tcbStatus":"OutOfDate"},)"
           R"({"tcb":{"isvsvn":4},"tcbDate":"2024-03-13T00:00:00Z","tcbStatus":"UpToDate"}]}],)"
           R"("tcbLevels":[)" +
           level("2", "5", "9", "OutOfDate") + "," + level("2", "11", "4", "SWHardeningNeeded") + "," +
           level("2", "11", "5", "UpToDate") + R"(],"unknown":{"x":[1]}})";
}

std::string replaced(const std::string& from, const std::string& to) {
    std::string text = document();
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

TEST(TcbInfo, IsReadWithItsLevelsHighestFirst) {
    const auto info = parse_tcb_info(document());
    ASSERT_TRUE(info) << info.error().detail;
    EXPECT_EQ(to_rfc3339(info->issued_at), "2025-06-19T10:16:03Z");
    EXPECT_EQ(to_rfc3339(info->next_update), "2025-07-19T10:16:03Z");
    EXPECT_EQ(to_hex(info->fmspc), "b0c06f000000");
    EXPECT_EQ(to_hex(info->pce_id), "0100");
    EXPECT_EQ(info->evaluation_number, 17u);
    EXPECT_EQ(info->module.attributes[7], 1);
    EXPECT_EQ(info->module.attributes_mask[0], 0xff);
    ASSERT_EQ(info->module_identities.size(), 1u);
    EXPECT_EQ(info->module_identities[0].version, 0x1a);
    EXPECT_EQ(info->module_identities[0].levels[0].isv_svn, 4);
    EXPECT_EQ(info->module_identities[0].levels[1].verdict.status, TcbStatus::out_of_date);
    ASSERT_EQ(info->levels.size(), 3u);
    EXPECT_EQ(info->levels[0].tdx_components[0], 5);
    EXPECT_EQ(info->levels[0].verdict.status, TcbStatus::up_to_date);
    EXPECT_EQ(info->levels[1].pce_svn, 11);
    // PCE SVN counts before the TDX components.
    EXPECT_EQ(info->levels[2].tdx_components[0], 9);
    EXPECT_EQ(info->levels[2].verdict.advisory_ids, (std::vector<std::string>{"INTEL-SA-1", "INTEL-SA-2"}));
}

TEST(TcbInfo, DoesWithoutModuleIdentities) {
    std::string text = document();
    const std::size_t from = text.find("\"tdxModuleIdentities\""),
                      to = text.find("\"tcbLevels\":[{\"tcb\":{\"sgx");
    const auto info = parse_tcb_info(text.erase(from, to - from));
    ASSERT_TRUE(info) << info.error().detail;
    EXPECT_TRUE(info->module_identities.empty());
}

TEST(TcbInfo, OfAnotherTeeIsMismatchedWhateverElseItHas) {
    for (const char* text :
         {R"({"id":"SGX"})", R"({"id":"SGX","version":2,"tcbLevels":7})", R"({"id":"QE"})"}) {
        const auto info = parse_tcb_info(text);
        ASSERT_FALSE(info);
        EXPECT_EQ(info.error().code, "collateral_mismatch:tcb_info_id");
    }
}

TEST(TcbInfo, IsRefusedByThePointerOfTheFieldThatIsWrong) {
    struct Row {
        std::string from, to, pointer;
    };
    const std::string sgx = R"("sgxtcbcomponents":[{"svn":2,"category":"BIOS"})";
    const Row rows[] = {
        {R"("id":"TDX",)", "", "/id"},
        {R"("id":"TDX")", R"("id":7)", "/id"},
        {R"("version":3)", R"("version":2)", "/version"},
        {R"("version":3)", R"("version":"3")", "/version"},
        {R"("version":3)", R"("version":3.0)", "/version"},
        {R"("version":3,)", "", "/version"},
        {R"("version":3)", R"("version":3,"version":3)", "/version"},
        {R"("issueDate":"2025-06-19T10:16:03Z")", R"("issueDate":"yesterday")", "/issueDate"},
        {R"("issueDate":"2025-06-19T10:16:03Z",)", "", "/issueDate"},
        {R"("nextUpdate":"2025-07-19)", R"("nextUpdate":"2025-05-19)", "/nextUpdate"},
        {R"("fmspc":"B0c06F000000")", R"("fmspc":"B0c06F0000")", "/fmspc"},
        {R"("fmspc":"B0c06F000000")", R"("fmspc":"B0c06F00000g")", "/fmspc"},
        {R"("pceId":"0100")", R"("pceId":"")", "/pceId"},
        {R"("tcbType":0)", R"("tcbType":1)", "/tcbType"},
        {R"("tcbEvaluationDataNumber":17)", R"("tcbEvaluationDataNumber":-1)", "/tcbEvaluationDataNumber"},
        {R"("tdxModule":{)", R"("tdxModule":7,"x":{)", "/tdxModule"},
        {R"("tdxModule":{"mrsigner":"00)", R"("tdxModule":{"mrsigner":")", "/tdxModule/mrsigner"},
        {R"("attributesMask":"FF)", R"("attributesMask":")", "/tdxModule/attributesMask"},
        {R"([{"id":"TDX_1a")", R"([{"id":"TDX_1")", "/tdxModuleIdentities/0/id"},
        {R"([{"id":"TDX_1a")", R"([{"id":"SGX_1a")", "/tdxModuleIdentities/0/id"},
        {R"([{"id":"TDX_1a")", R"([7,{"id":"TDX_1a")", "/tdxModuleIdentities/0"},
        {R"({"isvsvn":4})", R"({"isvsvn":2})", "/tdxModuleIdentities/0/tcbLevels/1/tcb"},
        {R"({"isvsvn":4})", R"({"isvsvn":65536})", "/tdxModuleIdentities/0/tcbLevels/1/tcb/isvsvn"},
        {R"("tcbStatus":"OutOfDate"})", R"("tcbStatus":"ConfigurationNeeded"})",
         "/tdxModuleIdentities/0/tcbLevels/0/tcbStatus"},
        {sgx, R"("sgxtcbcomponents":[{"svn":256})", "/tcbLevels/0/tcb/sgxtcbcomponents/0/svn"},
        {sgx, R"("sgxtcbcomponents":[{"category":"BIOS"})", "/tcbLevels/0/tcb/sgxtcbcomponents/0/svn"},
        {sgx + ",", R"("sgxtcbcomponents":[)", "/tcbLevels/0/tcb/sgxtcbcomponents"},
        {sgx, sgx + R"(,{"svn":0})", "/tcbLevels/0/tcb/sgxtcbcomponents"},
        {R"(,"tdxtcbcomponents":)", R"(,"other":)", "/tcbLevels/0/tcb/tdxtcbcomponents"},
        {R"("pcesvn":5)", R"("pcesvn":65536)", "/tcbLevels/0/tcb/pcesvn"},
        {R"("tcbStatus":"SWHardeningNeeded")", R"("tcbStatus":"TDRelaunchAdvised")",
         "/tcbLevels/1/tcbStatus"},
        {R"("tcbStatus":"SWHardeningNeeded")", R"("tcbStatus":"NotEvaluated")", "/tcbLevels/1/tcbStatus"},
        {R"("tcbStatus":"SWHardeningNeeded")", R"("tcbStatus":"uptodate")", "/tcbLevels/1/tcbStatus"},
        {R"("advisoryIDs":["INTEL-SA-1")", R"("advisoryIDs":[1)", "/tcbLevels/0/advisoryIDs"},
        {R"("unknown":{)", R"("tcbType":{)", "/tcbType"},
    };
    for (const Row& row : rows) {
        SCOPED_TRACE(row.from + " -> " + row.to);
        const auto info = parse_tcb_info(replaced(row.from, row.to));
        ASSERT_FALSE(info);
        EXPECT_EQ(info.error().code, "collateral_malformed:tcb_info");
        EXPECT_TRUE(info.error().detail.starts_with(row.pointer + ": ")) << info.error().detail;
    }
}

TEST(TcbInfo, HasEachLevelAndEachIdentityOnce) {
    std::string twice = document();
    const std::size_t levels = twice.find("\"tcbLevels\":[{\"tcb\":{\"sgx") + 13;
    twice.insert(levels, level("2", "11", "5", "Revoked") + ",");
    const auto info = parse_tcb_info(twice);
    ASSERT_FALSE(info);
    EXPECT_TRUE(info.error().detail.starts_with("/tcbLevels/3/tcb: the same as of level 0"))
        << info.error().detail;

    const std::string identity = R"({"id":"TDX_1A",)" + signer + R"(,"tcbLevels":[]},)";
    const auto identities =
        parse_tcb_info(replaced(R"("tdxModuleIdentities":[)", R"("tdxModuleIdentities":[)" + identity));
    ASSERT_FALSE(identities);
    EXPECT_TRUE(identities.error().detail.starts_with("/tdxModuleIdentities/0/tcbLevels: 0 elements"))
        << identities.error().detail;
}

TEST(TcbInfo, OfTheSameModuleVersionTwiceIsRefused) {
    std::string text = document();
    const std::size_t from = text.find(R"({"id":"TDX_1a")"), to = text.find(R"(],"tcbLevels":[{"tcb":{"sgx)");
    const std::string identity = text.substr(from, to - from);
    const auto info = parse_tcb_info(text.insert(from, identity + ","));
    ASSERT_FALSE(info);
    EXPECT_TRUE(info.error().detail.starts_with("/tdxModuleIdentities/1/id: ")) << info.error().detail;
}

TEST(TcbInfo, HasItsCaps) {
    const std::string deep = std::string(40, '[') + std::string(40, ']');
    const std::string texts[] = {"",
                                 "7",
                                 "[]",
                                 document() + "x",
                                 document().substr(0, 500),
                                 replaced(R"({"x":[1]})", deep),
                                 std::string(tcb_info_size_max + 1, ' ')};
    for (const std::string& text : texts) {
        const auto info = parse_tcb_info(text);
        ASSERT_FALSE(info) << text.substr(0, 60);
        EXPECT_EQ(info.error().code, "collateral_malformed:tcb_info");
        EXPECT_TRUE(info.error().detail.starts_with("/: ")) << info.error().detail;
    }
    std::string large = document();
    large.resize(tcb_info_size_max, ' ');
    EXPECT_TRUE(parse_tcb_info(large));
    std::string keys = "{\"id\":\"TDX\"";
    for (int i = 0; i < 64; ++i) keys += ",\"k" + std::to_string(i) + "\":0";
    EXPECT_TRUE(parse_tcb_info(keys + "}").error().detail.starts_with("/: 65 keys"));
}

}  // namespace
}  // namespace ee::attestation
