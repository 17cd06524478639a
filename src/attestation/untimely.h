#pragma once
// What only says that a quote or its collateral is from another time.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "crypto/certificate.h"

namespace ee::attestation {

// Collects it while the checks H to L go on, because something definite (a signature, a mismatch, a
// revocation) says more about a quote than the date it is judged at. Whatever was collected still refuses,
// before check M:
//
//   first   collateral_expired:<part>          the part whose nextUpdate is the earliest
//   then    certificate_not_yet_valid          the first one met; of the PCK chain or of a signer
//   last    collateral_not_yet_valid:<part>    the part whose issueDate or thisUpdate is the latest
//
// An expired certificate is definite and refused where it is met: nothing will make it valid again.
class Untimely {
public:
    // `grace` extends the nextUpdate of collateral, never a certificate.
    Untimely(WallTime now, std::chrono::seconds grace) : now_(now), grace_(grace) {}

    // Refuses with `certificate_expired`; both ends of the validity belong to it.
    Result<void> judge_certificate(const crypto::Certificate& certificate);
    // `part` is root_crl, pck_crl, tcb_info or qe_identity and outlives this object.
    void judge_part(std::string_view part, WallTime issued_at, WallTime next_update);

    // What is to be told if nothing definite comes.
    std::optional<Error> refusal() const;

private:
    struct Part {
        std::string_view name;
        WallTime time;
    };

    WallTime now_;
    std::chrono::seconds grace_;
    std::optional<Part> expired_;
    std::optional<Error> certificate_;
    std::optional<Part> not_yet_valid_;
};

}  // namespace ee::attestation
