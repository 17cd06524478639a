#pragma once
// The one result type: a value, or a refusal that says why.

#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

namespace ee {

// A refusal. `code` is the stable snake_case word that goes on the wire and into metrics (it may end in
// ":<suffix>"); `detail` is a sentence for logs and operators that names both sides of the comparison.
struct Error {
    std::string code;
    std::string detail;

    friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(std::string code, std::string detail = {}) {
    return tl::unexpected<Error>(Error{std::move(code), std::move(detail)});
}

// Passes an inner refusal on: `if (!x) return fail(std::move(x.error()));`
inline tl::unexpected<Error> fail(Error error) {
    return tl::unexpected<Error>(std::move(error));
}

}  // namespace ee
