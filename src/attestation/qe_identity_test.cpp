#include "attestation/qe_identity.h"

#include <gtest/gtest.h>

#include "attestation/collateral.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

const std::string mr_signer = "DC9E2A7C6F948F17474E34A7FC43ED030F7C1563F1BABDDF6340C82E0E54A8C5";

std::string document() {
    return R"({"id":"TD_QE","version":2,"issueDate":"2025-06-19T10:32:27Z",)"
           R"("nextUpdate":"2025-07-19T10:32:27Z",)"
           R"("tcbEvaluationDataNumber":17,"miscselect":"01000000","miscselectMask":"FFFFFF00",)"
           R"("attributes":"11000000000000000000000000000000",)"
           R"("attributesMask":"F9FFFFFFFFFFFFFF0000000000000000",)"
           R"("mrsigner":")" +
           mr_signer +
           R"(","isvprodid":2,"tcbLevels":[{"tcb":{"isvsvn":4},)"
           R"("tcbDate":"2024-03-13T00:00:00Z","tcbStatus":"UpToDate"}]})";
}

QeReport report() {
    QeReport out;
    out.misc_select = 1;
    out.attributes = {0x11};
    out.mr_signer = *from_hex_exact<32>(mr_signer);
    out.isv_prod_id = 2;
    return out;
}

TEST(QeIdentity, IsReadFieldByField) {
    const auto identity = parse_qe_identity(document());
    ASSERT_TRUE(identity) << identity.error().detail;
    EXPECT_EQ(to_rfc3339(identity->next_update), "2025-07-19T10:32:27Z");
    EXPECT_EQ(identity->evaluation_number, 17u);
    EXPECT_EQ(to_hex(identity->misc_select_mask), "ffffff00");
    EXPECT_EQ(identity->isv_prod_id, 2);
    EXPECT_EQ(identity->levels[0].isv_svn, 4);
    EXPECT_TRUE(match_qe(*identity, report()));
}

TEST(QeIdentity, OfAnotherEnclaveIsMismatchedWhateverElseItHas) {
    for (const char* text : {R"({"id":"QE","version":2})", R"({"id":"TDX","version":3})"})
        EXPECT_EQ(parse_qe_identity(text).error().code, "collateral_mismatch:qe_identity_id");
}

TEST(QeIdentity, IsRefusedByThePointerOfTheFieldThatIsWrong) {
    struct Row {
        std::string from, to, pointer;
    };
    const Row rows[] = {
        {R"("id":"TD_QE",)", "", "/id"},
        {R"("version":2)", R"("version":3)", "/version"},
        {R"("nextUpdate":"2025-07)", R"("nextUpdate":"2025-13)", "/nextUpdate"},
        {R"("tcbEvaluationDataNumber":17)", R"("tcbEvaluationDataNumber":"17")", "/tcbEvaluationDataNumber"},
        {R"("miscselect":"01000000")", R"("miscselect":"0100000")", "/miscselect"},
        {R"("miscselectMask":"FFFFFF00",)", "", "/miscselectMask"},
        {R"("attributes":"11)", R"("attributes":"1100)", "/attributes"},
        {R"("attributesMask":"F9)", R"("attributesMask":"FX)", "/attributesMask"},
        {R"("mrsigner":"DC)", R"("mrsigner":")", "/mrsigner"},
        {R"("isvprodid":2)", R"("isvprodid":65536)", "/isvprodid"},
        {R"("isvprodid":2)", R"("isvprodid":2,"isvprodid":2)", "/isvprodid"},
        {R"([{"tcb")", R"([[],{"tcb")", "/tcbLevels/0"},
        {R"("tcbDate":"2024-03-13T00:00:00Z",)", "", "/tcbLevels/0/tcbDate"},
        {R"("tcbStatus":"UpToDate")", R"("tcbStatus":"SWHardeningNeeded")", "/tcbLevels/0/tcbStatus"},
    };
    for (const Row& row : rows) {
        SCOPED_TRACE(row.from + " -> " + row.to);
        std::string text = document();
        text.replace(text.find(row.from), row.from.size(), row.to);
        const auto identity = parse_qe_identity(text);
        ASSERT_FALSE(identity);
        EXPECT_EQ(identity.error().code, "collateral_malformed:qe_identity");
        EXPECT_TRUE(identity.error().detail.starts_with(row.pointer + ": ")) << identity.error().detail;
    }
    EXPECT_EQ(parse_qe_identity(std::string(qe_identity_size_max + 1, ' ')).error().code,
              "collateral_malformed:qe_identity");
}

TEST(QeIdentity, JudgesAReportFieldByField) {
    const QeIdentity identity = parse_qe_identity(document()).value();
    struct Row {
        void (*change)(QeReport&);
        const char* field;  // nullptr: masked out
    };
    const Row rows[] = {
        {[](QeReport& r) { r.misc_select = 0; }, "miscselect"},
        {[](QeReport& r) { r.misc_select = 0x00010001; }, "miscselect"},
        {[](QeReport& r) { r.misc_select = 0x01000001; }, nullptr},
        {[](QeReport& r) { r.attributes[0] = 0x01; }, "attributes"},
        {[](QeReport& r) { r.attributes[0] = 0x31; }, "attributes"},
        {[](QeReport& r) { r.attributes[0] = 0x15; }, nullptr},
        {[](QeReport& r) { r.attributes[8] = 0xe7; }, nullptr},
        // The mask leaves the debug bit out. No debug enclave, all the same.
        {[](QeReport& r) { r.attributes[0] = 0x13; }, "attributes"},
        {[](QeReport& r) { r.mr_signer[31] ^= 1; }, "mrsigner"},
        {[](QeReport& r) { r.isv_prod_id = 1; }, "isvprodid"},
    };
    for (const Row& row : rows) {
        QeReport changed = report();
        row.change(changed);
        const auto matched = match_qe(identity, changed);
        const std::string code = matched ? "" : matched.error().code;
        EXPECT_EQ(code, row.field != nullptr ? "qe_identity_mismatch:" + std::string(row.field) : "");
    }
}

}  // namespace
}  // namespace ee::attestation
