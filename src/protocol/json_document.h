#pragma once
// The parsed form of one message. Only this folder's .cpp files include it: simdjson is a large header.

#include <optional>

#include <simdjson.h>

#include "protocol/decoder.h"

namespace ee::protocol {

class Decoder::Json {
public:
    // What `read` makes of the members of the message's object, which are gone after the call.
    template <class Message>
    Result<Message> decode(PaddedText text, Result<Message> (*read)(simdjson::dom::object)) {
        const auto object = parse(text);
        Result<Message> message = object ? read(*object) : Result<Message>(fail(object.error()));
        large_.reset();
        return message;
    }

private:
    Result<simdjson::dom::object> parse(PaddedText text);

    simdjson::dom::parser kept_;
    std::optional<simdjson::dom::parser> large_;
};

// The member's content when it is a string; nullopt when it is absent or something else.
std::optional<std::string_view> string_member(simdjson::dom::object object, std::string_view name);

}  // namespace ee::protocol
