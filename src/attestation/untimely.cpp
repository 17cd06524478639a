#include "attestation/untimely.h"

#include <fmt/format.h>

namespace ee::attestation {

Result<void> Untimely::judge_certificate(const crypto::Certificate& certificate) {
    if (now_ > certificate.not_after()) {
        return fail("certificate_expired",
                    fmt::format("{} was valid until {}, it is {}", certificate.subject_text(),
                                to_rfc3339(certificate.not_after()), to_rfc3339(now_)));
    }
    if (now_ < certificate.not_before() && !certificate_) {
        certificate_ = Error{"certificate_not_yet_valid",
                             fmt::format("{} is valid from {}, it is {}", certificate.subject_text(),
                                         to_rfc3339(certificate.not_before()), to_rfc3339(now_))};
    }
    return {};
}

void Untimely::judge_part(std::string_view part, WallTime issued_at, WallTime next_update) {
    if (now_ < issued_at && (!not_yet_valid_ || issued_at > not_yet_valid_->time))
        not_yet_valid_ = Part{part, issued_at};
    if (now_ > next_update + grace_ && (!expired_ || next_update < expired_->time))
        expired_ = Part{part, next_update};
}

std::optional<Error> Untimely::refusal() const {
    if (expired_) {
        return Error{fmt::format("collateral_expired:{}", expired_->name),
                     fmt::format("due for renewal at {} ({} s of grace), it is {}",
                                 to_rfc3339(expired_->time), grace_.count(), to_rfc3339(now_))};
    }
    if (certificate_) return certificate_;
    if (not_yet_valid_) {
        return Error{
            fmt::format("collateral_not_yet_valid:{}", not_yet_valid_->name),
            fmt::format("valid from {}, it is {}", to_rfc3339(not_yet_valid_->time), to_rfc3339(now_))};
    }
    return std::nullopt;
}

}  // namespace ee::attestation
