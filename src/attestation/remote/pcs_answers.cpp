#include "attestation/remote/pcs_answers.h"

#include <fmt/format.h>
#include <simdjson.h>

#include "attestation/collateral.h"
#include "base/hex.h"

namespace ee::attestation {
namespace {

constexpr std::size_t json_depth_max = 32;
constexpr std::uint8_t der_sequence = 0x30;

tl::unexpected<Error> malformed(std::string detail) {
    return fail("collateral_malformed", std::move(detail));
}

std::string_view trim(std::string_view text) {
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// The whole body is JSON, not only the part that is looked at.
Result<void> judge_json(std::string_view body) {
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    if (parser.allocate(body.size(), json_depth_max) != simdjson::SUCCESS ||
        parser.parse(body.data(), body.size()).get_object().get(object) != simdjson::SUCCESS) {
        return malformed("the answer is not a JSON object");
    }
    return {};
}

}  // namespace

Result<std::string> decode_issuer_chain(std::string_view field) {
    if (field.size() > 3 * issuer_chain_size_max) return malformed("the issuer chain is larger than 64 KiB");
    std::string out;
    out.reserve(field.size());
    for (std::size_t i = 0; i < field.size(); ++i) {
        if (field[i] != '%') {
            out += field[i];
            continue;
        }
        const auto byte = from_hex_exact<1>(field.substr(i + 1, 2));
        if (!byte) return malformed("the issuer chain is not percent-encoded: % without two digits");
        out += static_cast<char>((*byte)[0]);
        i += 2;
    }
    if (out.empty()) return malformed("the issuer chain is empty");
    if (out.size() > issuer_chain_size_max) return malformed("the issuer chain is larger than 64 KiB");
    return out;
}

Result<SignedText> cut_signed_object(std::string_view body, std::string_view key, std::size_t size_max) {
    if (auto held = judge_json(body); !held) return fail(std::move(held.error()));
    const simdjson::padded_string padded(body);
    simdjson::ondemand::parser parser;
    simdjson::ondemand::document document;
    simdjson::ondemand::object object;
    std::string_view text, signature;
    if (parser.iterate(padded).get(document) != simdjson::SUCCESS ||
        document.find_field_unordered(key).get_object().get(object) != simdjson::SUCCESS ||
        object.raw_json().get(text) != simdjson::SUCCESS) {
        return malformed(fmt::format("the answer has no object \"{}\"", key));
    }
    if (document.find_field_unordered("signature").get_string().get(signature) != simdjson::SUCCESS)
        return malformed(fmt::format("the answer has no signature beside \"{}\"", key));
    // What is handed out runs up to the next token: white space between them belongs to nobody.
    text = trim(text);
    if (text.size() > size_max)
        return malformed(
            fmt::format("\"{}\" has {} bytes, at most {} are taken", key, text.size(), size_max));
    auto bytes = from_hex(signature);
    if (!bytes || bytes->empty()) return malformed("the signature is not hexadecimal");
    return SignedText{std::string(text), std::move(*bytes)};
}

Result<Bytes> decode_crl(std::string_view body) {
    Bytes der;
    if (!body.empty() && static_cast<std::uint8_t>(body.front()) == der_sequence &&
        !from_hex(trim(body)).has_value()) {
        der = to_bytes(as_bytes(body));
    } else {
        auto bytes = from_hex(trim(body));
        if (!bytes || bytes->empty() || bytes->front() != der_sequence)
            return malformed("the revocation list is neither DER nor DER in hexadecimal");
        der = std::move(*bytes);
    }
    if (der.size() > crl_size_max)
        return malformed(
            fmt::format("the revocation list has {} bytes, at most {} are taken", der.size(), crl_size_max));
    return der;
}

}  // namespace ee::attestation
