#pragma once
// Takes the members of a JSON object, strictly: none may be missing, unknown, there twice or of another kind.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <simdjson.h>

#include "base/base64.h"
#include "base/bytes.h"
#include "base/claims.h"
#include "base/hex.h"
#include "base/result.h"

namespace ee::attestation {

// What is wrong with a document, shared by the readers of its objects: the first finding counts, as
// `<code>:<JSON pointer>`.
class Findings {
public:
    explicit Findings(std::string_view code) : code_(code) {}

    void add(std::string_view pointer, std::string detail);
    const std::optional<Error>& first() const { return first_; }

private:
    std::string code_;
    std::optional<Error> first_;
};

// After a finding the values taken are empty; the caller asks for findings once, at the end.
class ObjectReader {
public:
    ObjectReader(simdjson::dom::element element, std::string pointer, Findings& findings);

    // Whether the member is null; then it counts as taken.
    bool is_null(std::string_view name);
    std::string text(std::string_view name);
    bool flag(std::string_view name);
    std::uint64_t number(std::string_view name);
    std::vector<std::string> texts(std::string_view name);
    // Lower case only, so that one value has one spelling.
    std::string hex_text(std::string_view name, std::size_t bytes);
    Bytes hex(std::string_view name);
    Bytes base64(std::string_view name);
    Claims claims(std::string_view name);
    std::optional<simdjson::dom::element> element(std::string_view name);

    template <std::size_t N>
    ByteArray<N> hex_array(std::string_view name) {
        return from_hex_exact<N>(hex_text(name, N)).value_or(ByteArray<N>{});
    }

    std::string pointer_of(std::string_view name) const;
    // Finds fault with `name` for a reason of the caller's.
    void refuse(std::string_view name, std::string detail);
    // Once everything was taken: members that nobody asked for, or that are there twice.
    void finish();

private:
    std::string pointer_;
    Findings& findings_;
    std::optional<simdjson::dom::object> object_;
    std::vector<std::string_view> taken_;
};

}  // namespace ee::attestation
