#include "attestation/remote/collateral_terms.h"

#include <algorithm>

#include <fmt/format.h>
#include <simdjson.h>

#include "crypto/crl.h"

namespace ee::attestation {
namespace {

constexpr std::size_t json_depth_max = 32;

struct DocumentTerms {
    WallTime issued_at;
    WallTime next_update;
    std::uint64_t evaluation;
};

tl::unexpected<Error> malformed(std::string_view part, std::string_view what) {
    return fail(fmt::format("collateral_malformed:{}", part), std::string(what));
}

Result<DocumentTerms> read_document(std::string_view part, std::string_view text) {
    simdjson::dom::parser parser;
    simdjson::dom::element document;
    std::string_view issued, next;
    std::uint64_t evaluation = 0;
    if (parser.allocate(text.size(), json_depth_max) != simdjson::SUCCESS ||
        parser.parse(text.data(), text.size()).get(document) != simdjson::SUCCESS)
        return malformed(part, "not JSON");
    if (document["issueDate"].get_string().get(issued) != simdjson::SUCCESS ||
        document["nextUpdate"].get_string().get(next) != simdjson::SUCCESS ||
        document["tcbEvaluationDataNumber"].get_uint64().get(evaluation) != simdjson::SUCCESS)
        return malformed(part, "no issueDate, nextUpdate and tcbEvaluationDataNumber");
    const auto issued_at = from_rfc3339(issued), next_update = from_rfc3339(next);
    if (!issued_at || !next_update) return malformed(part, "a date is not RFC 3339");
    return DocumentTerms{*issued_at, *next_update, evaluation};
}

Result<void> judge_date(std::string_view part, WallTime kept, WallTime fresh) {
    if (fresh >= kept) return {};
    return fail(fmt::format("collateral_rolled_back:{}", part),
                fmt::format("issued at {}, the one kept at {}", to_rfc3339(fresh), to_rfc3339(kept)));
}

Result<void> judge_number(std::string_view part, std::uint64_t kept, std::uint64_t fresh) {
    if (fresh >= kept) return {};
    return fail(fmt::format("collateral_rolled_back:{}", part),
                fmt::format("tcbEvaluationDataNumber is {}, of the one kept {}", fresh, kept));
}

}  // namespace

Result<CollateralTerms> read_collateral_terms(const Collateral& collateral) {
    const auto tcb_info = read_document("tcb_info", collateral.tcb_info);
    if (!tcb_info) return fail(tcb_info.error());
    const auto qe_identity = read_document("qe_identity", collateral.qe_identity);
    if (!qe_identity) return fail(qe_identity.error());
    const auto root_crl = crypto::Crl::from_der(collateral.root_ca_crl);
    if (!root_crl) return malformed("root_ca_crl", root_crl.error().detail);
    const auto pck_crl = crypto::Crl::from_der(collateral.pck_crl);
    if (!pck_crl) return malformed("pck_crl", pck_crl.error().detail);
    return CollateralTerms{.tcb_info_issued_at = tcb_info->issued_at,
                           .qe_identity_issued_at = qe_identity->issued_at,
                           .root_crl_issued_at = root_crl->this_update(),
                           .pck_crl_issued_at = pck_crl->this_update(),
                           .tcb_info_evaluation = tcb_info->evaluation,
                           .qe_identity_evaluation = qe_identity->evaluation,
                           .issued_at = std::max({tcb_info->issued_at, qe_identity->issued_at,
                                                  root_crl->this_update(), pck_crl->this_update()}),
                           .next_update = std::min({tcb_info->next_update, qe_identity->next_update,
                                                    root_crl->next_update(), pck_crl->next_update()})};
}

Result<void> judge_rollback(const CollateralTerms& kept, const CollateralTerms& fresh) {
    if (auto held = judge_number("tcb_info", kept.tcb_info_evaluation, fresh.tcb_info_evaluation); !held)
        return held;
    if (auto held = judge_date("tcb_info", kept.tcb_info_issued_at, fresh.tcb_info_issued_at); !held)
        return held;
    if (auto held = judge_number("qe_identity", kept.qe_identity_evaluation, fresh.qe_identity_evaluation);
        !held)
        return held;
    if (auto held = judge_date("qe_identity", kept.qe_identity_issued_at, fresh.qe_identity_issued_at); !held)
        return held;
    if (auto held = judge_date("root_crl", kept.root_crl_issued_at, fresh.root_crl_issued_at); !held)
        return held;
    return judge_date("pck_crl", kept.pck_crl_issued_at, fresh.pck_crl_issued_at);
}

}  // namespace ee::attestation
