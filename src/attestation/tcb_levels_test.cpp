#include "attestation/tcb_levels.h"

#include <gtest/gtest.h>

namespace ee::attestation {
namespace {

using enum TcbStatus;
using namespace std::chrono_literals;

const WallTime day = std::chrono::sys_days(2025y / 1 / 1);

TEST(Converge, IsNotTheWorseOfTwo) {
    struct Row {
        TcbStatus platform;
        TcbStatus behind;  // when QE or module is out of date
    };
    const Row rows[] = {{up_to_date, out_of_date},
                        {sw_hardening_needed, out_of_date},
                        {configuration_needed, out_of_date_configuration_needed},
                        {configuration_and_sw_hardening_needed, out_of_date_configuration_needed},
                        {out_of_date, out_of_date},
                        {out_of_date_configuration_needed, out_of_date_configuration_needed},
                        {revoked, revoked}};
    for (const Row& row : rows) {
        SCOPED_TRACE(to_string(row.platform));
        EXPECT_EQ(converge(row.platform, up_to_date, std::nullopt), row.platform);
        EXPECT_EQ(converge(row.platform, up_to_date, up_to_date), row.platform);
        EXPECT_EQ(converge(row.platform, out_of_date, std::nullopt), row.behind);
        EXPECT_EQ(converge(row.platform, out_of_date, up_to_date), row.behind);
        EXPECT_EQ(converge(row.platform, up_to_date, out_of_date), row.behind);
        EXPECT_EQ(converge(row.platform, out_of_date, out_of_date), row.behind);
        EXPECT_EQ(converge(row.platform, revoked, up_to_date), revoked);
        EXPECT_EQ(converge(row.platform, revoked, std::nullopt), revoked);
        EXPECT_EQ(converge(row.platform, up_to_date, revoked), revoked);
        EXPECT_EQ(converge(row.platform, out_of_date, revoked), revoked);
    }
}

TEST(Relaunch, IsAdvisedWhereItWouldMendWhatIsOutOfDate) {
    const TcbStatus all[] = {up_to_date,
                             sw_hardening_needed,
                             configuration_needed,
                             configuration_and_sw_hardening_needed,
                             out_of_date,
                             out_of_date_configuration_needed,
                             revoked};
    const auto expected = [](TcbStatus launched, TcbStatus now) {
        if (launched == out_of_date && (now == up_to_date || now == sw_hardening_needed))
            return td_relaunch_advised;
        const bool stale = launched == out_of_date || launched == out_of_date_configuration_needed;
        const bool mended = now == up_to_date || now == sw_hardening_needed || now == configuration_needed ||
                            now == configuration_and_sw_hardening_needed;
        return stale && mended ? td_relaunch_advised_configuration_needed : launched;
    };
    for (const TcbStatus launched : all) {
        for (const TcbStatus now : all) {
            EXPECT_EQ(relaunch_status(launched, now), expected(launched, now))
                << to_string(launched) << " " << to_string(now);
        }
    }
}

TcbVerdict verdict(TcbStatus status, int days, std::vector<std::string> advisories = {}) {
    return {.status = status, .date = day + std::chrono::days(days), .advisory_ids = std::move(advisories)};
}

// Two platform levels, module versions 0 and 1, and a QE.
struct Evaluation : testing::Test {
    TcbInfo info{.issued_at = {},
                 .next_update = {},
                 .fmspc = {},
                 .pce_id = {},
                 .evaluation_number = 18,
                 .module = {.mr_signer = {}, .attributes = {}, .attributes_mask = {0xff}},
                 .module_identities = {{.version = 1,
                                        .module = {.mr_signer = {1}, .attributes = {}, .attributes_mask = {}},
                                        .levels = {{5, verdict(up_to_date, 30)},
                                                   {3, verdict(out_of_date, 20, {"C", "A"})}}}},
                 .levels = {{.sgx_components = {2, 2},
                             .pce_svn = 11,
                             .tdx_components = {5, 0, 3},
                             .verdict = verdict(up_to_date, 10)},
                            {.sgx_components = {2, 1},
                             .pce_svn = 5,
                             .tdx_components = {4, 0, 2},
                             .verdict = verdict(out_of_date, 5, {"B", "A"})}}};
    QeIdentity qe{.issued_at = {},
                  .next_update = {},
                  .evaluation_number = 17,
                  .misc_select = {},
                  .misc_select_mask = {},
                  .attributes = {},
                  .attributes_mask = {},
                  .mr_signer = {},
                  .isv_prod_id = 0,
                  .levels = {{8, verdict(up_to_date, 40)}, {6, verdict(out_of_date, 1, {"D"})}}};
    PckExtension pck;
    TdReport report;
    QeReport qe_report;

