#include "http/message.h"

namespace ee::http {

Error body_too_large(std::optional<std::uint64_t> bytes, std::uint64_t bytes_max) {
    return {"body_too_large", "the body has " + (bytes ? std::to_string(*bytes) + " bytes" : "more") +
                                  "; at most " + std::to_string(bytes_max) + " bytes are allowed"};
}

Error no_room_for_body() {
    return {"overloaded", "the memory there is for bodies is in use"};
}

int refusal_status(std::string_view code) {
    struct Row {
        std::string_view code;
        int status;
    };
    constexpr Row rows[] = {
        {"bad_request", 400},
        {"bad_chunk", 400},
        {"bad_trailer", 400},
        {"body_truncated", 400},
        {"unsupported_expectation", 417},
        {"upgrade_required", 426},
        {"unsupported_websocket_version", 426},
        {"head_too_large", 431},
        {"too_many_fields", 431},
        {"trailers_too_large", 431},
        {"unsupported_method", 501},
        {"unsupported_transfer_encoding", 501},
        {"unsupported_version", 505},
    };
    for (const Row& row : rows) {
        if (row.code == code) return row.status;
    }
    return 400;
}

}  // namespace ee::http
