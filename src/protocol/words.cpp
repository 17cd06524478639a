#include "base/check.h"
#include "protocol/messages.h"

namespace ee::protocol {

std::string_view to_word(ChallengeReason reason) {
    switch (reason) {
        case ChallengeReason::registration: return "register";
        case ChallengeReason::periodic: return "periodic";
        case ChallengeReason::operator_request: return "operator";
    }
    EE_CHECK(false);
}

std::string_view to_word(StatusState state) {
    switch (state) {
        case StatusState::ok: return "ok";
        case StatusState::warning: return "warning";
        case StatusState::invalid: return "invalid";
        case StatusState::draining: return "draining";
    }
    EE_CHECK(false);
}

}  // namespace ee::protocol
