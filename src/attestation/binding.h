#pragma once
// How tightly an answer is tied to its challenge and its connection.

#include <optional>

#include "attestation/appraisal.h"
#include "attestation/ratls_certificate.h"

namespace ee::attestation {

// What the message itself shows, before its quote is verified.
struct AnswerBinding {
    Binding level = Binding::none;  // never `ratls`: that is the certificate's to earn
    bool legacy = false;
    bool key_proven = false;
    std::optional<ReportData> expected;  // what the quote must carry
    std::optional<Error> refusal;        // check C has failed already
};

AnswerBinding bind_answer(const Challenge& challenge, const Answer& answer);

// The tunnel's client certificate as far as it can be judged without its quote. Neither is there when none
// was shown, or when the answer is bound more tightly without it.
struct ClientCertificate {
    std::optional<RatlsCertificate> certificate;  // may earn level `ratls`
    std::optional<Error> not_earned;              // why it cannot
};

// Besides read_ratls_certificate()'s refusals: `certificate_mismatch:<role|app|repo|release_tag|network>`
// when it names another than the registration does, `certificate_not_counted` when it is of deployed agents'
// layout and the network does not count those.
ClientCertificate read_client_certificate(const NetworkPolicy& policy, const Challenge& challenge,
                                          Binding level, WallTime now);

// Whether two quotes measure the same TD: registers, what it was started with, and what was bound to it.
// Refusal `measurement_mismatch:<field>` names both values, the certificate's first.
Result<void> match_measurements(const TdReport& certificate, const TdReport& other);

// Whether the certificate's own quote holds up by the same rules as the challenge's, binds the certificate's
// key, and measures the same TD. Refuses with the codes of QuoteVerifier and judge_platform(), and with
// `measurement_mismatch:<field>`.
Result<void> judge_client_certificate(const RatlsCertificate& certificate, const VerifiedQuote& challenged,
                                      const NetworkPolicy& policy, const QuoteVerifier& verifier,
                                      CollateralSource& collateral, WallTime now);

}  // namespace ee::attestation
