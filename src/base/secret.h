#pragma once
// A string that cannot be printed by accident and is wiped when it dies.

#include <string>
#include <string_view>

namespace ee {

class Secret {
public:
    Secret() = default;
    explicit Secret(std::string value) : value_(std::move(value)) {}
    Secret(const Secret&) = default;
    Secret(Secret&&) = default;
    Secret& operator=(const Secret&) = default;
    Secret& operator=(Secret&&) = default;
    ~Secret();

    bool empty() const { return value_.empty(); }
    // The only way to the text. Never pass the result to a log, an error or an exception.
    std::string_view reveal() const { return value_; }

private:
    std::string value_;
};

}  // namespace ee
