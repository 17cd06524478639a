#pragma once
// The parsed form of one message. Only this folder's .cpp files include it: simdjson is a large header.

#include <optional>

#include <simdjson.h>

#include "protocol/decoder.h"

namespace ee::protocol {

class Decoder::Json {
public:
    // The members of the message's object, valid until the next call of parse() or release().
    Result<simdjson::dom::object> parse(PaddedText text);
    // Gives the memory of a large message back.
    void release() { large_.reset(); }

private:
    simdjson::dom::parser kept_;
    std::optional<simdjson::dom::parser> large_;
};

// The member's content when it is a string; nullopt when it is absent or something else.
std::optional<std::string_view> string_member(simdjson::dom::object object, std::string_view name);

}  // namespace ee::protocol
