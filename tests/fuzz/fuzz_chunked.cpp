// Any bytes as a chunked body, after a first byte that sets the size of the pieces: whole, in pieces and byte
// by byte give the same body, trailers or refusal, and a body that was accepted reads the same written again.

#include <algorithm>
#include <string>

#include "base/check.h"
#include "http/body_decoder.h"
#include "http/http1_writer.h"

namespace {

using namespace ee::http;

struct Decoded {
    std::string body;
    std::size_t consumed = 0;
    bool done = false;
    std::vector<OwnedField> trailers;
    std::string refusal;

    friend bool operator==(const Decoded&, const Decoded&) = default;
};

Decoded decode(std::string_view input, std::size_t piece) {
    BodyDecoder decoder(Framing::chunked, 0);
    Decoded out;
    while (out.consumed < input.size() && !decoder.done()) {
        const std::string_view offered = input.substr(out.consumed, piece);
        const auto step = decoder.next(offered);
        if (!step)
            return Decoded{.body = {}, .trailers = {}, .refusal = step.error().code + step.error().detail};
        EE_CHECK(step->consumed <= offered.size());
        EE_CHECK(step->consumed > 0 || step->done);
        EE_CHECK(step->done == decoder.done());
        out.body += step->data;
        out.consumed += step->consumed;
    }
    out.done = decoder.done();
    EE_CHECK(decoder.finish().has_value() == out.done);
    for (const Field& field : decoder.trailers()) {
        out.trailers.push_back({std::string(field.name), std::string(field.value)});
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
    const Decoded whole = decode(input, std::max<std::size_t>(input.size(), 1));
    EE_CHECK(decode(input, 1) == whole);
    EE_CHECK(decode(input, data[0] + std::size_t{1}) == whole);
    if (!whole.done) return 0;

    std::string written;
    append_chunk(written, whole.body);
    const std::vector<Field> trailers(whole.trailers.begin(), whole.trailers.end());
    EE_CHECK(append_last_chunk(written, trailers));
    const Decoded again = decode(written, written.size());
    EE_CHECK(again.done && again.body == whole.body && again.trailers == whole.trailers);
    return 0;
}