    Evaluation() {
        pck.cpu_svn = {2, 2};
        pck.pce_svn = 11;
        report.tee_tcb_svn = {5, 1, 3};
        report.mr_signer_seam = {1};
        qe_report.isv_svn = 8;
    }
    Result<TcbEvaluation> evaluate() const { return evaluate_tcb({info, qe, pck, report, qe_report}); }
    std::string module_code() const {
        const auto held = match_tdx_module(info, report);
        return held ? "" : held.error().code;
    }
};

TEST_F(Evaluation, TakesTheHighestLevelReachedAndTheEarliestDate) {
    const auto tcb = evaluate();
    ASSERT_TRUE(tcb);
    EXPECT_EQ(tcb->status, up_to_date);
    EXPECT_EQ(tcb->tcb_date, day + std::chrono::days(10));
    EXPECT_TRUE(tcb->advisory_ids.empty());
    EXPECT_EQ(tcb->evaluation_number, 17u) << "of the older one of the two documents";
}

TEST_F(Evaluation, JoinsTheAdvisoriesOfTheLevelsUsedSortedAndOnce) {
    pck.pce_svn = 10;
    report.tee_tcb_svn[0] = 4;
    qe_report.isv_svn = 7;
    const auto tcb = evaluate();
    ASSERT_TRUE(tcb);
    EXPECT_EQ(tcb->status, out_of_date);
    EXPECT_EQ(tcb->advisory_ids, (std::vector<std::string>{"A", "B", "C", "D"}));
    EXPECT_EQ(tcb->tcb_date, day + std::chrono::days(1));
}

TEST_F(Evaluation, NeedsEveryComponentOfALevel) {
    struct Row {
        void (*lower)(Evaluation&);
        const char* detail;  // empty: the second level is reached
    };
    const Row rows[] = {
        {[](Evaluation& e) { e.pck.cpu_svn[1] = 1; }, ""},
        {[](Evaluation& e) { e.pck.pce_svn = 10; }, ""},
        {[](Evaluation& e) { e.report.tee_tcb_svn[2] = 2; }, ""},
        {[](Evaluation& e) { e.pck.cpu_svn[0] = 1; }, "SGX component 1 is 1, the level asks for 2"},
        {[](Evaluation& e) { e.pck.pce_svn = 4; }, "SVN is 4, the level asks for 5"},
        {[](Evaluation& e) { e.report.tee_tcb_svn[2] = 1; }, "TDX component 3 is 1, the level asks for 2"},
        {[](Evaluation& e) { e.qe_report.isv_svn = 5; },
         "the QE has SVN 5, the lowest of 2 levels is 6 (OutOfDate"},
        {[](Evaluation& e) { e.report.tee_tcb_svn[0] = 2; },
         "the TDX module has SVN 2, the lowest of 2 levels is 3"},
    };
    const Evaluation& good = *this;
    for (const Row& row : rows) {
        const PckExtension pck_before = good.pck;
        const TdReport report_before = good.report;
        const QeReport qe_before = good.qe_report;
        row.lower(*this);
        const auto tcb = evaluate();
        if (*row.detail == '\0') {
            ASSERT_TRUE(tcb);
            EXPECT_EQ(tcb->status, out_of_date);
        } else {
            ASSERT_FALSE(tcb) << row.detail;
            EXPECT_EQ(tcb.error().code, "tcb_not_supported");
            EXPECT_NE(tcb.error().detail.find(row.detail), std::string::npos) << tcb.error().detail;
        }
        pck = pck_before;
        report = report_before;
        qe_report = qe_before;
    }
}

TEST_F(Evaluation, OfAModuleWithAVersionPassesOverTheFirstTwoTdxComponents) {
    info.levels[0].tdx_components = {200, 7, 3};
    EXPECT_EQ(evaluate()->status, up_to_date);
    report.tee_tcb_svn = {5, 0, 3};
    EXPECT_EQ(evaluate()->status, out_of_date)
        << "without a version they count, and there are no module levels";
    report.tee_tcb_svn[0] = 3;
    EXPECT_FALSE(evaluate());
}

TEST_F(Evaluation, OfTd15LooksAtTheModuleRunningNow) {
    report.tee_tcb_svn = {3, 1, 3};
    EXPECT_EQ(evaluate()->status, out_of_date);
    report.tee_tcb_svn2 = ByteArray<16>{5, 1, 3};
    const auto advised = evaluate();
    EXPECT_EQ(advised->status, td_relaunch_advised);
    EXPECT_EQ(advised->advisory_ids, (std::vector<std::string>{"A", "C"}));
    report.tee_tcb_svn2 = ByteArray<16>{4, 1, 3};
    EXPECT_EQ(evaluate()->status, out_of_date);
    // A pass that finds no level changes nothing.
    for (const ByteArray<16>& none :
         {ByteArray<16>{2, 1, 3}, ByteArray<16>{5, 2, 3}, ByteArray<16>{5, 1, 1}}) {
        report.tee_tcb_svn2 = none;
        EXPECT_EQ(evaluate()->status, out_of_date);
    }
    report.tee_tcb_svn2 = ByteArray<16>{5, 1, 3};
    qe_report.isv_svn = 6;
    EXPECT_EQ(evaluate()->status, out_of_date) << "relaunching does not mend the QE";
}

TEST_F(Evaluation, OfAModuleFollowsItsVersion) {
    EXPECT_EQ(module_code(), "");
    report.mr_signer_seam = {};
    EXPECT_EQ(module_code(), "tdx_module_mismatch:mrsigner");
    report.tee_tcb_svn[1] = 0;
    EXPECT_EQ(module_code(), "") << "without a version it is tdxModule's";
    info.module.mr_signer = {9};
    EXPECT_EQ(module_code(), "tdx_module_mismatch:mrsigner");
    report.tee_tcb_svn[1] = 2;
    EXPECT_EQ(module_code(), "tdx_module_mismatch:version");
    info.module_identities.clear();
    report.tee_tcb_svn[1] = 1;
    EXPECT_EQ(module_code(), "tdx_module_mismatch:version");
}

TEST_F(Evaluation, TakesNoModuleWithAttributesWhateverTheMask) {
    report.seam_attributes = 1;
    EXPECT_EQ(module_code(), "tdx_module_mismatch:attributes") << "the mask of version 1 is empty";
    report.seam_attributes = 0;
    info.module_identities[0].module.attributes_mask = {0xff};
    info.module_identities[0].module.attributes = {1};
    EXPECT_EQ(module_code(), "tdx_module_mismatch:attributes") << "zero, but not what is asked for";
    report.seam_attributes = 1;
    EXPECT_EQ(module_code(), "tdx_module_mismatch:attributes") << "what is asked for, but not zero";
}

}  // namespace
}  // namespace ee::attestation
